//! Transcribes files with a model folder and writes one JSON document a line: for comparisons by scripts.
//!
//! `transcribe MODEL_FOLDER OPTIONS_JSON FILE...`, where the options may also hold `batch_size` (then the batched mode
//! is used), `vad_folder`, `compute_type` and `threads`.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use speech_flow_ctranslate2::{Device, Library, ModelConfig};
use speech_flow_speech_engine::audio::{DecodeOptions, decode_file};
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::vad::SileroVad;
use speech_flow_speech_engine::whisper::{
    Event, Models, TranscribeOptions, WhisperModel, transcribe, transcribe_batched,
};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, options, files @ ..] = &arguments[..] else { anyhow::bail!("MODEL_FOLDER OPTIONS_JSON FILE...") };
    let mut options: serde_json::Map<String, Value> = serde_json::from_str(options).context("the options")?;
    let batch_size = options.remove("batch_size").and_then(|value| value.as_u64());
    let vad =
        options.remove("vad_folder").and_then(|value| value.as_str().map(|folder| SileroVad::load(folder.as_ref())));
    let vad = vad.transpose()?;
    let compute_type = options.remove("compute_type").unwrap_or_else(|| "float32".into());
    let threads = options.remove("threads").and_then(|value| value.as_u64()).unwrap_or(1);
    let options: TranscribeOptions = serde_json::from_value(options.into()).context("the options")?;

    let library = Library::open(None)?;
    let config = ModelConfig {
        device: Device::Cpu,
        compute_type: compute_type.as_str().unwrap_or("float32").parse()?,
        intra_threads: usize::try_from(threads)?,
        replicas: 1,
    };
    let start = std::time::Instant::now();
    let model = WhisperModel::load(Path::new(folder), &library, &config)?;
    let load_s = start.elapsed().as_secs_f64();
    let models = Models { backend: &model, tokenizer: model.tokenizer(), vad: vad.as_ref() };
    for file in files {
        let audio = decode_file(file.as_ref(), &DecodeOptions::default(), &Cancel::new())?;
        let start = std::time::Instant::now();
        let mut segments = Vec::new();
        let mut on_event = |event| {
            if let Event::Segment(segment) = event {
                segments.push(segment);
            }
        };
        let cancel = Cancel::new();
        let info = match batch_size {
            Some(size) => transcribe_batched(models, &audio, &options, usize::try_from(size)?, &cancel, &mut on_event)?,
            None => transcribe(models, &audio, &options, &cancel, &mut on_event)?,
        };
        let seconds = start.elapsed().as_secs_f64();
        let document =
            json!({ "file": file, "load_s": load_s, "seconds": seconds, "info": info, "segments": segments });
        writeln!(std::io::stdout(), "{document}")?;
    }
    Ok(())
}
