//! What was said in one recording, and how it is written.

use std::time::Duration;

use serde_json::{Value, json};
use speech_flow_speech_engine::language::Language;
use speech_flow_speech_engine::output::{self, Cue, VerboseTranscript};
use speech_flow_speech_engine::whisper::{Segment, Task, TranscriptionInfo};

use crate::cli::OutputFormat;
use crate::commands::speech::seconds;

/// Languages that the JSON document names, the likeliest first.
const LANGUAGES: usize = 5;

/// What was said in one recording.
pub(super) struct Transcript {
    pub(super) file: String,
    pub(super) task: Task,
    pub(super) info: TranscriptionInfo,
    pub(super) segments: Vec<Segment>,
    /// Whether the file ended before its time.
    pub(super) truncated: bool,
    /// How long it took to decode the audio, and to transcribe it.
    pub(super) took: (Duration, Duration),
    /// The model as results name it.
    pub(super) model: Value,
}

impl Transcript {
    /// The transcript as one of the results of the JSON document.
    pub(super) fn to_json(&self) -> Value {
        let info = &self.info;
        let likely = info.all_language_probs.iter().flatten().take(LANGUAGES);
        let languages =
            likely.map(|(language, probability)| json!({ "language": language, "probability": probability }));
        let (decode, transcribe) = self.took;
        json!({
            "file": self.file,
            "text": output::text(self.segments.iter().map(|segment| segment.text.as_str())),
            "task": self.task.as_str(),
            "language": info.language,
            "language_name": Language::from_code(&info.language).map(Language::name),
            "language_probability": info.language_probability,
            "languages": languages.collect::<Vec<_>>(),
            "duration": info.duration,
            "duration_after_vad": info.duration_after_vad,
            "truncated": self.truncated,
            "segments": self.segments,
            "windows": info.windows,
            "fallbacks": info.fallbacks,
            "model": self.model,
            "seconds": { "decode": seconds(decode), "transcribe": seconds(transcribe) },
        })
    }

    /// The transcript as the whole content of a file.
    pub(super) fn to_text(&self, format: OutputFormat) -> String {
        match format {
            OutputFormat::Text => output::lines(self.segments.iter().map(|segment| segment.text.as_str())),
            OutputFormat::Srt => output::srt(self.segments.iter().map(Cue::from)),
            OutputFormat::Vtt => output::vtt(self.segments.iter().map(Cue::from)),
            OutputFormat::Json => format!("{}\n", json!({ "schema": 1, "results": [self.to_json()] })),
            OutputFormat::VerboseJson => format!("{}\n", self.to_verbose_json()),
        }
    }

    /// As OpenAI's API answers, and the model beside it.
    fn to_verbose_json(&self) -> Value {
        let code = self.info.language.as_str();
        let language = Language::from_code(code).map_or(code, |known| known.name());
        let transcript = VerboseTranscript::new(self.task.as_str(), language, self.info.duration, &self.segments);
        let mut document = json!(transcript);
        document["model"] = self.model.clone();
        document
    }
}

/// The ending of files in a format.
pub(super) fn ending(format: OutputFormat) -> &'static str {
    match format {
        OutputFormat::Text => "txt",
        OutputFormat::Json | OutputFormat::VerboseJson => "json",
        OutputFormat::Srt => "srt",
        OutputFormat::Vtt => "vtt",
    }
}
