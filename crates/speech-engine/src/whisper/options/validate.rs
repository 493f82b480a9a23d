//! Which values of the options make sense.

use super::{Clips, TranscribeOptions};
use crate::error::Error;

/// The longest beam that is accepted, and the most candidates: each costs memory and time.
const MAX_HYPOTHESES: usize = 64;
/// Temperatures that are tried at most: each costs a decoding.
const MAX_TEMPERATURES: usize = 16;
/// Bytes of a prompt, prefix or hotwords that are accepted: the model itself takes some 200 tokens of it.
const MAX_PROMPT: usize = 16 * 1024;
/// Seconds of the window that Whisper's encoder sees.
pub(crate) const WINDOW_SECONDS: usize = 30;

impl TranscribeOptions {
    /// Checks every value that can be checked without the model and the audio.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for the first value that makes no sense.
    pub fn validate(&self) -> Result<(), Error> {
        self.validate_search()?;
        self.validate_thresholds()?;
        self.validate_prompts()?;
        if self.chunk_length.is_some_and(|seconds| !(1..=WINDOW_SECONDS).contains(&seconds)) {
            return Err(Error::option("chunk_length", "must be between 1 and 30 seconds"));
        }
        if self.language_detection_segments == 0 {
            return Err(Error::option("language_detection_segments", "must be at least 1"));
        }
        if matches!(&self.clip_timestamps, Clips::Parts(parts) if parts.is_empty()) {
            return Err(Error::option("clip_timestamps", "has no part"));
        }
        self.clip_timestamps.validate()
    }

    fn validate_search(&self) -> Result<(), Error> {
        for (name, value) in [("beam_size", self.beam_size), ("best_of", self.best_of)] {
            if !(1..=MAX_HYPOTHESES).contains(&value) {
                return Err(Error::option(name, "must be between 1 and 64"));
            }
        }
        for (name, value) in [("patience", self.patience), ("repetition_penalty", self.repetition_penalty)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::option(name, "must be above 0"));
            }
        }
        if !self.length_penalty.is_finite() {
            return Err(Error::option("length_penalty", "must be a number"));
        }
        if self.temperature.is_empty() || self.temperature.len() > MAX_TEMPERATURES {
            return Err(Error::option("temperature", "must have between 1 and 16 values"));
        }
        if !self.temperature.iter().all(|value| (0.0..=10.0).contains(value)) {
            return Err(Error::option("temperature", "must be between 0 and 10"));
        }
        if self.suppress_tokens.iter().any(|token| *token < -1) {
            return Err(Error::option("suppress_tokens", "must be tokens, or -1"));
        }
        if self.max_new_tokens == Some(0) {
            return Err(Error::option("max_new_tokens", "must be at least 1"));
        }
        Ok(())
    }

    fn validate_thresholds(&self) -> Result<(), Error> {
        let thresholds = [
            ("compression_ratio_threshold", self.compression_ratio_threshold),
            ("log_prob_threshold", self.log_prob_threshold),
            ("no_speech_threshold", self.no_speech_threshold),
            ("hallucination_silence_threshold", self.hallucination_silence_threshold),
            ("prompt_reset_on_temperature", Some(self.prompt_reset_on_temperature)),
            ("language_detection_threshold", Some(self.language_detection_threshold)),
        ];
        for (name, value) in thresholds {
            if value.is_some_and(f64::is_nan) {
                return Err(Error::option(name, "must be a number"));
            }
        }
        if !(0.0..=WINDOW_SECONDS as f64).contains(&self.max_initial_timestamp) {
            return Err(Error::option("max_initial_timestamp", "must be between 0 and 30 seconds"));
        }
        Ok(())
    }

    fn validate_prompts(&self) -> Result<(), Error> {
        let initial = match &self.initial_prompt {
            Some(super::Prompt::Text(text)) => text.len(),
            Some(super::Prompt::Tokens(tokens)) => tokens.len(),
            None => 0,
        };
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let lengths = [
            ("initial_prompt", initial),
            ("prefix", length(&self.prefix)),
            ("hotwords", length(&self.hotwords)),
            ("prepend_punctuations", self.prepend_punctuations.len()),
            ("append_punctuations", self.append_punctuations.len()),
        ];
        match lengths.into_iter().find(|(_, length)| *length > MAX_PROMPT) {
            Some((name, _)) => Err(Error::option(name, "must not be longer than 16 KiB")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(json: &str, option: &str) {
        let options: TranscribeOptions = serde_json::from_str(json).unwrap();
        let Err(Error::Option { option: name, .. }) = options.validate() else { panic!("{json} was accepted") };
        assert_eq!(name, option);
    }

    #[test]
    fn the_defaults_make_sense() {
        TranscribeOptions::default().validate().unwrap();
    }

    #[test]
    fn names_the_option_that_makes_no_sense() {
        refused(r#"{"beam_size": 0}"#, "beam_size");
        refused(r#"{"best_of": 1000000}"#, "best_of");
        refused(r#"{"patience": 0}"#, "patience");
        refused(r#"{"temperature": []}"#, "temperature");
        refused(r#"{"temperature": -1}"#, "temperature");
        refused(r#"{"chunk_length": 31}"#, "chunk_length");
        refused(r#"{"max_new_tokens": 0}"#, "max_new_tokens");
        refused(r#"{"suppress_tokens": [-2]}"#, "suppress_tokens");
        refused(r#"{"max_initial_timestamp": -0.1}"#, "max_initial_timestamp");
        refused(r#"{"language_detection_segments": 0}"#, "language_detection_segments");
        refused(r#"{"clip_timestamps": "5,1"}"#, "clip_timestamps");
    }
}
