//! `transcribe`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use speech_flow_model_manager::config::Flag;

#[derive(Debug, Args)]
#[command(
    after_help = "The result goes to stdout, or with `--output-dir` into one file for each recording. A recording that fails \
                  does not stop the others; the exit code is then 1. Options have the names and defaults of faster-whisper's \
                  `transcribe`; those without a flag of their own are set with `--option`.\n\n\
                  Examples:\n  \
                  speech-flow transcribe meeting.m4a\n  \
                  speech-flow transcribe talk.mp3 --language de --format srt > talk.srt\n  \
                  speech-flow transcribe *.wav --format vtt --output-dir subtitles\n  \
                  speech-flow transcribe call.ogg --vad --word-timestamps --json\n  \
                  speech-flow transcribe long.flac --batch-size 8 --model large-v3\n  \
                  speech-flow transcribe a.wav --option no_speech_threshold=0.8 --option clip_timestamps=0,12.5\n  \
                  ffmpeg -i film.mkv -f wav - | speech-flow transcribe -"
)]
pub(crate) struct TranscribeArgs {
    /// Recordings; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The model, in place of the configured one: a Whisper size name, `owner/name[@revision]` or a folder
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// The language spoken (`en`, `german`); it is detected where none is given
    #[arg(long, short = 'l', value_name = "LANGUAGE")]
    pub(crate) language: Option<String>,
    /// `transcribe`, or `translate` into English
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<String>,
    /// Find out when each word is said
    #[arg(long)]
    pub(crate) word_timestamps: bool,
    /// Transcribe only what the voice activity detector takes for speech
    #[arg(long, overrides_with = "no_vad")]
    pub(crate) vad: bool,
    /// Transcribe everything, even with `--batch-size`, which otherwise looks for speech by itself
    #[arg(long, overrides_with = "vad")]
    pub(crate) no_vad: bool,
    /// Text that goes before the recording: names and a style to follow
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// Text with which the first window begins
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefix: Option<String>,
    /// Words to expect
    #[arg(long, value_name = "WORDS")]
    pub(crate) hotwords: Option<String>,
    /// Hypotheses that are followed at temperature 0; 1 is greedy [default: 5]
    #[arg(long, value_name = "N")]
    pub(crate) beam_size: Option<usize>,
    /// Temperatures to try in turn [default: 0,0.2,0.4,0.6,0.8,1]
    #[arg(long, value_name = "T,…", value_delimiter = ',')]
    pub(crate) temperature: Vec<f64>,
    /// Any option of faster-whisper's `transcribe`, its value as JSON or as plain text (repeatable)
    #[arg(long = "option", short = 'o', value_name = "NAME=VALUE", value_parser = option)]
    pub(crate) options: Vec<(String, serde_json::Value)>,
    /// Decode so many windows of a recording at once; for long recordings
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=128))]
    pub(crate) batch_size: Option<u16>,
    /// How the result is written
    #[arg(long, short = 'f', value_name = "FORMAT", default_value = "text", conflicts_with = "json")]
    pub(crate) format: OutputFormat,
    /// Print one JSON document; the same as `--format json`
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a file for each recording into this folder, in place of stdout
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

// Where and how a model computes. (A `///` would replace the text of the command that this is flattened into.)
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineArgs {
    /// `cpu`, `cuda` or `auto`
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// What is computed in: `int8`, `float16`, `float32`, …
    #[arg(long, value_name = "TYPE")]
    pub(crate) compute_type: Option<String>,
    /// Threads of the engine; as many as this process may use where none is given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,
}

/// What a transcript is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// One line for each segment
    Text,
    /// One document for all recordings, with everything that is known
    Json,
    /// Subtitles
    Srt,
    /// Subtitles of the web
    Vtt,
    /// What OpenAI's API calls so: one document for each recording
    VerboseJson,
}

impl TranscribeArgs {
    /// The format that the two ways of asking come to.
    pub(crate) fn format(&self) -> OutputFormat {
        if self.json { OutputFormat::Json } else { self.format }
    }
}

impl EngineArgs {
    /// The flags as they stand over settings; those of the device and of the compute type have these keys.
    pub(crate) fn flags(&self, device: &'static str, compute_type: &'static str) -> Vec<Flag> {
        let threads = self.threads.map(|threads| threads.to_string());
        let flags = [
            ("--device", device, self.device.clone()),
            ("--compute-type", compute_type, self.compute_type.clone()),
            ("--threads", "worker.threads", threads),
        ];
        let flag = |(name, key, value): (_, _, Option<String>)| Some(Flag { name, key, value: value?.into() });
        flags.into_iter().filter_map(flag).collect()
    }
}

/// `NAME=VALUE`. What is no JSON is text.
fn option(text: &str) -> Result<(String, serde_json::Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            Ok((name.replace('-', "_"), value))
        }
        _ => Err("it takes `NAME=VALUE`, such as `best_of=3`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_json_or_text() {
        let read = |text| option(text).expect("an option");
        assert_eq!(read("best_of=3"), ("best_of".to_owned(), json!(3)));
        assert_eq!(read("no-speech-threshold=null"), ("no_speech_threshold".to_owned(), json!(null)));
        assert_eq!(read("clip_timestamps=0,3.5"), ("clip_timestamps".to_owned(), json!("0,3.5")));
        assert_eq!(read("hotwords=a=b"), ("hotwords".to_owned(), json!("a=b")));
        assert_eq!(read("temperature=[0,0.5]"), ("temperature".to_owned(), json!([0, 0.5])));
        option("best_of").expect_err("no value");
        option("=3").expect_err("no name");
    }
}
