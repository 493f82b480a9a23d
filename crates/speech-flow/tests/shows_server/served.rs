//! A running server in front of a world's hub.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::support::World;

/// A server that ends with the test.
pub(crate) struct Served {
    child: Child,
    pub(crate) endpoint: String,
}

impl Served {
    /// Starts a server; `cache` is its folder below the world's.
    #[track_caller]
    pub(crate) fn start(world: &World, cache: &str, arguments: &[&str]) -> Self {
        Self::start_with(world, cache, arguments, &[])
    }

    /// The same, with variables.
    #[track_caller]
    pub(crate) fn start_with(world: &World, cache: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = world.command(&["serve", "--json"]);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(arguments).env("MODEL_CACHE_DIR", world.folder().join(cache)).envs(variables.iter().copied());
        Self::spawn(&mut command)
    }

    /// Starts a server with more variables.
    #[track_caller]
    pub(crate) fn with<K: AsRef<OsStr>, V: AsRef<OsStr>>(world: &World, cache: &str, variables: &[(K, V)]) -> Self {
        let mut command = world.command(&["serve", "--json", "--listen", "127.0.0.1:0"]);
        command.env("MODEL_CACHE_DIR", world.folder().join(cache));
        variables.iter().for_each(|(name, value)| {
            command.env(name, value);
        });
        Self::spawn(&mut command)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill starts").success());
    }

    #[track_caller]
    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::null()).spawn().expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says its address");
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("it said {line:?}"));
        let endpoint = said["endpoint"].as_str().expect("an address").to_owned();
        Self { child, endpoint }
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        self.endpoint.strip_prefix("http://").expect("plain HTTP")
    }

    /// The body of an answer, as far as it came.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address()).expect("connects");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address()).expect("asks");
        let mut answer = Vec::new();
        // One that is cut off is an answer, too.
        let _ = stream.read_to_end(&mut answer);
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        answer.split_off(head + 4)
    }

    /// The most memory that the process has had at once.
    #[track_caller]
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib << 10
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}
