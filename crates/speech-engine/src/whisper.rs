//! Whisper transcription with the options and behavior of faster-whisper 1.2.
//!
//! ```text
//! audio -> speech -> features -> detect -> prompt -> fallback -> subsegments -> words -> hallucination -> Segment
//!          (VAD)     (a window)  language            generate     timestamps    align
//! ```
//!
//! [`transcribe`] goes window by window: each window gets the text before it, and the next window starts where the
//! last whole sentence ends. [`transcribe_batched`] cuts the audio into pieces of speech first and decodes several of
//! them at once. Both are plain blocking code on the caller's thread; [`Backend`] is all they want of a model.
//!
//! Numbers are what faster-whisper computes: its times, seeks and thresholds, in 64-bit floats as Python has them.

mod backend;
mod batched;

mod detect;
mod fallback;
mod hallucination;
mod model;
mod options;
mod pieces;
mod plan;
mod prompt;
mod round;
mod segment;
mod speech;
mod subsegments;
mod text;
mod tokenizer;
mod tongue;
mod transcribe;
mod walk;
mod warm_up;
mod words;

pub use backend::{AlignRequest, Backend, Encoded, Mel, ModelFacts, PromptShape};
pub use batched::transcribe_batched;
pub use detect::{LanguageDetection, LanguageDetectionOptions, detect_language};
pub use model::WhisperModel;
pub use options::{Clips, EncoderWindow, Prompt, Span, Task, TranscribeOptions, VadParameters};
pub use segment::{Event, Segment, TranscriptionInfo, Word};
pub use tokenizer::{SpecialTokens, Tokenizer, WordTokens};
pub use transcribe::{Models, transcribe};
pub use warm_up::warm_up;

/// Frames of features in a second.
pub(crate) const FRAMES_PER_SECOND: usize = 100;
/// Seconds between two frames, as Python computes `160 / 16000`.
pub(crate) const FRAME_SECONDS: f64 = 0.01;
/// Seconds between two timestamp tokens.
pub(crate) const TIMESTAMP_SECONDS: f64 = 0.02;
/// Frames between two timestamp tokens.
pub(crate) const TIMESTAMP_FRAMES: usize = 2;
