//! From a model's name to a model that answers: ensure, lease, load, warm up.
//!
//! A model that does not load or does not answer is looked at once more, byte by byte, and what is damaged is fetched
//! again; when that changes nothing, the start fails.

mod load;
mod progress;

use std::sync::Arc;
use std::time::Instant;

use speech_flow_model_manager::config::{Config, VerifyAtStart};
use speech_flow_model_manager::{EnsureOptions, Model, ModelManager, Outcome, VerifyDepth};
use speech_flow_model_types::ModelSpec;
use speech_flow_speech_engine::vad::SileroVad;

use crate::app::App;
use crate::error::Error;
use crate::health::Phase;
use crate::serving::Serving;
use crate::{Kind, priority, warm_up};

/// What a start needs beside the app.
pub(crate) struct Starter {
    pub(crate) app: Arc<App>,
    pub(crate) config: Config,
    pub(crate) manager: ModelManager,
    pub(crate) ensure: EnsureOptions,
    /// The voice activity detector, where the configuration names none.
    pub(crate) vad: Option<Arc<SileroVad>>,
}

/// Whether the phases are those of the process' start, or of a swap beside a model that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    Start,
    Reload,
}

impl Starter {
    /// The model that the configuration names.
    pub(crate) fn spec(&self) -> ModelSpec {
        match self.app.kind {
            Kind::Whisper => self.config.whisper_model().spec,
            Kind::Lid => self.config.lid_model().spec,
        }
    }

    /// Makes the model ready, loads it and lets it answer once; `None` when it is the one that answers already.
    ///
    /// # Errors
    /// [`Error`], after one attempt to repair the model where the model was at fault.
    pub(crate) async fn start(&self, occasion: Occasion) -> Result<Option<Arc<Serving>>, Error> {
        let full = *self.config.worker.verify == VerifyAtStart::Full;
        let model = self.obtain(full, occasion).await?;
        if self.is_serving(&model) {
            return Ok(None);
        }
        let error = match self.bring_up(&model, occasion).await {
            Ok(serving) => return Ok(Some(serving)),
            Err(error @ Error::Engine { .. }) if model.origin.is_some() && model.outcome == Outcome::Hit => error,
            Err(error) => return Err(error),
        };
        tracing::warn!(error = %crate::http::error::Chain(&error), "the model does not work: every file of it is hashed");
        let again = self.obtain(true, occasion).await?;
        if again.outcome == Outcome::Hit {
            return Err(error);
        }
        Ok(Some(self.bring_up(&again, occasion).await?))
    }

    /// Whether the model that answers is this one. What is in a user's folder may have changed under its name.
    fn is_serving(&self, model: &Model) -> bool {
        let commit = model.origin.as_ref().map(|origin| origin.commit.as_str());
        commit.is_some() && self.app.serving().is_some_and(|serving| serving.info.commit.as_deref() == commit)
    }

    /// The model's folder, verified; with `full`, every byte of it.
    async fn obtain(&self, full: bool, occasion: Occasion) -> Result<Model, Error> {
        let spec = self.spec();
        let failed = |source| match source {
            speech_flow_model_manager::Error::Cancelled => Error::Stopped,
            source => Error::Model { model: spec.to_string(), source: Box::new(source) },
        };
        let options = progress::followed(&self.ensure, Arc::clone(&self.app), full);
        let ensured = self.phase(Phase::Ensure, occasion, self.manager.ensure_with(&spec, &options)).await;
        let model = ensured.map_err(failed)?;
        self.app.metrics.obtained(model.outcome);
        let outcome = model.outcome.as_str();
        let commit = model.origin.as_ref().map(|origin| origin.commit.as_str());
        tracing::info!(model = %spec, commit, status = outcome, "the model is on disk");
        if full && model.outcome == Outcome::Hit {
            let verified = self.manager.verify(&spec, VerifyDepth::Full, &self.ensure);
            let report = self.phase(Phase::Verify, occasion, verified).await.map_err(failed)?;
            if !report.is_good() {
                let bad = |file: &speech_flow_model_manager::FileReport| {
                    file.problem.as_ref().map(|problem| format!("`{}` {problem}", file.path))
                };
                let problems = report.files.iter().filter_map(bad).chain(report.problems.clone()).collect();
                return Err(Error::Verification { model: spec.to_string(), problems });
            }
        }
        Ok(model)
    }

    /// Leases and loads the model, and waits for its first answer.
    async fn bring_up(&self, model: &Model, occasion: Occasion) -> Result<Arc<Serving>, Error> {
        let failed = |source| Error::Model { model: model.name.clone(), source: Box::new(source) };
        let leased = self.phase(Phase::Lease, occasion, async { self.manager.lease(model) }).await;
        let lease = leased.map_err(failed)?;
        let plan = load::Plan::new(self.app.kind, &self.config, &self.manager, model);
        let events = Arc::clone(&self.app.metrics);
        let loaded = self.phase(Phase::Load, occasion, blocking(move || plan.load(events))).await?;
        let vad = self.detector().await?;
        let serving = Arc::new(Serving::new(loaded.info, loaded.loaded, vad, lease));
        let warm = {
            let serving = Arc::clone(&serving);
            blocking(move || Ok(warm_up::run(&serving)))
        };
        let begun = Instant::now();
        let answered = self.phase(Phase::WarmUp, occasion, warm).await?;
        let audio_s = answered.map_err(|source| Error::Engine {
            model: model.name.clone(),
            folder: model.path.clone(),
            step: "answer",
            source: Box::new(source),
        })?;
        if occasion == Occasion::Start {
            self.app.admission.guess_speed(audio_s / begun.elapsed().as_secs_f64().max(0.001));
        }
        Ok(serving)
    }

    /// The voice activity detector: the configured one, else the one that was handed in.
    async fn detector(&self) -> Result<Option<Arc<SileroVad>>, Error> {
        let Some(spec) = self.config.vad_model() else { return Ok(self.vad.clone()) };
        let failed = |source| Error::Model { model: spec.to_string(), source: Box::new(source) };
        let model = self.manager.ensure_with(&spec, &self.ensure).await.map_err(failed)?;
        blocking(move || {
            let failed = |source| Error::Engine {
                model: model.name.clone(),
                folder: model.path.clone(),
                step: "load",
                source: Box::new(source),
            };
            Ok(Some(Arc::new(SileroVad::load(&model.path).map_err(failed)?)))
        })
        .await
    }

    /// Runs one phase, with its time in the log, in the metrics and in `/readyz`.
    async fn phase<T>(&self, phase: Phase, occasion: Occasion, work: impl Future<Output = T>) -> T {
        if occasion == Occasion::Reload {
            return work.await;
        }
        self.app.health.begin(phase);
        let done = work.await;
        if let Some((phase, took)) = self.app.health.end() {
            self.app.metrics.phase(phase, took);
            let elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(phase = phase.as_str(), elapsed_ms, "a phase of the start is done");
        }
        done
    }
}

/// Runs blocking work on a thread of its own. The engine's threads are children of the one that loads the model, and
/// step back behind answering as it does.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    let run = move || {
        priority::step_back();
        // Nobody may wait any more.
        let _ = answer.send(work());
    };
    let failed = |source| Error::System { what: "load a model", source };
    std::thread::Builder::new().name("engine".to_owned()).spawn(run).map_err(failed)?;
    answered.await.unwrap_or_else(|_| Err(failed(std::io::Error::other("the thread that loads panicked"))))
}
