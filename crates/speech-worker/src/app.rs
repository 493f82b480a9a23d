//! What every request finds: the limits, the door, the model that answers.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use speech_flow_model_manager::config::{self, Config, Secret};
use speech_flow_speech_engine::audio::{DecodeOptions, Limits};
use speech_flow_speech_engine::whisper::EncoderWindow;
use tokio::sync::Notify;

use crate::Kind;
use crate::admission::{Admission, Limits as DoorLimits};
use crate::health::Health;
use crate::http::body::Drain;
use crate::metrics::Metrics;
use crate::serving::Serving;

/// How fast a model is thought to be before it is known: as fast as one speaks.
const FIRST_SPEED: f64 = 1.0;
/// Unwanted bodies that are taken at once.
const DRAINS: usize = 256;

/// What every request finds.
pub(crate) struct App {
    pub(crate) kind: Kind,
    pub(crate) limits: AppLimits,
    pub(crate) api_key: Option<Secret>,
    pub(crate) temp_dir: PathBuf,
    /// How much of the encoder's window is filled where a request does not say.
    pub(crate) encoder_window: EncoderWindow,
    pub(crate) admission: Admission,
    pub(crate) health: Health,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) drain: Drain,
    /// Asks for the model to be looked up again.
    pub(crate) reload: Arc<Notify>,
    serving: RwLock<Option<Arc<Serving>>>,
}

/// What one request may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppLimits {
    pub(crate) upload: u64,
    pub(crate) duration: Duration,
    pub(crate) deadline: Duration,
    pub(crate) stuck_after: Duration,
}

impl App {
    /// The app of a worker that has no model yet.
    pub(crate) fn new(kind: Kind, config: &Config, reload: Arc<Notify>) -> prometheus::Result<Self> {
        let worker = &config.worker;
        let door = DoorLimits { audio_s: worker.queue.as_secs_f64(), requests: *worker.max_requests as usize };
        Ok(Self {
            kind,
            limits: AppLimits {
                upload: worker.max_upload.0,
                duration: *worker.max_duration,
                deadline: *worker.deadline,
                stuck_after: *worker.stuck_after,
            },
            api_key: worker.api_key.value.clone(),
            temp_dir: worker.temp_dir.to_path_buf(),
            encoder_window: match *worker.encoder_window {
                config::EncoderWindow::Full => EncoderWindow::Full,
                config::EncoderWindow::Fitted => EncoderWindow::Fitted,
            },
            admission: Admission::new(door, FIRST_SPEED),
            health: Health::new(),
            metrics: Arc::new(Metrics::new(door)?),
            drain: Drain::new(DRAINS),
            reload,
            serving: RwLock::default(),
        })
    }

    /// The model that answers; `None` while none is loaded.
    pub(crate) fn serving(&self) -> Option<Arc<Serving>> {
        self.serving.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this model answers. The one before goes when its last request is done.
    pub(crate) fn serve(&self, serving: Arc<Serving>) {
        self.metrics.model(&serving.info);
        let before = self.serving.write().unwrap_or_else(PoisonError::into_inner).replace(serving);
        drop(before);
    }

    /// For how long the engine has been at one batch.
    pub(crate) fn longest_running(&self) -> Option<Duration> {
        self.serving()?.longest_running()
    }

    /// For how long the engine has been at one batch, when that is longer than it may be.
    pub(crate) fn stuck(&self) -> Option<Duration> {
        let running = self.longest_running()?;
        (running > self.limits.stuck_after).then_some(running)
    }

    /// How a request's audio is decoded.
    pub(crate) fn decode_options(&self) -> DecodeOptions {
        let limits = Limits { max_bytes: self.limits.upload, max_duration: self.limits.duration, ..Limits::default() };
        DecodeOptions { limits, ..DecodeOptions::default() }
    }
}
