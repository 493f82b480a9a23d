//! From flags to the options of a transcription.

use serde_json::{Map, Value, json};
use speech_flow_speech_engine::language::Language;
use speech_flow_speech_engine::whisper::TranscribeOptions;

use crate::cli::TranscribeArgs;
use crate::report::Failure;

/// The options; a value that makes no sense is wrong usage.
pub(super) fn read(args: &TranscribeArgs) -> Result<TranscribeOptions, Failure> {
    let mut fields = flags(args);
    for (name, value) in &args.options {
        if fields.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::usage(format!("`{name}` is given twice"), "leave one of them out"));
        }
    }
    let options: TranscribeOptions = serde_json::from_value(Value::Object(fields)).map_err(|error| {
        Failure::usage(error.to_string(), "options have the names and values of faster-whisper's `transcribe`")
    })?;
    options.validate().map_err(|error| Failure::usage(error.to_string(), "see `speech-flow transcribe --help`"))?;
    Ok(options)
}

/// What was said by flags; the rest keeps its default.
fn flags(args: &TranscribeArgs) -> Map<String, Value> {
    let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
    let vad = (args.vad || args.no_vad).then_some(args.vad);
    let fields = [
        ("language", args.language.as_ref().map(|language| json!(code(language)))),
        ("task", text(&args.task)),
        ("word_timestamps", args.word_timestamps.then_some(Value::Bool(true))),
        ("vad_filter", vad.map(|vad| json!(vad))),
        ("initial_prompt", text(&args.prompt)),
        ("prefix", text(&args.prefix)),
        ("hotwords", text(&args.hotwords)),
        ("beam_size", args.beam_size.map(|size| json!(size))),
        ("temperature", (!args.temperature.is_empty()).then(|| json!(args.temperature))),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Whisper's code of a language that may be named in other ways. What nobody knows is for the model to refuse.
fn code(language: &str) -> &str {
    language.parse::<Language>().map_or(language, |known| known.code())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use speech_flow_speech_engine::whisper::{Prompt, Task};

    use super::*;
    use crate::cli::{Cli, Command};

    #[track_caller]
    fn options(arguments: &str) -> Result<TranscribeOptions, Failure> {
        let words = format!("speech-flow transcribe a.wav {arguments}");
        let Command::Transcribe(args) = Cli::try_parse_from(words.split_whitespace()).expect("arguments").command
        else {
            panic!("another command");
        };
        read(&args)
    }

    #[test]
    fn nothing_said_means_the_defaults() {
        assert_eq!(options("").expect("options"), TranscribeOptions::default());
    }

    #[test]
    fn flags_and_options_arrive() {
        let read = options(
            "--language German --task translate --vad --prompt Hi --temperature 0,0.4 -o best_of=3 -o no-speech-threshold=null",
        )
        .expect("options");
        assert_eq!((read.language.as_deref(), read.task), (Some("de"), Task::Translate));
        assert_eq!((read.vad_filter, read.temperature), (Some(true), vec![0.0, 0.4]));
        assert_eq!(read.initial_prompt, Some(Prompt::Text("Hi".to_owned())));
        assert_eq!((read.best_of, read.no_speech_threshold), (3, None));
    }

    #[test]
    fn what_makes_no_sense_is_wrong_usage() {
        for arguments in
            ["-o beams=3", "--beam-size 0", "--task sing", "--beam-size 3 -o beam_size=4", "-o best_of=many"]
        {
            assert_eq!(options(arguments).expect_err(arguments).code(), 2, "{arguments}");
        }
    }
}
