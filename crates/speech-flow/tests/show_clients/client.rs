//! Runs the real clients: the scripts in `tests/clients`, and the `hf` command.
//!
//! `make test` makes their environment, and `SPEECH_FLOW_TEST_PYTHON` names its Python. Without one the tests
//! say aloud that they are skipped; with `CI=true` or `SPEECH_FLOW_REQUIRE_CLIENTS=1` they fail.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Run, World};

/// A Python with the clients.
pub(crate) struct Client {
    python: PathBuf,
}

impl Client {
    /// The environment that `make test` names or has made.
    #[track_caller]
    pub(crate) fn find() -> Option<Self> {
        let named = std::env::var_os("SPEECH_FLOW_TEST_PYTHON").map(PathBuf::from);
        let python = named.unwrap_or_else(|| root().join(".venv/bin/python"));
        if python.is_file() {
            return Some(Self { python });
        }
        skipped(&python);
        None
    }

    /// Another environment's.
    pub(crate) fn of(python: PathBuf) -> Self {
        Self { python }
    }

    /// One of the scripts in `tests/clients`, in an environment of its own.
    pub(crate) fn script(&self, world: &World, name: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(world, &self.python);
        command.arg(root().join("tests/clients").join(name)).args(arguments);
        command
    }

    /// The `hf` command.
    pub(crate) fn hf(&self, world: &World, arguments: &[&str]) -> Command {
        let mut command = self.command(world, &self.python.with_file_name("hf"));
        command.args(arguments);
        command
    }

    /// Lets schemathesis ask whatever a description allows, and more; it exits 1 where a check fails.
    pub(crate) fn schemathesis(&self, world: &World, description: &str, checks: &str, options: &[&str]) -> Run {
        let mut command = self.command(world, &self.beside("schemathesis"));
        command.args(["run", description, "--checks", checks, "--max-examples", "20", "--seed", "1"]);
        command.args(["--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all"]).args(options);
        Run::new(command.output().expect("schemathesis starts"))
    }

    /// A program of the environment.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.python.with_file_name(name)
    }

    /// A program in an environment of its own.
    pub(crate) fn command(&self, world: &World, program: &Path) -> Command {
        let mut command = Command::new(program);
        let base = world.cache_dir().join("huggingface");
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", world.folder().join("home"))
            .env("HF_HOME", base)
            .env("HF_ENDPOINT", world.hub.endpoint())
            .env("HF_HUB_DISABLE_TELEMETRY", "1")
            .env("HF_HUB_DISABLE_UPDATE_CHECK", "1")
            .env("NO_COLOR", "1")
            .current_dir(world.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// Runs a script that must succeed; gives its answer.
#[track_caller]
pub(crate) fn answer(command: &mut Command) -> Value {
    answer_of(&Run::new(command.output().expect("Python starts")))
}

/// The answer of a script that has ended and must have succeeded.
#[track_caller]
pub(crate) fn answer_of(run: &Run) -> Value {
    let (stdout, stderr) = (run.stdout(), run.stderr());
    let answer: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("no answer\n{stdout}\n{stderr}"));
    assert!(run.code() == 0 && answer["ok"] == true, "{answer}\n{stderr}");
    answer
}

/// Where the project lies.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[track_caller]
#[expect(clippy::print_stderr, reason = "a skipped test says so aloud")]
fn skipped(python: &Path) {
    let is_set = |name: &str, value: &str| std::env::var_os(name).is_some_and(|set| set == value);
    let required = is_set("CI", "true") || is_set("SPEECH_FLOW_REQUIRE_CLIENTS", "1");
    let message = format!("there is no `{}`: `make test` makes it", python.display());
    assert!(!required, "the real clients may not be skipped: {message}");
    eprintln!("SKIPPED: the real clients: {message}");
}
