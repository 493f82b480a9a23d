//! Transcriptions against those of faster-whisper, in float32: `goldens/whisper.json`, made by `goldens/make.py`.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is the failure of the test")]

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use speech_flow_ctranslate2::{ComputeType, Library, ModelConfig};
use speech_flow_speech_engine::audio::{Audio, DecodeOptions, decode_file};
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::vad::SileroVad;
use speech_flow_speech_engine::whisper::{
    Event, Models, Segment, TranscribeOptions, TranscriptionInfo, WhisperModel, transcribe, transcribe_batched,
};

/// Seconds by which times may differ.
const SECONDS: f64 = 0.0201;
/// By how much probabilities and their logarithms may differ.
const PROBABILITY: f64 = 1e-3;

#[derive(Deserialize)]
struct Case {
    name: String,
    model: String,
    audio: Vec<Part>,
    batch_size: Option<usize>,
    options: TranscribeOptions,
    language: String,
    language_probability: f64,
    languages: Option<Vec<(String, f64)>>,
    duration_after_vad: f64,
    segments: Vec<Expected>,
}

/// A clip, or seconds of silence.
#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Clip(String),
    Silence(f64),
}

#[derive(Deserialize)]
struct Expected {
    seek: usize,
    start: f64,
    end: f64,
    text: String,
    tokens: Vec<u32>,
    avg_logprob: f64,
    compression_ratio: f64,
    no_speech_prob: f64,
    temperature: f64,
    words: Option<Vec<(String, f64, f64, f64)>>,
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn engine() -> Arc<Library> {
    Library::open(None).unwrap_or_else(|error| panic!("{error}; hint: {}", error.hint().unwrap_or_default()))
}

fn load(name: &str) -> WhisperModel {
    let config = ModelConfig { compute_type: ComputeType::Float32, ..ModelConfig::default() };
    WhisperModel::load(&fixture(name), &engine(), &config).unwrap()
}

fn audio(parts: &[Part]) -> Audio {
    let mut samples = Vec::new();
    for part in parts {
        match part {
            Part::Clip(name) => {
                let path = fixture("audio").join(name);
                let audio = decode_file(&path, &DecodeOptions::default(), &Cancel::new()).unwrap();
                samples.extend_from_slice(audio.samples());
            }
            Part::Silence(seconds) => samples.resize(samples.len() + (seconds * 16_000.0) as usize, 0),
        }
    }
    Audio::from_samples(samples)
}

fn run(model: &WhisperModel, vad: &SileroVad, case: &Case) -> (TranscriptionInfo, Vec<Segment>) {
    let models = Models { backend: model, tokenizer: model.tokenizer(), vad: Some(vad) };
    let mut segments = Vec::new();
    let mut on_event = |event| {
        if let Event::Segment(segment) = event {
            segments.push(segment);
        }
    };
    let (audio, options, cancel) = (audio(&case.audio), &case.options, Cancel::new());
    let info = match case.batch_size {
        Some(size) => transcribe_batched(models, &audio, options, size, &cancel, &mut on_event),
        None => transcribe(models, &audio, options, &cancel, &mut on_event),
    };
    (info.unwrap(), segments)
}

/// What differs between a segment and what is expected of it.
fn differences(segment: &Segment, expected: &Expected) -> Vec<String> {
    let mut differences = Vec::new();
    if (&segment.text, &segment.tokens) != (&expected.text, &expected.tokens) {
        differences.push(format!("{:?} instead of {:?}", segment.text, expected.text));
    }
    let mut compare = |what: &str, found: f64, expected: f64, tolerance: f64| {
        if (found - expected).abs() > tolerance {
            differences.push(format!("{what} is {found} instead of {expected}"));
        }
    };
    compare("start", segment.start, expected.start, SECONDS);
    compare("end", segment.end, expected.end, SECONDS);
    compare("seek", segment.seek as f64, expected.seek as f64, 2.0);
    compare("avg_logprob", segment.avg_logprob, expected.avg_logprob, PROBABILITY);
    compare("no_speech_prob", segment.no_speech_prob, expected.no_speech_prob, PROBABILITY);
    compare("compression_ratio", segment.compression_ratio, expected.compression_ratio, 1e-12);
    compare("temperature", segment.temperature, expected.temperature, 0.0);
    let words = segment.words.as_deref().unwrap_or_default();
    for (word, (text, start, end, probability)) in words.iter().zip(expected.words.iter().flatten()) {
        compare(&format!("start of {text:?}"), word.start, *start, SECONDS);
        compare(&format!("end of {text:?}"), word.end, *end, SECONDS);
        compare(&format!("probability of {text:?}"), word.probability, *probability, PROBABILITY);
    }
    let found: Option<Vec<&String>> = segment.words.as_ref().map(|words| words.iter().map(|word| &word.word).collect());
    let wanted = expected.words.as_ref().map(|words| words.iter().map(|(word, ..)| word).collect());
    if found != wanted {
        differences.push(format!("words are {found:?} instead of {wanted:?}"));
    }
    differences
}

/// What differs between a transcription and what is expected of it.
fn check(case: &Case, info: &TranscriptionInfo, segments: &[Segment]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, found: f64, expected: f64| {
        if (found - expected).abs() > PROBABILITY {
            differences.push(format!("{what} is {found} instead of {expected}"));
        }
    };
    compare("language_probability", info.language_probability, case.language_probability);
    compare("duration_after_vad", info.duration_after_vad, case.duration_after_vad);
    let found = info.all_language_probs.iter().flatten();
    for ((code, probability), (expected_code, expected)) in found.zip(case.languages.iter().flatten()) {
        compare(&format!("probability of `{code}`, where `{expected_code}` is,"), *probability, *expected);
    }
    if info.language != case.language || info.all_language_probs.is_some() != case.languages.is_some() {
        differences.push(format!("language is {} instead of {}", info.language, case.language));
    }
    let ids: Vec<usize> = segments.iter().map(|segment| segment.id).collect();
    if ids != (1..=case.segments.len()).collect::<Vec<_>>() {
        differences.push(format!("there are {} segments instead of {}", ids.len(), case.segments.len()));
    }
    differences
        .extend(segments.iter().zip(&case.segments).flat_map(|(found, wanted)| self::differences(found, wanted)));
    differences
}

/// Checks the cases of one model.
fn check_model(name: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/whisper.json");
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let model = load(name);
    let vad = SileroVad::load(&fixture("silero-vad")).unwrap();
    let mut report = String::new();
    let mut checked = 0;
    for case in cases.iter().filter(|case| case.model == name) {
        let (info, segments) = run(&model, &vad, case);
        for difference in check(case, &info, &segments) {
            report.push_str(&format!("{}: {difference}\n", case.name));
        }
        checked += 1;
    }
    assert!(checked > 0 && report.is_empty(), "of {checked} transcriptions:\n{report}");
}

#[test]
fn the_model_with_80_bins_transcribes_as_in_faster_whisper() {
    check_model("tiny-whisper-ct2");
}

#[test]
fn the_model_with_128_bins_transcribes_as_in_faster_whisper() {
    check_model("tiny-whisper-v3-ct2");
}
