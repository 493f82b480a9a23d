//! A model that is loaded, with its scheduler and its lease.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use speech_flow_model_manager::Lease;
use speech_flow_speech_engine::vad::SileroVad;

use crate::engine::lid::LidEngine;
use crate::engine::whisper::WhisperEngine;
use crate::model::ModelInfo;
use crate::schedule::Pool;

/// A model that answers. Requests hold it while they are worked on, so a swap waits for none of them.
pub(crate) struct Serving {
    pub(crate) info: ModelInfo,
    pub(crate) loaded: Loaded,
    /// The voice activity detector; without one, requests that ask for it are refused.
    pub(crate) vad: Option<Arc<SileroVad>>,
    /// When it was loaded, in seconds since 1970.
    pub(crate) loaded_at: u64,
    /// Keeps the model's files; none for a user's folder, which nobody deletes.
    _lease: Option<Lease>,
}

/// What is loaded.
pub(crate) enum Loaded {
    /// Whisper, ready to transcribe.
    Whisper(Pool<WhisperEngine>),
    /// A classifier of languages.
    Lid(Box<LidEngine>),
}

impl Serving {
    pub(crate) fn new(info: ModelInfo, loaded: Loaded, vad: Option<Arc<SileroVad>>, lease: Option<Lease>) -> Self {
        // A clock before 1970 only spoils a date that is shown.
        let loaded_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { info, loaded, vad, loaded_at, _lease: lease }
    }

    /// For how long the batch that takes longest has been computed.
    pub(crate) fn longest_running(&self) -> Option<Duration> {
        match &self.loaded {
            Loaded::Whisper(pool) => pool.longest_running(),
            Loaded::Lid(engine) => engine.longest_running(),
        }
    }

    /// Windows that wait for the engine.
    pub(crate) fn waiting(&self) -> usize {
        match &self.loaded {
            Loaded::Whisper(pool) => pool.waiting(),
            Loaded::Lid(engine) => engine.waiting(),
        }
    }
}
