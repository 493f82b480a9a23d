//! What `transcribe` and `identify` share: a model made ready and leased, recordings read, results collected.

mod engine;
mod recordings;
mod vad;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use speech_flow_model_manager::{EnsureOptions, Events, Lease, Model, ModelManager};
use speech_flow_model_types::ModelSpec;
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::prepared::Prepared;
use tokio_util::sync::CancellationToken;

pub(crate) use self::engine::{Classifier, Loaded, Setup, Whisper};
pub(crate) use self::recordings::{Recording, recordings, targets};
pub(crate) use self::vad::detector;
use crate::printer::{Printer, Tone};
use crate::progress::Reporter;
use crate::report::Failure;
use crate::session::Session;

/// What people are told on Ctrl-C.
pub(super) const INTERRUPTED: &str = "interrupted: the recording that is worked on is given up";

/// A model that is on disk, and in use until this is dropped.
pub(super) struct Ready {
    pub(super) model: Model,
    /// How long it took to get there.
    pub(super) took: Duration,
    manager: ModelManager,
    _lease: Option<Lease>,
}

impl Ready {
    /// Weights that `preload --prepare` has made of this very model. What is wrong with them is no reason to fail.
    fn prepared(&self, compute_type: &str) -> Option<Prepared> {
        let place = self.manager.prepared_place(&self.model, compute_type)?;
        Prepared::of(&place.folder, &place.source_digest).ok().flatten()
    }
}

/// Makes a model ready and says that it is in use.
pub(super) async fn ready(session: &Session, spec: &ModelSpec, cancel: &CancellationToken) -> Result<Ready, Failure> {
    let started = Instant::now();
    let manager = session.manager()?;
    let reporter = Arc::new(Reporter::new(Arc::clone(&session.printer)));
    let events: Arc<dyn Events> = Arc::clone(&reporter) as _;
    let options = EnsureOptions { events, cancel: cancel.clone(), ..session.options()? };
    let model = manager.ensure_with(spec, &options).await?;
    reporter.finish();
    let lease = manager.lease(&model)?;
    Ok(Ready { model, took: started.elapsed(), manager, _lease: lease })
}

/// Does blocking work on a thread of its own. On a signal the work is told to stop, and waited for.
pub(super) async fn on_a_thread<T: Send + 'static>(
    cancel: &CancellationToken,
    work: impl FnOnce(&Cancel) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let stop = Cancel::new();
    let inside = stop.clone();
    let mut work = tokio::task::spawn_blocking(move || work(&inside));
    let done = tokio::select! {
        done = &mut work => done,
        () = cancel.cancelled() => {
            stop.cancel();
            work.await
        }
    };
    done.map_err(|error| Failure::unexpected("the work ended unexpectedly", error))?
}

/// What came of the recordings, in their order.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) results: Vec<Value>,
    failed: Vec<(String, Failure)>,
}

impl Outcome {
    /// Says that a recording failed; the others go on.
    pub(super) fn fail(&mut self, printer: &Printer, file: String, failure: Failure) {
        failure.print(printer);
        self.failed.push((file, failure));
    }

    /// The two lists as JSON has them.
    pub(super) fn to_json(&self) -> Value {
        json!({ "results": self.results, "failed": self.failed.iter().map(failed).collect::<Vec<_>>() })
    }

    /// Tells people what was done. Fails with the worst of the failures, which were printed when they happened.
    pub(super) fn finish(self, printer: &Printer, done: usize, what: &str) -> Result<(), Failure> {
        let failed = self.failed.len();
        if failed > 0 {
            let bad = printer.paint_stderr(Tone::Bad, format_args!("{failed} failed"));
            printer.note(format_args!("{done} {what}, {bad}"));
        }
        match self.failed.iter().map(|(_, failure)| failure.code()).max() {
            None => Ok(()),
            Some(worst) => Err(Failure::said(worst)),
        }
    }
}

fn failed((file, failure): &(String, Failure)) -> Value {
    let mut value = failure.to_json(file);
    if let Value::Object(fields) = &mut value {
        fields.remove("name");
        fields.insert("file".to_owned(), file.as_str().into());
    }
    value
}

/// The model as results name it.
pub(super) fn identity(model: &Model, loaded: &Loaded) -> Value {
    let origin = model.origin.as_ref();
    json!({
        "name": model.name,
        "repo": origin.map(|origin| origin.repo.as_str()),
        "commit": origin.map(|origin| origin.commit.as_str()),
        "digest": model.digest,
        "device": loaded.device,
        "compute_type": loaded.compute_type,
    })
}

/// Seconds to the millisecond: more digits would promise what a clock does not hold.
pub(super) fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}
