//! A registry with a token service: who gets the password, who gets the token, and who gets neither.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertifiedKey, KeyPair, SigningKey as _};
use serde_json::json;

use crate::logins::{AUTH, assert_hidden, with_login};
use crate::registry::{Door, PASSWORD};
use crate::scene::{REPO, Reader, Scene};

/// A token service as registries have it, which knows one user.
struct Service {
    address: SocketAddr,
    certificate: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    fn start() -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["tests".to_owned()]).expect("a certificate");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, chain) = (Arc::clone(&asked), STANDARD.encode(cert.der()));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                answer(client, &log, &chain, &signing_key);
            }
        });
        Self { address, certificate: cert.pem(), asked }
    }

    fn door(&self) -> Door {
        Door::Token { realm: format!("http://{}/token", self.address), certificate: self.certificate.clone() }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn answer(mut client: TcpStream, log: &Mutex<Vec<String>>, chain: &str, key: &KeyPair) {
    let mut lines = BufReader::new(client.try_clone().expect("another handle")).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let rest: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let is_known = rest.iter().any(|line| {
        let line = line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        line == Some(("authorization".to_owned(), format!("Basic {AUTH}")))
    });
    log.lock().expect("no panic").push(first.clone());
    let (status, body) = match is_known {
        true => ("200 OK", json!({ "token": token(&first, chain, key) }).to_string()),
        false => ("401 Unauthorized", r#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}"#.to_owned()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // A client may have gone.
    let _ = client.write_all((head + &body).as_bytes());
}

/// A token for what the request's scope asks for.
fn token(request: &str, chain: &str, key: &KeyPair) -> String {
    let scope = request.split("scope=").nth(1).and_then(|rest| rest.split(['&', ' ']).next()).expect("a scope");
    let scope = scope.replace("%3A", ":").replace("%2C", ",").replace("%2F", "/");
    let parts: Vec<&str> = scope.split(':').collect();
    let actions: Vec<&str> = parts[2].split(',').collect();
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let header = json!({ "typ": "JWT", "alg": "ES256", "x5c": [chain] });
    let claims = json!({
        "iss": "tests", "sub": "user", "aud": "tests", "jti": "1", "iat": now, "nbf": now - 60, "exp": now + 300,
        "access": [{ "type": parts[0], "name": parts[1], "actions": actions }],
    });
    let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = fixed(&key.sign(signed.as_bytes()).expect("a signature"));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A signature as JWT has it, from one as certificates have it: two numbers of 32 bytes each.
fn fixed(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let number = &number[number.len().saturating_sub(32)..];
        numbers.resize(numbers.len() + 32 - number.len(), 0);
        numbers.extend_from_slice(number);
        rest = &rest[2 + length..];
    }
    numbers
}

#[test]
fn a_token_service_gets_the_password_and_its_tokens_open_the_registry() {
    let service = Service::start();
    let Some(scene) = Scene::start(&service.door()) else { return };
    let reference = scene.registry.reference("models/artifact:v1");
    let pack = ["-vvv", "pack", REPO, &reference];
    scene.packer.run(&pack).exits(1);
    scene.packer.finish(with_login(&mut scene.packer.command(&pack), "wrong-password")).exits(1);
    let run = scene.packer.finish(with_login(&mut scene.packer.command(&pack), PASSWORD)).exits(0);
    assert_hidden(&run);
    let asked = service.asked();
    assert!(asked.iter().all(|line| line.contains("service=tests")), "{asked:?}");
    assert!(asked.iter().all(|line| line.contains("repository%3Amodels%2Fartifact%3Apull%2Cpush")), "{asked:?}");

    let reader = Reader::new();
    let mut command = reader.command(&["-vvv", "preload", &reference]);
    assert_hidden(&reader.world.finish(with_login(&mut command, PASSWORD)).exits(0));
    let last = service.asked().pop().expect("asked");
    assert!(last.contains("models%2Fartifact%3Apull ") || last.contains("models%2Fartifact%3Apull&"), "{last}");
}

/// A registry that answers every request with this refusal, and what it was sent.
fn refusing(challenge: &str) -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let sent = Arc::new(Mutex::new(String::new()));
    let (log, challenge) = (Arc::clone(&sent), challenge.to_owned());
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            client.set_read_timeout(Some(Duration::from_millis(200))).expect("a limit");
            let mut bytes = vec![0; 8192];
            let length = client.read(&mut bytes).unwrap_or(0);
            log.lock().expect("no panic").push_str(&String::from_utf8_lossy(&bytes[..length]));
            let head = format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            // A client that expects TLS has gone.
            let _ = client.write_all(head.as_bytes());
        }
    });
    (address, sent)
}

#[test]
fn a_password_is_not_sent_where_the_registry_must_not_point() {
    for realm in ["http://192.0.2.1/token", "ftp://127.0.0.1/token", "http://user:x@127.0.0.1/token", "token", ""] {
        let (address, sent) = refusing(&format!("Bearer realm=\"{realm}\",service=\"tests\""));
        let reader = Reader::new();
        let mut command = reader.command(&["-vvv", "preload", &format!("oci://{address}/a:b")]);
        let run = reader.world.finish(with_login(&mut command, PASSWORD)).exits(1);
        assert!(run.stderr().contains("login"), "{realm}: {}", run.stderr());
        assert_hidden(&run);
        let sent = sent.lock().expect("no panic");
        assert!(!sent.contains(AUTH) && !sent.to_ascii_lowercase().contains("authorization"), "{realm}: {sent}");
    }
}

#[test]
fn a_registry_with_tls_is_known_by_its_certificate() {
    let Some(scene) = Scene::start(&Door::Tls) else { return };
    let reference = scene.registry.reference("models/artifact:v1");
    let pack = ["pack", REPO, &reference];
    let run = scene.packer.run(&pack).exits(1);
    assert!(run.stderr().contains("not trusted") && run.stderr().contains("SSL_CERT_FILE"), "{}", run.stderr());
    let mut command = scene.packer.command(&pack);
    command.env("SSL_CERT_FILE", scene.packer.folder().join("registry.pem"));
    scene.packer.finish(&mut command).exits(0);
}
