//! Where the demo plays: a folder, a hub, and processes with an environment that is known.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use speech_flow_demo_hub::{DemoHub, FaultRule, Repository};
use speech_flow_model_types::RepoId;
use tempfile::TempDir;

use super::arrived::arrived;
use super::is_file_request;
use crate::printer::{Printer, Tone};
use crate::report::Failure;

/// A repository with a file that takes a moment.
pub(super) const LARGE: &str = "demo/large";
pub(super) const LARGE_FILE: &str = "weights.dat";
pub(super) const LARGE_BYTES: u64 = 128 << 20;

pub(super) const WHISPER: &str = "speech-flow/tiny-whisper-ct2";
pub(super) const LID: &str = "speech-flow/tiny-lid";

/// Time between two looks at what the hub has sent.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Variables that processes keep; all else about the surroundings is set.
const KEPT: [&str; 10] =
    ["PATH", "HOME", "TERM", "NO_COLOR", "LANG", "LC_ALL", "COLUMNS", "LD_LIBRARY_PATH", "TMPDIR", "CTRANSLATE2_ROOT"];

/// The demo's surroundings. The folder is removed with it, unless it is kept.
pub(super) struct Stage {
    printer: Arc<Printer>,
    hub: DemoHub,
    folder: Folder,
    program: PathBuf,
}

enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

/// What the hub saw since [`Stage::forget`].
pub(super) struct Seen {
    pub(super) requests: usize,
    /// Bytes of files that it sent.
    pub(super) file_bytes: u64,
}

impl Stage {
    pub(super) fn build(printer: Arc<Printer>, keep: Option<PathBuf>) -> Result<Self, Failure> {
        let folder = match keep {
            None => {
                Folder::Temporary(tempfile::Builder::new().prefix("speech-flow-demo-").tempdir().map_err(no_folder)?)
            }
            Some(path) => {
                fs::create_dir_all(&path).map_err(no_folder)?;
                Folder::Kept(fs::canonicalize(path).map_err(no_folder)?)
            }
        };
        let large = Repository::builder(LARGE)
            .file("README.md", "Pseudo-random bytes, computed as they are sent.\n")
            .generated(LARGE_FILE, LARGE_BYTES, 1)
            .build()?;
        let hub = DemoHub::builder().demo()?.repository(large).start_blocking()?;
        let program =
            std::env::current_exe().map_err(|error| Failure::unexpected("cannot find this program", error))?;
        let stage = Self { printer, hub, folder, program };
        stage.write_configuration()?;
        let (path, endpoint) = (stage.folder().display(), stage.hub.endpoint());
        stage.printer.data(format_args!("A hub with tiny models listens on {endpoint}. The caches are in {path}."));
        Ok(stage)
    }

    fn write_configuration(&self) -> Result<(), Failure> {
        let text = format!(
            "[hub]\nendpoint = \"{}\"\n\n[whisper]\nmodel = \"{WHISPER}\"\n\n[lid]\nmodel = \"{LID}\"\n",
            self.hub.endpoint()
        );
        fs::write(self.configuration(), text).map_err(no_folder)
    }

    fn configuration(&self) -> PathBuf {
        self.folder().join("speech-flow.toml")
    }

    pub(super) fn printer(&self) -> &Printer {
        &self.printer
    }

    pub(super) fn folder(&self) -> &Path {
        match &self.folder {
            Folder::Temporary(folder) => folder.path(),
            Folder::Kept(folder) => folder,
        }
    }

    /// The folder, when it stays.
    pub(super) fn kept(&self) -> Option<&Path> {
        matches!(self.folder, Folder::Kept(_)).then(|| self.folder())
    }

    /// The cache of every model but Whisper.
    pub(super) fn hub_cache(&self) -> PathBuf {
        self.folder().join("models/huggingface/hub")
    }

    /// The cache of Whisper models.
    pub(super) fn whisper_cache(&self) -> PathBuf {
        self.folder().join("models/whisper")
    }

    /// A program in the demo's surroundings.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let kept = KEPT.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
        let set = [
            ("MODEL_CACHE_DIR", self.folder().join("models")),
            ("SPEECH_FLOW_CONFIG", self.configuration()),
            ("SPEECH_FLOW_LOCKFILE", self.folder().join("speech-flow.lock")),
        ];
        command
            .env_clear()
            .envs(kept.collect::<Vec<(&str, OsString)>>())
            .envs(set)
            .env("HF_ENDPOINT", self.hub.endpoint())
            .current_dir(self.folder());
        command
    }

    /// Shows a call and makes it. It must end well.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<(), Failure> {
        let status = self.start(arguments)?.wait().map_err(|error| Failure::unexpected("cannot wait", error))?;
        self.expect(status.success(), &format!("`speech-flow {}` ends well ({status})", arguments.join(" ")))
    }

    /// Shows a call, makes it, and shows what it prints, which is also given back. It must end well.
    pub(super) fn run_and_read(&self, arguments: &[&str]) -> Result<String, Failure> {
        let done = self.prepare(arguments).stderr(Stdio::inherit()).output();
        let done = done.map_err(|error| self.not_started(error))?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        said.lines().for_each(|line| self.printer.data(line));
        self.expect(
            done.status.success(),
            &format!("`speech-flow {}` ends well ({})", arguments.join(" "), done.status),
        )?;
        Ok(said)
    }

    /// Starts a call and kills it once the hub has sent so much.
    pub(super) fn kill_when(&self, arguments: &[&str], bytes: u64, patience: Duration) -> Result<(), Failure> {
        let failed = |error| Failure::unexpected("cannot kill the download", error);
        let mut child = self.start(arguments)?;
        let started = Instant::now();
        while self.seen().file_bytes < bytes {
            let ended = child.try_wait().map_err(failed)?;
            self.expect(ended.is_none() && started.elapsed() < patience, "the download gets far enough to be killed")?;
            thread::sleep(LOOK_EVERY);
        }
        child.kill().map_err(failed)?;
        child.wait().map_err(failed)?;
        Ok(())
    }

    /// Bytes of [`LARGE_FILE`] that are on disk while it is incomplete.
    pub(super) fn arrived(&self) -> Result<u64, Failure> {
        let repo: RepoId = LARGE.parse().map_err(|error| Failure::unexpected("cannot name the repository", error))?;
        let repository = self.hub_cache().join(repo.folder());
        arrived(&repository).map_err(|error| Failure::unexpected("cannot read what has arrived", error))
    }

    fn start(&self, arguments: &[&str]) -> Result<Child, Failure> {
        self.prepare(arguments).spawn().map_err(|error| self.not_started(error))
    }

    /// Shows a call that is about to be made.
    fn prepare(&self, arguments: &[&str]) -> Command {
        let line = format!("$ speech-flow {}", arguments.join(" "));
        self.printer.data(self.printer.paint(Tone::Strong, line));
        let mut command = self.command(&self.program);
        command.args(arguments);
        command
    }

    fn not_started(&self, error: std::io::Error) -> Failure {
        Failure::unexpected(format!("cannot start `{}`", self.program.display()), error)
    }

    /// What the hub saw since the last [`Stage::forget`].
    pub(super) fn seen(&self) -> Seen {
        let requests = self.hub.requests();
        let files = requests.iter().filter(|request| is_file_request(request.endpoint) && request.status < 300);
        Seen { file_bytes: files.map(|request| request.bytes_sent).sum(), requests: requests.len() }
    }

    pub(super) fn forget(&self) {
        self.hub.clear_requests();
    }

    pub(super) fn fault(&self, rule: FaultRule) -> Result<(), Failure> {
        self.hub.add_fault(rule)?;
        Ok(())
    }

    pub(super) fn no_faults(&self) {
        self.hub.clear_faults();
    }

    /// Ends the demo when it does not show what it says.
    pub(super) fn expect(&self, holds: bool, claim: &str) -> Result<(), Failure> {
        if holds {
            return Ok(());
        }
        Err(Failure::refused(
            format!("the demo failed: it does not hold that {claim}"),
            "run it again with `--keep DIR -v`",
        ))
    }
}

fn no_folder(error: std::io::Error) -> Failure {
    Failure::unexpected("cannot make the demo's folder", error)
}
