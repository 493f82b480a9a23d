//! `preload --prepare`: the weights in the number format in which workers compute, once, beside the cache.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use speech_flow_model_manager::{Model, ModelManager};
use speech_flow_model_types::{ByteSize, ModelKind};
use speech_flow_speech_engine::ctranslate2::ComputeType;
use speech_flow_speech_engine::prepared::{Prepared, prepare};

use crate::report::Failure;
use crate::session::Session;

/// Prepares the weights of `model`, or finds them prepared; `None` for a model that the engine loads as it is.
pub(super) async fn run(session: &Session, manager: &ModelManager, model: &Model) -> Result<Option<Value>, Failure> {
    let asked = *session.config.whisper.compute_type;
    // These two are whatever fits the worker's device, which need not be this machine's.
    let form = match asked.as_str().parse().map_err(|error| Failure::unexpected("unknown compute type", error))? {
        ComputeType::Default | ComputeType::Auto => return Ok(None),
        form => form,
    };
    if model.kind != ModelKind::Whisper {
        return Ok(None);
    }
    let Some(place) = manager.prepared_place(model, asked.as_str()) else { return Ok(None) };
    if let Some(found) = Prepared::of(&place.folder, &place.source_digest)? {
        return Ok(Some(describe(&found, &place.folder, "hit")));
    }
    if !place.is_writable {
        return Err(Failure::refused(
            format!("the weights of `{}` cannot be prepared: `{}` is read-only", model.name, place.folder.display()),
            "run `speech-flow preload --prepare` where the volume is writable",
        ));
    }
    let started = Instant::now();
    let (from, to) = (model.path.clone(), place.folder);
    let into = to.clone();
    let work = tokio::task::spawn_blocking(move || prepare(&from, &into, form));
    let made = work.await.map_err(|error| Failure::unexpected("preparing the weights ended unexpectedly", error))??;
    session.printer.note(format_args!(
        "{}: weights prepared as {}, {} in {:.1} s",
        model.name,
        asked.as_str(),
        ByteSize(made.bytes),
        started.elapsed().as_secs_f64()
    ));
    Ok(Some(describe(&made, &to, "made")))
}

fn describe(prepared: &Prepared, folder: &Path, outcome: &str) -> Value {
    json!({
        "outcome": outcome,
        "path": folder,
        "compute_type": prepared.compute_type.name(),
        "digest": format!("sha256:{}", prepared.digest),
        "bytes": prepared.bytes,
    })
}
