//! A cache server with a volume of its own, and a client of it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::support::{World, wait_until};

/// A server that ends with the test.
pub(crate) struct Server {
    child: Child,
    address: String,
    log: PathBuf,
}

impl Server {
    /// Starts a server whose cache and log are below the world's folder.
    #[track_caller]
    pub(crate) fn start(world: &World, name: &str, variables: &[(&'static str, String)]) -> Self {
        let log = world.folder().join(format!("{name}.log"));
        let mut command = world.command(&["serve", "--json", "--listen", "127.0.0.1:0"]);
        command.env("MODEL_CACHE_DIR", world.folder().join(name)).env("SPEECH_FLOW_LOG", "trace");
        command.env("SPEECH_FLOW_SEGMENT_SIZE", "4MiB").envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.stderr(File::create(&log).expect("a log")).spawn().expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says its address");
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("it said {line:?}"));
        let address = said["endpoint"].as_str().and_then(|endpoint| endpoint.strip_prefix("http://"));
        Self { child, address: address.expect("an address").to_owned(), log }
    }

    /// One request; the body, if all of it came.
    pub(crate) fn ask(&self, path: &str) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(&self.address).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address).expect("sends");
        let mut read = Vec::new();
        // A connection that is cut is an answer, too.
        let _ = stream.read_to_end(&mut read);
        let end = read.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let body = read.split_off(end + 4);
        let is_whole = head.starts_with("http/1.1 200") && length.is_none_or(|length| length == body.len());
        is_whole.then_some(body)
    }

    /// A file, asked for again as clients do when an answer breaks off.
    #[track_caller]
    pub(crate) fn get(&self, repo: &str, path: &str) -> Vec<u8> {
        let asked = (0..4).find_map(|_| self.ask(&format!("/{repo}/resolve/main/{path}")));
        asked.unwrap_or_else(|| panic!("`{path}` did not come\n{}", self.log()))
    }

    /// A number of the store's, such as `uploads_total{outcome="stored"}`.
    #[track_caller]
    pub(crate) fn number(&self, name: &str) -> u64 {
        let text = String::from_utf8(self.ask("/metrics").expect("metrics")).expect("text");
        let prefix = format!("speech_flow_server_store_{name} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&*prefix)?.parse().ok());
        value.unwrap_or_else(|| panic!("`{name}` is not counted in\n{text}"))
    }

    pub(crate) fn uploads(&self, outcome: &str) -> u64 {
        self.number(&format!("uploads_total{{outcome=\"{outcome}\"}}"))
    }

    pub(crate) fn reads(&self, outcome: &str) -> u64 {
        self.number(&format!("requests_total{{outcome=\"{outcome}\"}}"))
    }

    /// Waits until no upload runs or waits.
    #[track_caller]
    pub(crate) fn wait_for_uploads(&self) {
        wait_until("the uploads end", || self.number("uploads_in_flight") == 0);
    }

    /// What it logged, at the finest level.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// SIGTERM; how long it took to end.
    #[track_caller]
    pub(crate) fn terminate(mut self) -> Duration {
        let since = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        assert!(self.child.wait().expect("ends").success(), "{}", self.log());
        since.elapsed()
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
