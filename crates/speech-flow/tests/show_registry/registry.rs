//! A real registry on loopback: Debian's `docker-registry`, which `scripts/setup.sh test` installs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

pub(crate) const USER: &str = "the-user-of-the-tests";
/// What must never be shown.
pub(crate) const PASSWORD: &str = "the-registry-password-of-the-tests";
/// Made with `htpasswd -Bn`.
const HTPASSWD: &str = "the-user-of-the-tests:$2y$05$abcdefghijklmnopqrstuuCIdd7hxOgO7M8X9uXDIywoRiBJsnxaO\n";

/// How the registry lets people in.
#[derive(Debug, Clone)]
pub(crate) enum Door {
    /// All of them.
    Open,
    /// With a user and password.
    Password,
    /// All of them, over TLS.
    Tls,
    /// With a token of the service at this address, signed with the key of this certificate.
    Token { realm: String, certificate: String },
}

/// One registry, and the folder that it keeps everything in.
pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    root: PathBuf,
    process: Child,
}

impl Registry {
    /// Starts an empty registry; `None` where it is not installed, which `make test` does not put up with.
    pub(crate) fn start(folder: &Path, door: &Door) -> Option<Self> {
        let program = ["/usr/bin/docker-registry", "/usr/local/bin/docker-registry"].map(Path::new);
        let Some(program) = program.into_iter().find(|program| program.is_file()) else {
            skipped();
            return None;
        };
        let root = folder.join("registry");
        std::fs::create_dir_all(&root).expect("a folder");
        let mut config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '127.0.0.1:0'{}}}\n",
            root.display(),
            if matches!(door, Door::Tls) { tls(folder) } else { String::new() }
        );
        match door {
            Door::Open | Door::Tls => {}
            Door::Password => {
                let path = folder.join("htpasswd");
                std::fs::write(&path, HTPASSWD).expect("writes");
                config.push_str(&format!("auth: {{htpasswd: {{realm: tests, path: {}}}}}\n", path.display()));
            }
            Door::Token { realm, certificate } => {
                let path = folder.join("tokens.pem");
                std::fs::write(&path, certificate).expect("writes");
                config.push_str(&format!(
                    "auth: {{token: {{realm: '{realm}', service: tests, issuer: tests, rootcertbundle: {}}}}}\n",
                    path.display()
                ));
            }
        }
        let path = folder.join("registry.yml");
        std::fs::write(&path, config).expect("writes");
        let mut command = Command::new(program);
        command.arg("serve").arg(&path).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the registry starts");
        let mut said = BufReader::new(process.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let address = said.find_map(|line| {
            let (_, address) = line.split_once("listening on ")?;
            address.split(['"', ' ', ',']).next()?.parse().ok()
        });
        let address = address.expect("the registry says where it listens");
        // What it says later is not read by anyone, and must not fill its pipe.
        thread::spawn(move || said.for_each(drop));
        Some(Self { address, root, process })
    }

    /// The name of an artifact here, or behind another address.
    pub(crate) fn reference(&self, name: &str) -> String {
        format!("oci://{}/{name}", self.address)
    }

    /// The stored content of a digest.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").expect("SHA-256");
        self.root.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")
    }

    /// Writes a manifest as it is, under a tag.
    pub(crate) fn put_manifest(&self, name: &str, tag: &str, media_type: &str, body: &[u8]) {
        let mut stream = TcpStream::connect(self.address).expect("connects");
        write!(
            stream,
            "PUT /v2/{name}/manifests/{tag} HTTP/1.1\r\nHost: {}\r\nContent-Type: {media_type}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        )
        .expect("sends");
        stream.write_all(body).expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answers");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
}

/// Makes a certificate in `registry.pem`, and the part of a configuration that names it.
fn tls(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.join("registry.pem"), folder.join("registry.key"));
    std::fs::write(&certificate, made.cert.pem()).expect("writes");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("writes");
    format!(", tls: {{certificate: {}, key: {}}}", certificate.display(), key.display())
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[track_caller]
#[expect(clippy::print_stderr, reason = "a skipped test says so aloud")]
fn skipped() {
    let is_set = |name: &str, value: &str| std::env::var_os(name).is_some_and(|set| set == value);
    let required = is_set("CI", "true") || is_set("SPEECH_FLOW_REQUIRE_CLIENTS", "1");
    let message = "there is no `docker-registry`: `scripts/setup.sh test` installs it";
    assert!(!required, "the real registry may not be skipped: {message}");
    eprintln!("SKIPPED: a real registry: {message}");
}
