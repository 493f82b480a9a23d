//! What a transcription gives: segments, words, and what was found out about the whole clip.

use serde::{Deserialize, Serialize};

/// A stretch of speech with its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Number of the segment in the transcription, from 1.
    pub id: usize,
    /// Frame (10 ms) of the clip at which the window of this segment starts.
    pub seek: usize,
    /// Start in seconds of the clip.
    pub start: f64,
    /// End in seconds of the clip.
    pub end: f64,
    /// Text, usually with a leading space.
    pub text: String,
    /// Tokens of the model, with the timestamp tokens.
    pub tokens: Vec<u32>,
    /// Average log probability of the tokens of the window.
    pub avg_logprob: f64,
    /// Bytes of the text for each byte that zlib makes of it: high for repetitions.
    pub compression_ratio: f64,
    /// Probability that the window has no speech.
    pub no_speech_prob: f64,
    /// The words, where they were asked for.
    pub words: Option<Vec<Word>>,
    /// Temperature at which the window was decoded.
    pub temperature: f64,
}

/// A word with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// Start in seconds of the clip.
    pub start: f64,
    /// End in seconds of the clip.
    pub end: f64,
    /// The word with its leading space and its punctuation.
    pub word: String,
    /// Mean probability of its tokens.
    pub probability: f64,
}

/// What was found out about a clip beside its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TranscriptionInfo {
    /// Whisper's code of the language, given or detected.
    pub language: String,
    /// Probability of the language; 1 where it was given.
    pub language_probability: f64,
    /// All languages with their probabilities, best first, where the language was detected.
    pub all_language_probs: Option<Vec<(String, f64)>>,
    /// Seconds of audio.
    pub duration: f64,
    /// Seconds of audio that were transcribed, after voice activity detection.
    pub duration_after_vad: f64,
    /// Windows that were decoded.
    pub windows: usize,
    /// Decodings that were done again at a higher temperature.
    pub fallbacks: usize,
}

impl TranscriptionInfo {
    /// What is known before the language is.
    pub(super) fn new(duration: f64, duration_after_vad: f64) -> Self {
        Self {
            language: String::new(),
            language_probability: 1.0,
            all_language_probs: None,
            duration,
            duration_after_vad,
            windows: 0,
            fallbacks: 0,
        }
    }
}

/// What a transcription tells while it runs, in this order: once [`Event::Started`], then segments and progress.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The language is known and decoding begins; the counters are still zero.
    Started(TranscriptionInfo),
    /// The next segment. Its times are those of the original clip.
    Segment(Segment),
    /// `done` of `total` seconds of the audio after voice activity detection are transcribed.
    Progress {
        /// Seconds done.
        done: f64,
        /// Seconds in all.
        total: f64,
    },
}
