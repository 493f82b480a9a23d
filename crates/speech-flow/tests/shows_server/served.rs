//! A running server in front of a world's hub.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
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
        let mut command = world.command(&["serve", "--json"]);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(arguments).env("MODEL_CACHE_DIR", world.folder().join(cache));
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
