//! How a clip is listened to.

use crate::error::Error;
use crate::vad::VadOptions;

/// Most windows, and the longest in seconds: the encoder's memory grows with the square of the length.
const MAX_WINDOWS: usize = 16;
const MAX_WINDOW_S: f64 = 30.0;

/// How a clip is listened to.
#[derive(Debug, Clone, PartialEq)]
pub struct IdentifyOptions {
    /// Hear the first 30 seconds as they are: no voice activity detection, and the likeliest language whatever its
    /// probability. The other options but `top_k` do not matter then.
    pub plain: bool,
    /// Most windows of speech that are heard, from 1 to 16.
    pub windows: usize,
    /// Length of a window in seconds, from 0.5 to 30. Speech of up to half a window more is one window.
    pub window_s: f64,
    /// Languages that are listed, at least 1.
    pub top_k: usize,
    /// Below this probability of the likeliest language the answer is `und`.
    pub min_probability: f32,
    /// With less speech than this, in seconds, the answer is `und` and nothing is computed.
    pub min_speech_s: f64,
    /// What counts as speech.
    pub vad: VadOptions,
}

impl Default for IdentifyOptions {
    /// Three windows of 5 seconds, five languages; `und` below a probability of 0.3 or half a second of speech.
    fn default() -> Self {
        Self {
            plain: false,
            windows: 3,
            window_s: 5.0,
            top_k: 5,
            min_probability: 0.3,
            min_speech_s: 0.5,
            // Pauses longer than half a second are left out.
            vad: VadOptions { min_silence_duration_ms: 500, speech_pad_ms: 100, ..VadOptions::default() },
        }
    }
}

impl IdentifyOptions {
    /// Whether every value has a meaning.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] names the first that has none.
    pub fn validate(&self) -> Result<(), Error> {
        if !(1..=MAX_WINDOWS).contains(&self.windows) {
            return Err(Error::option("windows", format!("must be between 1 and {MAX_WINDOWS}")));
        }
        if !(0.5..=MAX_WINDOW_S).contains(&self.window_s) {
            return Err(Error::option("window_s", format!("must be between 0.5 and {MAX_WINDOW_S}")));
        }
        if self.top_k == 0 {
            return Err(Error::option("top_k", "must be at least 1"));
        }
        if !(0.0..=1.0).contains(&self.min_probability) {
            return Err(Error::option("min_probability", "must be between 0 and 1"));
        }
        if !(self.min_speech_s >= 0.0 && self.min_speech_s.is_finite()) {
            return Err(Error::option("min_speech_s", "must be 0 or more"));
        }
        self.vad.validate()
    }
}
