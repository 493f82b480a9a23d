//! The server with a certificate of a private authority, and unmodified clients that trust it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use serde_json::Value;
use speech_flow_demo_hub::{Action, Endpoint, FaultRule};

use crate::client::{Client, answer, answer_of, text};
use crate::served::Served;
use crate::support::{LID, Run, WHISPER, World, wait_until};

/// A certificate authority that nobody else knows.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// What clients are told to trust.
    bundle: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let bundle = folder.join(format!("{name}.pem"));
        fs::write(&bundle, issuer.pem()).expect("writes");
        Self { issuer, bundle }
    }

    /// Puts a server's certificate in place, as a controller does: each file by one rename.
    fn issue(&self, folder: &Path, until: i32) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
        params.not_after = date_time_ymd(until, 1, 1);
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        for (name, content) in [("tls.crt", certificate.pem()), ("tls.key", key.serialize_pem())] {
            fs::write(folder.join("new"), content).expect("writes");
            fs::rename(folder.join("new"), folder.join(name)).expect("moves");
        }
    }
}

/// A server with the certificate that lies in the world's folder.
fn serve(world: &World) -> Served {
    let folder = world.folder();
    let files = [("TLS_CERTIFICATE", "tls.crt"), ("TLS_KEY", "tls.key")];
    let variables = files.map(|(name, file)| (format!("SPEECH_FLOW_SERVER_{name}"), folder.join(file)));
    Served::with(world, "server", &variables)
}

fn snapshot(client: &Client, world: &World, served: &Served, trusts: &Authority, cache: &str) -> Command {
    let (cache, endpoint) = (world.folder().join(cache), format!("--endpoint={}", served.endpoint));
    let mut command = client.script(world, "snapshot.py", &[text(&cache), LID, "main", &endpoint]);
    command.env("SSL_CERT_FILE", &trusts.bundle);
    command
}

fn preload(world: &World, served: &Served, trusts: &Authority, cache: &str) -> Run {
    let mut command = world.command(&["preload", WHISPER, "--json"]);
    command.env("HF_ENDPOINT", &served.endpoint).env("SSL_CERT_FILE", &trusts.bundle);
    command.env("MODEL_DOWNLOAD_MAX_RETRIES", "0");
    world.finish(command.env("MODEL_CACHE_DIR", world.folder().join(cache)))
}

#[test]
fn stock_clients_and_our_preload_use_a_server_of_a_private_authority() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let (ours, other) = (Authority::new(world.folder(), "ours"), Authority::new(world.folder(), "other"));
    ours.issue(world.folder(), 3000);
    let served = serve(&world);
    assert!(served.endpoint.starts_with("https://"));
    let found = answer(&mut snapshot(&client, &world, &served, &ours, "client"));
    assert!(found["files"]["model.safetensors"]["size"].as_u64() > Some(0), "{found}");
    let document = preload(&world, &served, &ours, "preloaded").exits(0).json();
    assert_eq!(document["models"][0]["outcome"], "downloaded");
    let refused = preload(&world, &served, &other, "refused").exits(1);
    assert!(refused.stderr().contains("certificate"), "{}", refused.stderr());
    let refused = Run::new(snapshot(&client, &world, &served, &other, "refused").output().expect("Python starts"));
    assert_ne!(refused.code(), 0);
}

#[test]
fn a_certificate_that_ran_out_is_renewed_while_a_client_downloads() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let (ours, next) = (Authority::new(world.folder(), "ours"), Authority::new(world.folder(), "next"));
    ours.issue(world.folder(), 2001);
    let served = serve(&world);
    let refused = preload(&world, &served, &ours, "early").exits(1);
    assert!(refused.stderr().contains("certificate"), "{}", refused.stderr());
    // Without a signal: the files are looked at every few seconds.
    ours.issue(world.folder(), 3000);
    wait_until("the renewed certificate is taken", || preload(&world, &served, &ours, "renewed").code() == 0);

    let size = world.hub.files(LID, "main").iter().map(|file| file.size).max().expect("files");
    let slow = FaultRule::new(Action::Slow { bytes_per_second: (size / 3).max(1) });
    world.hub.add_fault(slow.path("model.safetensors").on(Endpoint::Cdn)).expect("a rule");
    let downloading = snapshot(&client, &world, &served, &ours, "during").spawn().expect("Python starts");
    wait_until("the download has begun", || {
        world.file_requests().iter().any(|request| request.file.as_deref() == Some("model.safetensors"))
    });
    next.issue(world.folder(), 3000);
    served.signal("HUP");
    wait_until("the certificate of the next authority is taken", || {
        preload(&world, &served, &next, "next").code() == 0
    });
    let found: Value = answer_of(&Run::new(downloading.wait_with_output().expect("ends")));
    assert_eq!(found["files"]["model.safetensors"]["size"], size, "the download went on");
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_at_once() {
    let world = World::start();
    let ours = Authority::new(world.folder(), "ours");
    ours.issue(world.folder(), 3000);
    let (certificate, key) = (world.folder().join("tls.crt"), world.folder().join("tls.key"));
    let run = |variables: &[(&str, &Path)]| {
        let mut command = world.command(&["serve", "--listen", "127.0.0.1:0"]);
        world.finish(command.envs(variables.iter().copied())).exits(2).stderr()
    };
    const CERTIFICATE: &str = "SPEECH_FLOW_SERVER_TLS_CERTIFICATE";
    const KEY: &str = "SPEECH_FLOW_SERVER_TLS_KEY";
    let absent = world.folder().join("absent.pem");
    let said = [
        run(&[(CERTIFICATE, &certificate)]),
        run(&[(CERTIFICATE, &certificate), (KEY, &absent)]),
        run(&[(CERTIFICATE, &certificate), (KEY, &certificate)]),
        run(&[(CERTIFICATE, &ours.bundle), (KEY, &key)]),
    ];
    insta::assert_snapshot!(world.stable(&said.join("\n")));
}
