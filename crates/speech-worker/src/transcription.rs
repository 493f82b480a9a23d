//! One transcription, from the uploaded file to its segments. Blocking; on a thread of its own.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::whisper::{Event, Segment, Task, TranscriptionInfo, transcribe, transcribe_batched};

use crate::admission::Ticket;
use crate::app::App;
use crate::engine::whisper::Scheduled;
use crate::http::error::ApiError;
use crate::http::form::Asked;
use crate::job;
use crate::metrics::Stage;
use crate::serving::{Loaded, Serving};

/// A recording and what is to be done with it.
pub(crate) struct Work {
    pub(crate) app: Arc<App>,
    pub(crate) serving: Arc<Serving>,
    pub(crate) ticket: Ticket,
    pub(crate) file: File,
    pub(crate) asked: Asked,
    pub(crate) cancel: Cancel,
    pub(crate) begun: Instant,
}

/// What was said.
pub(crate) struct Transcription {
    pub(crate) segments: Vec<Segment>,
    pub(crate) info: TranscriptionInfo,
}

impl Work {
    /// Decodes and transcribes.
    pub(crate) fn run(&mut self, on_event: &mut dyn FnMut(Event)) -> Result<TranscriptionInfo, ApiError> {
        let Loaded::Whisper(pool) = &self.serving.loaded else {
            return Err(ApiError::internal(&"the loaded model does not transcribe"));
        };
        let decode_begun = Instant::now();
        let audio = job::decode(&self.app, &mut self.file, self.asked.channel, &self.ticket, &self.cancel)?;
        let infer_begun = Instant::now();
        let scheduled = Scheduled::new(pool.client());
        let models = scheduled.models(self.serving.vad.as_deref());
        let (ticket, duration) = (&self.ticket, audio.duration());
        let mut follow = |event: Event| {
            if let Event::Progress { done, total } = &event
                && *total > 0.0
            {
                ticket.done_until(duration.as_secs_f64() * done / total);
            }
            on_event(event);
        };
        let options = &self.asked.options;
        let info = match self.asked.batch_size {
            None => transcribe(models, &audio, options, &self.cancel, &mut follow),
            Some(size) => transcribe_batched(models, &audio, options, size, &self.cancel, &mut follow),
        }?;
        self.ticket.finish();
        let metrics = &self.app.metrics;
        let task = if options.task == Task::Translate { "translate" } else { "transcribe" };
        metrics.stage(Stage::Infer, infer_begun.elapsed());
        metrics.stage(Stage::Whole, self.begun.elapsed());
        metrics.processed(task, duration, decode_begun.elapsed());
        metrics.vad_removed(info.duration - info.duration_after_vad);
        metrics.fallbacks(info.fallbacks);
        tracing::info!(
            audio_s = duration.as_secs_f64(),
            elapsed_ms = decode_begun.elapsed().as_millis() as u64,
            "transcribed"
        );
        Ok(info)
    }
}
