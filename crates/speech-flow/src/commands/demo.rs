//! `demo`: the whole story on an embedded hub, in a folder of its own and without a network.
//!
//! Each step runs this program as a process of its own, or a stock Python client, and then checks what the
//! hub saw. What is printed is what those processes print and what was counted.

mod arrived;
mod python;
mod speech;
mod stage;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use speech_flow_demo_hub::{Action, Endpoint, FaultRule};
use speech_flow_model_types::ByteSize;

use self::stage::{LARGE, LARGE_BYTES, LARGE_FILE, Stage};
use crate::cli::DemoArgs;
use crate::printer::{Printer, Tone};
use crate::report::Failure;
use crate::signals;

/// Bytes a second on each connection while the download that is killed runs.
const SLOW: u64 = 12 << 20;
/// How long the download may take to get far enough to be killed.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a killed download may fetch again of what was on disk: two segments of the default size.
const MAX_REPEATED: u64 = 2 * (16 << 20);

pub(super) fn run(printer: &Arc<Printer>, args: &DemoArgs) -> Result<(), Failure> {
    let teller = Arc::clone(printer);
    let keep = args.keep.clone();
    let python = std::env::var_os("SPEECH_FLOW_PYTHON").filter(|path| !path.is_empty());
    // The steps run in another folder. A virtual environment is known by the path of its link: it must stay.
    let python = python.map(std::path::absolute).transpose();
    let python = python.map_err(|error| Failure::unexpected("there is no current folder", error))?;
    signals::run(printer, "interrupted: the demo's folder is removed", |_cancel| async move {
        // The steps are processes of the same group: they get the signal as well, and end.
        let story = tokio::task::spawn_blocking(move || tell(&teller, keep, python));
        story.await.map_err(|error| Failure::unexpected("the demo ended unexpectedly", error))?
    })
}

fn tell(printer: &Arc<Printer>, keep: Option<PathBuf>, python: Option<PathBuf>) -> Result<(), Failure> {
    let stage = Stage::build(Arc::clone(printer), keep)?;
    let done = [
        preload(&stage)?,
        verify_list_lock(&stage)?,
        preload_again(&stage)?,
        kill_and_resume(&stage)?,
        python::read_offline(&stage, python)?,
        speech::transcribe(&stage)?,
        speech::identify(&stage)?,
    ];
    stage.heading("What was done");
    for line in done {
        printer.data(format_args!("- {line}"));
    }
    if let Some(folder) = stage.kept() {
        printer.data(format_args!("The caches are in {}", folder.display()));
    }
    Ok(())
}

fn preload(stage: &Stage) -> Result<String, Failure> {
    stage.heading("1. Preload the two configured models");
    stage.run(&["preload", "--all"])?;
    let seen = stage.seen();
    stage.counted(format_args!("the hub answered {} requests and sent {}", seen.requests, ByteSize(seen.file_bytes)));
    stage.expect(seen.file_bytes > 0, "the models came from the hub")?;
    Ok(format!(
        "two models preloaded, {} over {} requests, each hash checked while it arrived",
        ByteSize(seen.file_bytes),
        seen.requests
    ))
}

fn verify_list_lock(stage: &Stage) -> Result<String, Failure> {
    stage.heading("2. Verify, list and lock them");
    stage.run(&["verify"])?;
    stage.run(&["list"])?;
    stage.run(&["lock"])?;
    stage.run(&["lock", "--check"])?;
    Ok("both verified by their hashes, listed, and locked to their commits in speech-flow.lock".to_owned())
}

fn preload_again(stage: &Stage) -> Result<String, Failure> {
    stage.heading("3. Preload again, accepting only what is locked");
    stage.forget();
    stage.run(&["preload", "--all", "--locked"])?;
    let seen = stage.seen();
    stage.counted(format_args!("the hub answered {} requests and sent {}", seen.requests, ByteSize(seen.file_bytes)));
    stage.expect(seen.file_bytes == 0, "a second preload moves no bytes")?;
    Ok(format!("a second preload made {} requests and moved 0 bytes", seen.requests))
}

fn kill_and_resume(stage: &Stage) -> Result<String, Failure> {
    stage.heading("4. Kill a download at three quarters, and go on");
    let large = ByteSize(LARGE_BYTES);
    let slow = FaultRule::new(Action::Slow { bytes_per_second: SLOW }).repo(LARGE).path(LARGE_FILE);
    stage.fault(slow)?;
    stage.forget();
    stage.kill_when(&["preload", LARGE], LARGE_BYTES / 4 * 3, PATIENCE)?;
    let arrived = stage.arrived()?;
    stage.counted(format_args!("killed with SIGKILL when {} of {large} were on disk", ByteSize(arrived)));
    stage.no_faults();
    stage.forget();
    stage.run(&["preload", LARGE])?;
    let resumed = stage.seen().file_bytes;
    stage.counted(format_args!("the hub sent {} this time", ByteSize(resumed)));
    let left = LARGE_BYTES.saturating_sub(arrived);
    stage.expect(resumed < LARGE_BYTES && resumed <= left + MAX_REPEATED, "a killed download goes on where it was")?;
    Ok(format!(
        "a download of {large} was killed at {} and went on: {} were fetched afterwards, not {large}",
        ByteSize(arrived),
        ByteSize(resumed)
    ))
}

/// Requests for files, wherever they are answered.
fn is_file_request(endpoint: Endpoint) -> bool {
    matches!(endpoint, Endpoint::Resolve | Endpoint::Cdn)
}

impl Stage {
    fn heading(&self, text: &str) {
        let printer = self.printer();
        printer.data(format_args!("\n{}", printer.paint(Tone::Strong, text)));
    }

    fn counted(&self, text: impl std::fmt::Display) {
        let printer = self.printer();
        printer.data(printer.paint(Tone::Faint, format_args!("  {text}")));
    }
}
