//! What the models hear: Whisper's log-mel spectrogram, Wav2Vec2's normalized samples.

mod mel;
mod normalize;
mod whisper;

pub use mel::LogMel;
pub use normalize::wav2vec2_normalize;
pub use whisper::{HOP, N_FFT, Samples, WINDOW_FRAMES, WhisperFeatures, pad_or_trim};
