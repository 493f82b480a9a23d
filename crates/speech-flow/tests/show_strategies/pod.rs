//! Processes that stand for pods.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http;
use crate::support::Run;

/// A container that serves; it is killed when the test ends.
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) address: String,
    process: Child,
    log: Option<JoinHandle<String>>,
}

impl Pod {
    /// Starts a container and waits for its address, which it has before it is ready.
    #[track_caller]
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::null()).spawn().expect("it starts");
        let mut errors = process.stderr.take().expect("piped");
        let log = thread::spawn(move || {
            let mut log = String::new();
            // What is no text is no log of ours.
            let _ = errors.read_to_string(&mut log);
            log
        });
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut url).expect("reads");
        let address = url.trim().trim_start_matches("http://").to_owned();
        let mut pod = Self { name: name.to_owned(), address, process, log: Some(log) };
        if pod.address.is_empty() {
            panic!("{name} did not start:\n{}", pod.end());
        }
        pod
    }

    /// Whether the readiness probe succeeds.
    pub(crate) fn is_ready(&self) -> bool {
        http::get(&self.address, "/readyz").is_some_and(|answer| answer.status == 200)
    }

    /// Waits for the readiness probe; the liveness probe must succeed all the while.
    #[track_caller]
    pub(crate) fn becomes_ready(&mut self) {
        let started = Instant::now();
        while !self.is_ready() {
            let alive = http::get(&self.address, "/livez").is_some_and(|answer| answer.status == 200);
            if !alive || started.elapsed() > Duration::from_secs(120) {
                panic!("{} does not become ready:\n{}", self.name.clone(), self.end());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The commit that `/v1/models` names; `None` while no model is loaded.
    pub(crate) fn commit(&self) -> Option<String> {
        let answer = http::get(&self.address, "/v1/models")?;
        let models: Value = serde_json::from_str(&answer.body).ok()?;
        models["data"][0]["commit"].as_str().map(str::to_owned)
    }

    /// Asks it to end, as kubelet does, and waits until it has.
    #[track_caller]
    pub(crate) fn terminate(mut self) {
        let signaled = Command::new("kill").args(["-s", "TERM", &self.process.id().to_string()]).status();
        assert!(signaled.expect("kill starts").success());
        let status = self.process.wait().expect("it ends");
        assert!(status.success() || status.code() == Some(143), "{} ended with {status}", self.name);
    }

    /// Kills it and gives its log.
    fn end(&mut self) -> String {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.log.take().and_then(|log| log.join().ok()).unwrap_or_default()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs containers one after another, each to its end, and gives what they logged.
#[track_caller]
pub(crate) fn run_all(commands: impl IntoIterator<Item = Command>) -> String {
    commands.into_iter().map(|mut command| Run::new(command.output().expect("it starts")).exits(0).stderr()).collect()
}
