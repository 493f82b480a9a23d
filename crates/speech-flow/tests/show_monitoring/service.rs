//! The cache server or a worker as a process.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::http::get;
use crate::root;
use crate::support::{World, wait_until};

/// A server or a worker that ends with the test.
pub(crate) struct Service {
    process: Child,
    /// `host:port`.
    pub(crate) address: String,
}

impl Service {
    /// Starts `speech-flow` with a cache of its own, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(world: &World, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = world.command(arguments);
        command.args(["--listen", "127.0.0.1:0"]).envs(variables.iter().copied());
        command.env("MODEL_CACHE_DIR", world.folder().join(arguments.join("-")));
        let mut process = command.stderr(Stdio::inherit()).spawn().expect("it starts");
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut url).expect("an address");
        let service = Self { process, address: url.trim().trim_start_matches("http://").to_owned() };
        wait_until("it is ready", || get(&service.address, "/readyz").is_some_and(|(status, _)| status == 200));
        service
    }

    /// Lets it hear a recording, and refuse one.
    #[track_caller]
    pub(crate) fn work(&self, path: &str) {
        let clip = format!("file=@{}", root().join("fixtures/audio/en05.wav").display());
        for (form, expected) in [(clip.as_str(), "200"), ("file=nothing", "415")] {
            let url = format!("http://{}/v1/audio/{path}", self.address);
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--form", form, &url]);
            let status = String::from_utf8(curl.output().expect("curl starts").stdout).expect("text");
            assert_eq!(status, expected, "{path} with {form}");
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself, and the test has failed then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
