//! From the fields of a form to what is asked for.
//!
//! OpenAI's fields have their own meaning; every other field is an option of faster-whisper under its own name. A
//! field that nobody knows is refused: an option that is dropped in silence is a wrong answer.

use serde_json::{Map, Value};
use speech_flow_speech_engine::audio::Channel;
use speech_flow_speech_engine::whisper::{Task, TranscribeOptions};

use super::error::ApiError;

/// How the result is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// An object with the text.
    #[default]
    Json,
    /// The text.
    Text,
    /// Subtitles.
    Srt,
    /// An object with segments, words and times.
    VerboseJson,
    /// Subtitles for the web.
    Vtt,
}

/// What a transcription is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The model as named.
    pub(crate) model: Option<String>,
    /// How the result is written.
    pub(crate) format: Format,
    /// Whether segments are listed in the verbose format.
    pub(crate) with_segments: bool,
    /// Whether words are.
    pub(crate) with_words: bool,
    /// Whether the text comes in pieces.
    pub(crate) is_streamed: bool,
    /// Whether windows are decoded side by side, and how many.
    pub(crate) batch_size: Option<usize>,
    /// Which channels are heard.
    pub(crate) channel: Channel,
    /// Everything that the transcription itself takes.
    pub(crate) options: TranscribeOptions,
}

/// Options whose value is text, whatever it looks like.
const TEXTS: [&str; 5] = ["language", "prefix", "hotwords", "prepend_punctuations", "append_punctuations"];
/// Fields of OpenAI's that no Whisper model can honor, and why.
const UNSUPPORTED: [(&str, &str); 3] = [
    ("include", "log probabilities of tokens are not given; `verbose_json` has them for segments"),
    ("known_speaker_names", "speakers are not told apart"),
    ("known_speaker_references", "speakers are not told apart"),
];
/// Most windows that one request may decode side by side.
const MAX_BATCH: usize = 64;

impl Asked {
    /// Reads a form's fields.
    pub(crate) fn read(fields: Vec<(String, String)>, task: Task) -> Result<Self, ApiError> {
        let mut asked = Self {
            model: None,
            format: Format::Json,
            with_segments: false,
            with_words: false,
            is_streamed: false,
            batch_size: None,
            channel: Channel::Mix,
            options: TranscribeOptions::default(),
        };
        let mut granularities = Vec::new();
        let mut options = Map::new();
        for (name, text) in fields {
            // Clients write lists as `name[]`, once for each value.
            let plain = name.strip_suffix("[]").unwrap_or(&name);
            match plain {
                "model" => asked.model = Some(text).filter(|text| !text.is_empty()),
                "response_format" => asked.format = Format::read(&text)?,
                "timestamp_granularities" => granularities.push(text),
                "stream" => asked.is_streamed = switch(plain, &text)?,
                "batch_size" => asked.batch_size = Some(number(plain, &text, 1..=MAX_BATCH)?),
                "channel" => asked.channel = Channel::One(number(plain, &text, 0..=255)?),
                "chunking_strategy" => chunking(&text, &mut options)?,
                "prompt" => set(&mut options, "initial_prompt", Value::String(text))?,
                "task" => {
                    return Err(ApiError::unsupported(
                        "task",
                        "the path says what to do: `…/transcriptions` or `…/translations`",
                    ));
                }
                _ => {
                    if let Some((field, reason)) = UNSUPPORTED.iter().find(|(field, _)| *field == plain) {
                        return Err(ApiError::unsupported(*field, *reason));
                    }
                    let value = value(plain, &text);
                    if name.ends_with("[]") {
                        push(&mut options, plain, value)?
                    } else {
                        set(&mut options, plain, value)?
                    }
                }
            }
        }
        if task == Task::Translate && asked.is_streamed {
            return Err(ApiError::unsupported("stream", "translations are not streamed"));
        }
        asked.options = read_options(options)?;
        asked.options.task = task;
        asked.set_granularities(&granularities)?;
        if asked.is_streamed && matches!(asked.format, Format::Srt | Format::Vtt) {
            return Err(ApiError::invalid("stream", "subtitles are not streamed; ask for `json` or `text`"));
        }
        asked.options.validate()?;
        Ok(asked)
    }

    fn set_granularities(&mut self, granularities: &[String]) -> Result<(), ApiError> {
        for granularity in granularities {
            match granularity.as_str() {
                "word" => self.with_words = true,
                "segment" => self.with_segments = true,
                other => {
                    let message = format!("`{}` is no granularity; it takes `word` and `segment`", short(other));
                    return Err(ApiError::invalid("timestamp_granularities", message));
                }
            }
        }
        if self.with_words && self.format != Format::VerboseJson {
            let message = "words have times only in `response_format=verbose_json`";
            return Err(ApiError::invalid("timestamp_granularities", message));
        }
        self.with_segments |= granularities.is_empty();
        // Whoever asks for word times by the option's own name gets them listed too.
        self.with_words |= self.options.word_timestamps && self.format == Format::VerboseJson;
        self.options.word_timestamps |= self.with_words;
        Ok(())
    }
}

impl Format {
    fn read(text: &str) -> Result<Self, ApiError> {
        Ok(match text {
            "json" => Self::Json,
            "text" => Self::Text,
            "srt" => Self::Srt,
            "verbose_json" => Self::VerboseJson,
            "vtt" => Self::Vtt,
            "diarized_json" => {
                return Err(ApiError::unsupported(
                    "response_format",
                    "`diarized_json` is not given: speakers are not told apart",
                ));
            }
            other => {
                let message =
                    format!("`{}` is no format; it takes `json`, `text`, `srt`, `verbose_json` or `vtt`", short(other));
                return Err(ApiError::invalid("response_format", message));
            }
        })
    }
}

/// The options of the transcription, by their own names and in their own words.
fn read_options(options: Map<String, Value>) -> Result<TranscribeOptions, ApiError> {
    let names: Vec<String> = options.keys().cloned().collect();
    // Alone, each says by itself whether it is wrong, so that the answer can name it.
    for (name, value) in &options {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        if let Err(error) = TranscribeOptions::deserialize_json(Value::Object(alone)) {
            return Err(ApiError::invalid(name, format!("`{}`: {error}", short(name))));
        }
    }
    TranscribeOptions::deserialize_json(Value::Object(options))
        .map_err(|error| ApiError::invalid(names.join(","), error.to_string()))
}

/// Options from JSON.
trait DeserializeJson: Sized {
    fn deserialize_json(value: Value) -> Result<Self, serde_json::Error>;
}

impl DeserializeJson for TranscribeOptions {
    fn deserialize_json(value: Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(value)
    }
}

/// OpenAI's way to ask for voice activity detection. Source: `ChunkingStrategy` of the `openai` client.
fn chunking(text: &str, options: &mut Map<String, Value>) -> Result<(), ApiError> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ServerVad {
        r#type: String,
        prefix_padding_ms: Option<f64>,
        silence_duration_ms: Option<f64>,
        threshold: Option<f64>,
    }
    set(options, "vad_filter", Value::Bool(true))?;
    if matches!(text, "auto" | "\"auto\"") {
        return Ok(());
    }
    let refused = || ApiError::invalid("chunking_strategy", "it takes `auto` or an object of the type `server_vad`");
    let vad: ServerVad = serde_json::from_str(text).map_err(|_| refused())?;
    if vad.r#type != "server_vad" {
        return Err(refused());
    }
    let named = [
        ("threshold", vad.threshold),
        ("speech_pad_ms", vad.prefix_padding_ms.map(f64::round)),
        ("min_silence_duration_ms", vad.silence_duration_ms.map(f64::round)),
    ];
    let number = |name: &str, value: f64| {
        if name == "threshold" { Value::from(value) } else { Value::from(value.max(0.0) as u64) }
    };
    let parameters: Map<String, Value> =
        named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), number(name, value?)))).collect();
    set(options, "vad_parameters", Value::Object(parameters))
}

fn set(options: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), ApiError> {
    match options.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(ApiError::invalid(name, format!("`{}` is given twice", short(name)))),
    }
}

fn push(options: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), ApiError> {
    match options.entry(name.to_owned()).or_insert_with(|| Value::Array(Vec::new())) {
        Value::Array(list) => {
            list.push(value);
            Ok(())
        }
        _ => Err(ApiError::invalid(name, format!("`{}` is given twice", short(name)))),
    }
}

/// The value that a text stands for: JSON where it is some, Python's words for yes, no and nothing, else the text.
fn value(name: &str, text: &str) -> Value {
    if TEXTS.contains(&name) {
        return if text.is_empty() && name == "language" { Value::Null } else { Value::String(text.to_owned()) };
    }
    match text.trim() {
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        "None" | "" => Value::Null,
        trimmed => match serde_json::from_str(trimmed) {
            // A prompt that happens to be a number or a word of JSON's is still text.
            Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Null)) if name != "initial_prompt" => value,
            Ok(value @ (Value::Array(_) | Value::Object(_))) => value,
            _ => Value::String(text.to_owned()),
        },
    }
}

fn switch(name: &str, text: &str) -> Result<bool, ApiError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err(ApiError::invalid(name, format!("`{name}` takes `true` or `false`"))),
    }
}

fn number(name: &str, text: &str, range: std::ops::RangeInclusive<usize>) -> Result<usize, ApiError> {
    let number = text.trim().parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        ApiError::invalid(name, format!("`{name}` takes a number from {} to {}", range.start(), range.end()))
    })
}

/// Text of a caller, short enough to be said back.
fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use speech_flow_speech_engine::whisper::Prompt;

    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<Asked, ApiError> {
        let owned = fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Asked::read(owned, Task::Transcribe)
    }

    #[track_caller]
    fn refused(fields: &[(&str, &str)], param: &str) {
        let json = read(fields).expect_err("refused").to_json();
        assert_eq!(json["error"]["param"], param, "{json}");
    }

    #[test]
    fn what_the_official_client_sends_is_understood() {
        let asked = read(&[
            ("model", "whisper-1"),
            ("language", "en"),
            ("prompt", "42"),
            ("response_format", "verbose_json"),
            ("temperature", "0.2"),
            ("timestamp_granularities[]", "word"),
            ("timestamp_granularities[]", "segment"),
        ])
        .expect("read");
        assert_eq!((asked.format, asked.with_words, asked.with_segments), (Format::VerboseJson, true, true));
        assert_eq!(asked.options.initial_prompt, Some(Prompt::Text("42".to_owned())));
        assert_eq!((asked.options.temperature, asked.options.word_timestamps), (vec![0.2], true));
    }

    #[test]
    fn options_of_faster_whisper_have_their_own_names() {
        let asked = read(&[
            ("beam_size", "1"),
            ("vad_filter", "True"),
            ("temperature[]", "0"),
            ("temperature[]", "0.5"),
            ("hotwords", "12"),
            ("suppress_tokens", "[-1, 5]"),
            ("no_speech_threshold", "None"),
            ("clip_timestamps", "0,3.5"),
            ("batch_size", "4"),
        ])
        .expect("read");
        let options = &asked.options;
        assert_eq!((options.beam_size, options.vad_filter, asked.batch_size), (1, Some(true), Some(4)));
        assert_eq!((&options.temperature, options.hotwords.as_deref()), (&vec![0.0, 0.5], Some("12")));
        assert_eq!((&options.suppress_tokens, options.no_speech_threshold), (&vec![-1, 5], None));
    }

    #[test]
    fn chunking_is_voice_activity_detection() {
        assert_eq!(read(&[("chunking_strategy", "auto")]).expect("read").options.vad_filter, Some(true));
        let strategy = r#"{"type":"server_vad","threshold":0.4,"silence_duration_ms":200}"#;
        let options = read(&[("chunking_strategy", strategy)]).expect("read").options;
        assert!(options.vad_parameters.is_some());
        refused(&[("chunking_strategy", "{\"type\":\"other\"}")], "chunking_strategy");
    }

    #[test]
    fn what_cannot_be_honored_is_refused_by_name() {
        refused(&[("response_format", "yaml")], "response_format");
        refused(&[("response_format", "diarized_json")], "response_format");
        refused(&[("timestamp_granularities[]", "word")], "timestamp_granularities");
        refused(
            &[("timestamp_granularities[]", "letter"), ("response_format", "verbose_json")],
            "timestamp_granularities",
        );
        refused(&[("include[]", "logprobs")], "include");
        refused(&[("beam_size", "many")], "beam_size");
        refused(&[("beam_size", "0")], "beam_size");
        refused(&[("beam_size", "1"), ("beam_size", "2")], "beam_size");
        refused(&[("beem_size", "1")], "beem_size");
        refused(&[("stream", "perhaps")], "stream");
        refused(&[("stream", "true"), ("response_format", "srt")], "stream");
        refused(&[("batch_size", "0")], "batch_size");
        refused(&[("task", "translate")], "task");
    }

    proptest! {
        #[test]
        fn no_form_panics(fields in prop::collection::vec(("[a-z_]{1,20}(\\[\\])?", any::<String>()), 0..6)) {
            let _ = Asked::read(fields, Task::Transcribe);
        }
    }
}
