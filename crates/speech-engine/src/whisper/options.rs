//! The options of a transcription: those of faster-whisper's `transcribe`, with its names and defaults.
//!
//! Three defaults depend on the mode, so these options are `None` until somebody decides: without an answer the window
//! by window mode keeps timestamps and previous text and takes no voice activity detection, and the batched mode the
//! other way round.

mod clips;
mod vad;
mod validate;
mod window;

use serde::{Deserialize, Deserializer, Serialize};

pub use clips::{Clips, Span};
pub use vad::VadParameters;
pub(crate) use validate::WINDOW_SECONDS;
pub use window::EncoderWindow;
pub(crate) use window::most_tokens;

/// What to do with the speech.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Write down what is said.
    #[default]
    Transcribe,
    /// Write down in English what is said.
    Translate,
}

impl Task {
    /// The name that Whisper has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transcribe => "transcribe",
            Self::Translate => "translate",
        }
    }
}

/// Text that the model takes for what was said before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prompt {
    /// Text, to be made into tokens.
    Text(String),
    /// Tokens.
    Tokens(Vec<u32>),
}

/// The options of a transcription.
///
/// An unknown name is refused when options are read, and a value that makes no sense by
/// [`TranscribeOptions::validate`], which every transcription calls first.
///
/// ```
/// # use speech_flow_speech_engine::whisper::TranscribeOptions;
/// let options: TranscribeOptions = serde_json::from_str(r#"{ "language": "en", "temperature": 0 }"#)?;
/// assert_eq!((options.temperature, options.beam_size), (vec![0.0], 5));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TranscribeOptions {
    /// Whisper's code of the language; detected where it is not given.
    pub language: Option<String>,
    /// Transcribe or translate.
    pub task: Task,
    /// Hypotheses that beam search follows at temperature 0; 1 is greedy search.
    pub beam_size: usize,
    /// Candidates that are sampled at a temperature above 0; the best one is taken.
    pub best_of: usize,
    /// Beam search ends when `patience` times `beam_size` hypotheses are finished.
    pub patience: f64,
    /// Exponent of the length by which scores are divided.
    pub length_penalty: f64,
    /// Penalty of tokens that were generated before; 1 is none.
    pub repetition_penalty: f64,
    /// Length of the runs of tokens that must not come twice; 0 is off.
    pub no_repeat_ngram_size: usize,
    /// Temperatures, tried in this order until a result passes the two thresholds that follow. A single number is
    /// read as a list of one.
    #[serde(deserialize_with = "one_or_many")]
    pub temperature: Vec<f64>,
    /// A result that zlib makes smaller by more than this factor has failed, being repetitive.
    pub compression_ratio_threshold: Option<f64>,
    /// A result of a lower average log probability has failed.
    pub log_prob_threshold: Option<f64>,
    /// A window of a higher probability of no speech is silence, unless its average log probability is above
    /// `log_prob_threshold`.
    pub no_speech_threshold: Option<f64>,
    /// Whether a window is given the text of those before. Default: yes; in batched mode no, and it cannot.
    pub condition_on_previous_text: Option<bool>,
    /// A window decoded at a higher temperature is not given to the next ones as previous text.
    pub prompt_reset_on_temperature: f64,
    /// Previous text of the first window (of every window in batched mode).
    pub initial_prompt: Option<Prompt>,
    /// Text with which the first window begins.
    pub prefix: Option<String>,
    /// Whether a window may not begin with a blank.
    pub suppress_blank: bool,
    /// Tokens that are never generated; `-1` stands for the symbols that nobody speaks. Empty: none.
    #[serde(deserialize_with = "null_is_empty")]
    pub suppress_tokens: Vec<i32>,
    /// Whether only text is generated, no timestamps. Default: no; in batched mode yes.
    pub without_timestamps: Option<bool>,
    /// Seconds by which the first timestamp of a window is at most after its start.
    pub max_initial_timestamp: f64,
    /// Whether each word gets its time.
    pub word_timestamps: bool,
    /// Punctuation that belongs to the word after it.
    pub prepend_punctuations: String,
    /// Punctuation that belongs to the word before it.
    pub append_punctuations: String,
    /// Whether the language is detected anew in every window. Models of one language ignore it.
    pub multilingual: bool,
    /// Whether only what the voice activity detector takes for speech is transcribed. Default: no; in batched mode
    /// yes. Clips go before it.
    pub vad_filter: Option<bool>,
    /// Options of the voice activity detector.
    pub vad_parameters: Option<VadParameters>,
    /// Tokens that a window may give at most.
    pub max_new_tokens: Option<usize>,
    /// Seconds of a window, 30 at most; the model's own where it is not given.
    pub chunk_length: Option<usize>,
    /// How much of the encoder's 30 seconds a window fills. Default: all of it, as faster-whisper does.
    pub encoder_window: Option<EncoderWindow>,
    /// The parts of the audio to transcribe.
    pub clip_timestamps: Clips,
    /// With word timestamps: seconds of silence that are skipped around what may be hallucinated.
    pub hallucination_silence_threshold: Option<f64>,
    /// Words that the model is told to expect; without effect in a window with a prefix.
    pub hotwords: Option<String>,
    /// The language of a window counts at once if its probability is higher; else the windows vote.
    pub language_detection_threshold: f64,
    /// Windows in which the language is looked for at most.
    pub language_detection_segments: usize,
}

impl Default for TranscribeOptions {
    /// The defaults of faster-whisper 1.2.
    fn default() -> Self {
        Self {
            language: None,
            task: Task::Transcribe,
            beam_size: 5,
            best_of: 5,
            patience: 1.0,
            length_penalty: 1.0,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            temperature: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            compression_ratio_threshold: Some(2.4),
            log_prob_threshold: Some(-1.0),
            no_speech_threshold: Some(0.6),
            condition_on_previous_text: None,
            prompt_reset_on_temperature: 0.5,
            initial_prompt: None,
            prefix: None,
            suppress_blank: true,
            suppress_tokens: vec![-1],
            without_timestamps: None,
            max_initial_timestamp: 1.0,
            word_timestamps: false,
            prepend_punctuations: "\"'“¿([{-".to_owned(),
            append_punctuations: "\"'.。,，!！?？:：”)]}、".to_owned(),
            multilingual: false,
            vad_filter: None,
            vad_parameters: None,
            max_new_tokens: None,
            chunk_length: None,
            encoder_window: None,
            clip_timestamps: Clips::default(),
            hallucination_silence_threshold: None,
            hotwords: None,
            language_detection_threshold: 0.5,
            language_detection_segments: 1,
        }
    }
}

impl TranscribeOptions {
    /// How much of the encoder's 30 seconds a window fills.
    pub(crate) fn encoder_window(&self) -> EncoderWindow {
        self.encoder_window.unwrap_or_default()
    }
}

/// Reads a number as a list of one.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(f64),
        Many(Vec<f64>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(value) => vec![value],
        OneOrMany::Many(values) => values,
    })
}

/// Reads null as an empty list.
fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<i32>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TranscribeOptions, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn nothing_said_means_the_defaults() {
        assert_eq!(read("{}").unwrap(), TranscribeOptions::default());
    }

    #[test]
    fn temperatures_are_one_number_or_a_list() {
        assert_eq!(read(r#"{"temperature": 0.4}"#).unwrap().temperature, [0.4]);
        assert_eq!(read(r#"{"temperature": [0, 0.5]}"#).unwrap().temperature, [0.0, 0.5]);
    }

    #[test]
    fn a_prompt_is_text_or_tokens() {
        let prompt = |text| read(text).unwrap().initial_prompt;
        assert_eq!(prompt(r#"{"initial_prompt": "Hi"}"#), Some(Prompt::Text("Hi".into())));
        assert_eq!(prompt(r#"{"initial_prompt": [1, 2]}"#), Some(Prompt::Tokens(vec![1, 2])));
    }

    #[test]
    fn a_threshold_is_switched_off_by_null() {
        let options = read(r#"{"no_speech_threshold": null, "suppress_tokens": null}"#).unwrap();
        assert_eq!((options.no_speech_threshold, options.suppress_tokens), (None, vec![]));
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert!(read(r#"{"beams": 3}"#).unwrap_err().to_string().contains("unknown field `beams`"));
    }
}
