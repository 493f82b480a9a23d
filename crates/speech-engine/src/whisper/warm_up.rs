//! The first inference: proves that the model answers, and brings its pages and kernels in.

use std::iter;

use crate::audio::Audio;
use crate::cancel::Cancel;
use crate::error::Error;
use crate::features::WhisperFeatures;
use crate::whisper::detect::find_tongue;
use crate::whisper::fallback::{Decoder, suppressed_tokens};
use crate::whisper::prompt::{self, Parts};
use crate::whisper::{Models, TranscribeOptions, TranscriptionInfo};

/// New tokens that fit. The engine generates no more than half of what fits with the prompt: two for a model of English
/// alone, whose prompt is one token, and three for others. The first step is that of the prompt, the next one goes on
/// from what it left.
const TOKENS: usize = 3;

/// Hears some sound as [`transcribe`](crate::whisper::transcribe) does, with all that the model does for it, but in a
/// window of just that length, and for a few tokens. A window of 30 seconds goes the same way and takes several times
/// as long, in every process that starts. What it needs more is memory.
///
/// # Errors
///
/// What the model gives.
pub fn warm_up(models: Models<'_>, audio: &Audio, cancel: &Cancel) -> Result<(), Error> {
    let Models { backend, tokenizer, .. } = models;
    let facts = backend.model();
    let options =
        TranscribeOptions { temperature: vec![0.0], max_new_tokens: Some(TOKENS), ..TranscribeOptions::default() };
    let features = WhisperFeatures::new(&facts.mel, audio.samples());
    let frames = features.frames() - 1;
    let mel = features.padded_window(0, frames, frames);
    let mut info = TranscriptionInfo::new(audio.duration().as_secs_f64(), audio.duration().as_secs_f64());
    let (tongue, heard) = find_tongue(models, &options, iter::once(mel.clone()), cancel, &mut info)?;
    let windows = match heard {
        Some(encoded) => vec![encoded],
        None => backend.encode(vec![mel], cancel)?,
    };
    let start_sequence = &tongue.start_sequence;
    let parts = Parts { previous: &[], start_sequence, without_timestamps: false, prefix: None, hotwords: None };
    let suppressed = suppressed_tokens(tokenizer, &options.suppress_tokens)?;
    let decoder = Decoder { backend, tokenizer, options: &options, suppressed: &suppressed, cancel };
    let decoded = decoder.decode(&windows, &[prompt::build(facts, tokenizer, &parts)])?;
    match decoded.is_empty() {
        true => Err(Error::Unavailable { reason: "it gave no result for a window".into() }),
        false => Ok(()),
    }
}
