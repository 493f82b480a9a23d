//! Window by window: each window gets the text before it, and the next one starts where whole sentences end.

use crate::audio::Audio;
use crate::cancel::Cancel;
use crate::error::Error;
use crate::features::WhisperFeatures;
use crate::vad::{SileroVad, SpeechTimestampsMap};
use crate::whisper::detect::{FeatureWindows, collect_all, find_tongue};
use crate::whisper::fallback::{Decoder, suppressed_tokens};
use crate::whisper::speech::{self, seconds};
use crate::whisper::walk::{Heard, Walk};
use crate::whisper::{
    Backend, Clips, Event, FRAMES_PER_SECOND, Tokenizer, TranscribeOptions, TranscriptionInfo, prompt,
};

/// What a transcription works with.
#[derive(Clone, Copy)]
pub struct Models<'a> {
    /// The Whisper model.
    pub backend: &'a dyn Backend,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The voice activity detector; needed only where it is asked for.
    pub vad: Option<&'a SileroVad>,
}

/// Transcribes a clip window by window.
///
/// `on_event` is called on this thread, once with [`Event::Started`] and then with each segment as soon as it is there.
///
/// # Errors
///
/// [`Error::Option`] for a value that cannot be honored, and what the backend gives.
pub fn transcribe(
    models: Models<'_>,
    audio: &Audio,
    options: &TranscribeOptions,
    cancel: &Cancel,
    on_event: &mut dyn FnMut(Event),
) -> Result<TranscriptionInfo, Error> {
    options.validate()?;
    let facts = models.backend.model();
    let mut spans = Vec::new();
    let collected;
    let mut samples = audio.samples();
    if options.vad_filter.unwrap_or(false) && options.clip_timestamps == Clips::Whole {
        let vad_options = options.vad_parameters.clone().unwrap_or_default().complete();
        spans = speech::find(models.vad, audio, &vad_options, cancel)?;
        collected = collect_all(&spans, samples);
        samples = &collected;
    }
    let features = WhisperFeatures::new(&facts.mel, samples);
    let max_frames = options.chunk_length.unwrap_or(facts.chunk_length) * FRAMES_PER_SECOND;
    let mut info = TranscriptionInfo::new(seconds(audio.samples().len()), seconds(samples.len()));
    let start = language_window(&options.clip_timestamps, &features);
    let windows = FeatureWindows::new(&features, start, max_frames, options.encoder_window());
    let frames = windows.frames();
    let (tongue, heard) = find_tongue(models, options, windows, cancel, &mut info)?;
    let heard = heard.map(|encoded| Heard { seek: start, frames, encoded });
    on_event(Event::Started(info.clone()));

    let map = (!spans.is_empty()).then(|| SpeechTimestampsMap::new(&spans));
    let suppressed = suppressed_tokens(models.tokenizer, &options.suppress_tokens)?;
    let history = prompt::initial(models.tokenizer, options.initial_prompt.as_ref(), true)?;
    let decoder =
        Decoder { backend: models.backend, tokenizer: models.tokenizer, options, suppressed: &suppressed, cancel };
    Walk { decoder, features, tongue, max_frames, heard, history, forgotten: 0, last_speech: 0.0, info, map }
        .run(on_event)
}

/// The frame at which the language is listened for: the start of the first clip, if that is in the audio.
fn language_window(clips: &Clips, features: &WhisperFeatures<'_>) -> usize {
    let start = clips.start() * FRAMES_PER_SECOND as f64;
    let content = features.frames() - 1;
    if start < content as f64 { start as usize } else { 0 }
}
