//! Real object stores on loopback: a folder, an S3 server, an Azure Blob server. `scripts/objectstore.sh` gets them.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{files_below, wait_until};

const ACCESS_KEY: &str = "the-key-id-of-the-tests";
/// What must never be shown.
pub(crate) const SECRET_KEY: &str = "the-secret-key-of-the-tests";
/// `SECRET_KEY`, as Azure has its keys.
pub(crate) const SECRET_BASE64: &str = "dGhlLXNlY3JldC1rZXktb2YtdGhlLXRlc3Rz";
const ACCOUNT: &str = "tests";
const BUCKET: &str = "models";

/// A store, and how a server is told to reach it.
pub(crate) struct Store {
    folder: PathBuf,
    /// Where it listens, if it is a server.
    pub(crate) address: Option<SocketAddr>,
    kind: Kind,
    process: Option<Child>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    S3,
    Azure,
}

impl Store {
    /// Starts an empty store whose data is in a new folder below `folder`; `None` where it is not installed, which
    /// `make test` does not put up with.
    pub(crate) fn start(kind: Kind, folder: &Path) -> Option<Self> {
        let folder = folder.join("store");
        std::fs::create_dir_all(folder.join(BUCKET)).expect("a folder");
        let mut store = Self { folder, address: None, kind, process: None };
        match kind {
            Kind::Folder => {}
            Kind::S3 => store.start_s3()?,
            Kind::Azure => store.start_azure()?,
        }
        Some(store)
    }

    fn start_s3(&mut self) -> Option<()> {
        let program = installed("bin/s3s-fs")?;
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]).arg(&self.folder);
        self.process = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("S3 starts"));
        wait_until("the S3 server listens", || TcpStream::connect(address).is_ok());
        self.address = Some(address);
        Some(())
    }

    fn start_azure(&mut self) -> Option<()> {
        let program = installed("azurite/node_modules/azurite/dist/src/blob/main.js")?;
        let mut command = Command::new("node");
        command.arg(program).args(["--blobHost", "127.0.0.1", "--blobPort", "0", "--silent", "--disableTelemetry"]);
        command.arg("--location").arg(&self.folder).env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{SECRET_BASE64}"));
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("Azurite starts");
        let said = BufReader::new(process.stdout.take().expect("piped")).lines().map_while(Result::ok);
        self.process = Some(process);
        let listens =
            said.filter_map(|line| line.split_once("listens on http://").map(|(_, address)| address.to_owned()));
        let address: SocketAddr =
            listens.take(1).next().expect("it says its address").trim().parse().expect("an address");
        self.address = Some(address);
        let script = root().join("tests/objectstore/container.mjs");
        let arguments = [&format!("http://{address}/{ACCOUNT}"), ACCOUNT, SECRET_BASE64, BUCKET];
        let made = Command::new("node").arg(script).args(arguments).status().expect("node runs");
        assert!(made.success(), "the container is made");
        Some(())
    }

    /// A server's variables for this store, reached at its own address or through another.
    pub(crate) fn variables(&self, through: Option<SocketAddr>) -> Vec<(&'static str, String)> {
        let address = through.or(self.address);
        let endpoint = address.map(|address| format!("http://{address}")).unwrap_or_default();
        let url = match self.kind {
            Kind::Folder => format!("file://{}/{BUCKET}/some/prefix", self.folder.display()),
            Kind::S3 => format!("s3://{BUCKET}/some/prefix"),
            Kind::Azure => format!("az://{BUCKET}/some/prefix"),
        };
        let mut variables = vec![("SPEECH_FLOW_SERVER_STORE", url)];
        match self.kind {
            Kind::Folder => {}
            Kind::S3 => variables.extend([
                ("AWS_ENDPOINT_URL", endpoint),
                ("AWS_ALLOW_HTTP", "true".to_owned()),
                ("AWS_REGION", "us-east-1".to_owned()),
                ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
                ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ]),
            Kind::Azure => variables.extend([
                ("AZURE_ENDPOINT", format!("{endpoint}/{ACCOUNT}")),
                ("AZURE_ALLOW_HTTP", "true".to_owned()),
                ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.to_owned()),
                ("AZURE_STORAGE_ACCOUNT_KEY", SECRET_BASE64.to_owned()),
            ]),
        }
        variables
    }

    /// The objects that are blobs, by their files. Not for Azurite, which has files of its own.
    pub(crate) fn blobs(&self) -> Vec<PathBuf> {
        files_below(&self.folder.join(BUCKET).join("some/prefix/blobs"))
    }

    /// The claims.
    pub(crate) fn claims(&self) -> Vec<PathBuf> {
        files_below(&self.folder.join(BUCKET).join("some/prefix/claims"))
    }

    /// The file of an object.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        let found = self.blobs().into_iter().find(|path| path.ends_with(digest));
        found.unwrap_or_else(|| panic!("`{digest}` is in the store"))
    }

    /// Ends the process.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop();
    }
}

fn installed(path: &str) -> Option<PathBuf> {
    let path = root().join("target/objectstore").join(path);
    if path.is_file() {
        return Some(path);
    }
    skipped(&path);
    None
}

#[track_caller]
#[expect(clippy::print_stderr, reason = "a skipped test says so aloud")]
fn skipped(path: &Path) {
    let is_set = |name: &str, value: &str| std::env::var_os(name).is_some_and(|set| set == value);
    let required = is_set("CI", "true") || is_set("SPEECH_FLOW_REQUIRE_CLIENTS", "1");
    let message = format!("there is no `{}`: `make test` gets it", path.display());
    assert!(!required, "the real stores may not be skipped: {message}");
    eprintln!("SKIPPED: a real store: {message}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
