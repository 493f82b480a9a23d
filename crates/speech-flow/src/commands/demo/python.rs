//! The step with stock Python clients.

use std::path::PathBuf;

use super::stage::{LID, Stage, WHISPER};
use crate::report::Failure;

/// What the clients do. They print what they found.
const SCRIPT: &str = include_str!("clients.py");

/// Lets Python clients read the caches offline; says so when there is no Python to do it.
pub(super) fn read_offline(stage: &Stage, python: Option<PathBuf>) -> Result<String, Failure> {
    stage.heading("5. Stock Python clients read the same caches offline");
    let Some(python) = python else {
        let skipped = "skipped: `SPEECH_FLOW_PYTHON` names no Python with huggingface_hub (`make demo` sets it up)";
        stage.printer().data(format_args!("  {skipped}"));
        return Ok("the step with Python clients was skipped".to_owned());
    };
    stage.forget();
    let status = stage
        .command(&python)
        .args(["-c", SCRIPT])
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HUB_CACHE", stage.hub_cache())
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        // It would say that torch is missing, which this step does not need.
        .env("TRANSFORMERS_VERBOSITY", "error")
        .env("WHISPER_CACHE_DIR", stage.whisper_cache())
        .env("WHISPER_MODEL_NAME", WHISPER)
        .env("LID_MODEL_ID", LID)
        .status()
        .map_err(|error| Failure::unexpected(format!("cannot start `{}`", python.display()), error))?;
    stage.expect(status.success(), &format!("the Python clients end well ({status})"))?;
    let seen = stage.seen();
    stage.counted(format_args!("the hub answered {} requests", seen.requests));
    stage.expect(seen.requests == 0, "the clients need no network")?;
    Ok("stock Python clients loaded both models from the same caches, with 0 requests".to_owned())
}
