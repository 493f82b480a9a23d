//! What tests of the real process need: a hub, a folder, and runs with an environment that is known.
//!
//! Include it with
//!
//! ```ignore
//! #[path = "support/support.rs"]
//! mod support;
//! use support::World;
//! ```
//!
//! [`World::start`] gives the demo repositories; [`World::with`] a hub of your own. [`World::run`] runs the
//! program to its end, [`World::command`] gives a `Command` to change first. Every run has a cleared
//! environment: nothing of the machine's configuration, tokens or proxies gets in.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use speech_flow_demo_hub::{DemoHub, DemoHubBuilder, RequestRecord};
use tempfile::TempDir;

/// The Whisper model of the tests' configuration.
pub(crate) const WHISPER: &str = "speech-flow/tiny-whisper-ct2";
/// The language identification model of the tests' configuration.
pub(crate) const LID: &str = "speech-flow/tiny-lid";

/// A hub, and a folder for caches and lockfile.
pub(crate) struct World {
    pub(crate) hub: DemoHub,
    folder: TempDir,
}

impl World {
    /// A hub with the demo repositories and an empty folder.
    pub(crate) fn start() -> Self {
        Self::with(DemoHub::builder().demo().expect("the demo repositories"))
    }

    /// A hub of the test's own and an empty folder.
    pub(crate) fn with(builder: DemoHubBuilder) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { hub: builder.start_blocking().expect("a hub"), folder }
    }

    /// The folder that everything of this world is in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `MODEL_CACHE_DIR`.
    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.folder().join("models")
    }

    /// The cache of every model but Whisper.
    pub(crate) fn hub_cache(&self) -> PathBuf {
        self.cache_dir().join("huggingface/hub")
    }

    /// The cache of Whisper models.
    pub(crate) fn whisper_cache(&self) -> PathBuf {
        self.cache_dir().join("whisper")
    }

    /// The lockfile.
    pub(crate) fn lockfile(&self) -> PathBuf {
        self.folder().join("speech-flow.lock")
    }

    /// The program with arguments in this world's environment; its input and output are piped.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_speech-flow"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder().join("home"))
            .env("MODEL_CACHE_DIR", self.cache_dir())
            .env("HF_ENDPOINT", self.hub.endpoint())
            .env("WHISPER_MODEL_NAME", WHISPER)
            .env("LID_MODEL_ID", LID)
            .env("MODEL_DOWNLOAD_RETRY_DELAY", "10ms")
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.finish(&mut self.command(arguments))
    }

    /// Runs a command of this world to its end.
    #[track_caller]
    pub(crate) fn finish(&self, command: &mut Command) -> Run {
        Run::new(command.output().expect("the program starts"))
    }

    /// Requests for files that were answered with bytes.
    pub(crate) fn file_requests(&self) -> Vec<RequestRecord> {
        self.hub.requests().into_iter().filter(|request| request.file.is_some() && request.method == "GET").collect()
    }

    /// Bytes of files that the hub sent.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_requests().iter().filter(|request| request.status < 300).map(|request| request.bytes_sent).sum()
    }

    /// Text with all that differs from run to run replaced.
    pub(crate) fn stable(&self, text: &str) -> String {
        let mut text = text.replace(&self.hub.endpoint(), "[HUB]");
        if let Some(cdn) = self.hub.cdn_endpoint() {
            text = text.replace(&cdn, "[CDN]");
        }
        text.replace(&self.folder().display().to_string(), "[DIR]")
    }
}

/// How a run ended and what it printed.
pub(crate) struct Run {
    output: Output,
}

impl Run {
    /// Takes the output of a process.
    pub(crate) fn new(output: Output) -> Self {
        Self { output }
    }

    /// The exit code; 128 + n for a process that died of signal n, as a shell has it.
    pub(crate) fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let status = self.output.status;
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }

    /// Fails with all that was printed unless the exit code is this one.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "exit code\n--- stdout\n{}\n--- stderr\n{}", self.stdout(), self.stderr());
        self
    }

    /// What was printed on stdout.
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// What was printed on stderr.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The one JSON document on stdout, with the right schema.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        let stdout = self.stdout();
        let document: serde_json::Value = serde_json::from_str(&stdout)
            .unwrap_or_else(|error| panic!("no JSON on stdout: {error}\n{stdout}\n--- stderr\n{}", self.stderr()));
        assert_eq!(document["schema"], 1, "{stdout}");
        document
    }
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Every file below a folder that does not lead elsewhere, sorted; links count as files.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => found.push(entry.path()),
            }
        }
    }
    found.sort();
    found
}
