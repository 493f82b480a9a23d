//! Folder in, text out: audio, features, voice activity, Whisper and language identification.
//!
//! **Invariant:** knows no network, no cache and no HTTP; it is handed a folder.

pub mod audio;
pub mod cancel;
pub mod error;
pub mod features;
pub mod language;
pub mod lid;
pub mod output;
pub mod prepared;
pub mod vad;
pub mod whisper;

/// The engine below, for those who load models and stand between it and a transcription.
pub use speech_flow_ctranslate2 as ctranslate2;
