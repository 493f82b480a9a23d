//! The options of the voice activity detector, where only some are given.

use serde::Deserialize;

use crate::error::Error;
use crate::vad::VadOptions;

/// Options of the voice activity detector. What is not given has the default of faster-whisper's `VadOptions`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VadParameters {
    /// See [`VadOptions::threshold`].
    pub threshold: Option<f64>,
    /// Below it speech ends; see the field of the same name in `vad::VadOptions`.
    pub neg_threshold: Option<f64>,
    /// See [`VadOptions::min_speech_duration_ms`].
    pub min_speech_duration_ms: Option<u32>,
    /// See [`VadOptions::max_speech_duration_s`].
    pub max_speech_duration_s: Option<f64>,
    /// See [`VadOptions::min_silence_duration_ms`].
    pub min_silence_duration_ms: Option<u32>,
    /// See [`VadOptions::speech_pad_ms`].
    pub speech_pad_ms: Option<u32>,
}

impl VadParameters {
    /// These options, completed.
    pub(crate) fn complete(&self) -> VadOptions {
        let default = VadOptions::default();
        VadOptions {
            threshold: self.threshold.unwrap_or(default.threshold),
            neg_threshold: self.neg_threshold.or(default.neg_threshold),
            min_speech_duration_ms: self.min_speech_duration_ms.unwrap_or(default.min_speech_duration_ms),
            max_speech_duration_s: self.max_speech_duration_s.unwrap_or(default.max_speech_duration_s),
            min_silence_duration_ms: self.min_silence_duration_ms.unwrap_or(default.min_silence_duration_ms),
            speech_pad_ms: self.speech_pad_ms.unwrap_or(default.speech_pad_ms),
        }
    }

    /// The options for pieces of at most `chunk_seconds`. Where none is given, short silences part the pieces too.
    pub(crate) fn complete_for_batches(parameters: Option<&Self>, chunk_seconds: f64) -> Result<VadOptions, Error> {
        let Some(parameters) = parameters else { return Ok(VadOptions::for_batches(chunk_seconds)) };
        let longest = parameters.max_speech_duration_s.unwrap_or(chunk_seconds);
        if longest > chunk_seconds {
            let problem = format!("must not be longer than a window of the batched mode, {chunk_seconds} s");
            return Err(Error::option("max_speech_duration_s", problem));
        }
        Ok(VadOptions { max_speech_duration_s: longest, ..parameters.complete() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> VadParameters {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_not_given_has_the_default() {
        assert_eq!(read("{}").complete(), VadOptions::default());
        let expected = VadOptions { threshold: 0.3, ..VadOptions::default() };
        assert_eq!(read(r#"{"threshold": 0.3}"#).complete(), expected);
    }

    #[test]
    fn batches_get_pieces_that_fit_a_window() {
        let complete = |text: &str| VadParameters::complete_for_batches(Some(&read(text)), 30.0);
        let silence = |options: VadOptions| (options.max_speech_duration_s, options.min_silence_duration_ms);
        assert_eq!(silence(VadParameters::complete_for_batches(None, 30.0).unwrap()), (30.0, 160));
        assert_eq!(silence(complete("{}").unwrap()), (30.0, 2000));
        assert_eq!(silence(complete(r#"{"max_speech_duration_s": 9}"#).unwrap()), (9.0, 2000));
        assert!(complete(r#"{"max_speech_duration_s": 31}"#).is_err());
    }
}
