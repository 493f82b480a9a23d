//! Language identification. A request needs few and short windows, each alone in its batch, and the engine itself
//! serves the windows of all requests in the order in which they come: there is nothing to schedule.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use speech_flow_speech_engine::audio::Audio;
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::error::Error;
use speech_flow_speech_engine::lid::{Identification, IdentifyOptions, LidModel};
use speech_flow_speech_engine::vad::SileroVad;

use crate::schedule::PoolEvents;

/// A loaded model.
pub(crate) struct LidEngine {
    model: LidModel,
    events: Arc<dyn PoolEvents>,
    activity: Mutex<Activity>,
}

/// What is going on.
#[derive(Debug)]
struct Activity {
    running: usize,
    /// When a request last began on an idle engine or ended on a busy one: since then nothing was achieved.
    since: Instant,
}

impl LidEngine {
    pub(crate) fn new(model: LidModel, events: Arc<dyn PoolEvents>) -> Self {
        let activity = Mutex::new(Activity { running: 0, since: Instant::now() });
        Self { model, events, activity }
    }

    /// Says which language is spoken. Blocking; called from many threads at once.
    pub(crate) fn identify(
        &self,
        audio: &Audio,
        options: &IdentifyOptions,
        vad: Option<&SileroVad>,
        cancel: &Cancel,
    ) -> Result<Identification, Error> {
        let begun = Instant::now();
        let _running = Running::begin(self);
        let found = self.model.identify(audio.samples(), options, vad, cancel)?;
        self.events.computed("identify", found.windows, begun.elapsed());
        Ok(found)
    }

    /// For how long the engine has achieved nothing although there is work.
    pub(crate) fn longest_running(&self) -> Option<Duration> {
        let activity = self.lock();
        (activity.running > 0).then(|| activity.since.elapsed())
    }

    /// Requests that the engine is at.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().running
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is worked on.
struct Running<'a>(&'a LidEngine);

impl<'a> Running<'a> {
    fn begin(engine: &'a LidEngine) -> Self {
        let mut activity = engine.lock();
        if activity.running == 0 {
            activity.since = Instant::now();
        }
        activity.running += 1;
        Self(engine)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut activity = self.0.lock();
        activity.running -= 1;
        activity.since = Instant::now();
    }
}
