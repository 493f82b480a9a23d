//! The same answers as the Python references: faster-whisper run live, and the logits of transformers.

use serde_json::Value;
use speech_flow_speech_engine::audio::{DecodeOptions, decode_file};
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::features::{LogMel, WhisperFeatures};

use crate::client::{Client, answer, root, text};
use crate::support::World;

/// Logarithms of probabilities may differ by so much where both sides hear the very same samples.
const MOST: f64 = 1e-3;
/// And by so much where each has decoded or resampled them itself.
const MOST_OF_OTHER_SAMPLES: f64 = 5e-3;

/// Compares the transcripts of one model with those of faster-whisper.
#[track_caller]
fn check(model: &str, at_least: u64) {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let mut script = client.script(&world, "speech_parity.py", &[env!("CARGO_BIN_EXE_speech-flow"), "--model", model]);
    let answer = answer(&mut script);
    assert!(answer["transcripts"].as_u64() >= Some(at_least), "too few were compared: {answer}");
}

#[test]
fn parity_of_transcripts_with_a_model_of_four_languages() {
    check("fixture", 150);
}

#[test]
fn parity_of_transcripts_with_a_model_of_128_mel_bins() {
    check("fixture-v3", 50);
}

#[test]
fn parity_of_transcripts_with_the_real_tiny_en() {
    check("tiny.en", 35);
}

/// Computes the features of a clip on both sides.
#[track_caller]
fn check_features(bins: usize, name: &str) {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let clip = root().join("fixtures/audio").join(name);
    let out = world.folder().join("features");
    let bins_text = bins.to_string();
    let answer = answer(&mut client.script(&world, "speech_features.py", &[text(&out), &bins_text, text(&clip)]));
    let bytes = std::fs::read(&out).expect("features");
    let theirs: Vec<f32> =
        bytes.chunks_exact(4).map(|number| f32::from_le_bytes([number[0], number[1], number[2], number[3]])).collect();
    let audio = decode_file(&clip, &DecodeOptions::default(), &Cancel::new()).expect("a clip");
    let mel = LogMel::new(bins);
    let features = WhisperFeatures::new(&mel, audio.samples());
    assert_eq!(answer["shape"], serde_json::json!([bins, features.frames()]));
    let ours = features.window(0, features.frames());
    let greatest = ours.iter().zip(&theirs).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
    assert!(ours.len() == theirs.len() && greatest <= 2e-5, "{name}, {bins} bins: {greatest}");
}

#[test]
fn parity_of_features_with_80_and_128_bins() {
    check_features(80, "en04.flac");
    check_features(128, "lid-eng.flac");
}

#[test]
fn parity_of_language_probabilities_with_transformers() {
    let world = World::start();
    let golden = std::fs::read_to_string(root().join("fixtures/expected/lid-float32.json")).expect("the golden logits");
    let golden: Value = serde_json::from_str(&golden).expect("JSON");
    let labels: Vec<&str> = golden["labels"].as_array().expect("labels").iter().filter_map(Value::as_str).collect();
    let logits = golden["logits"].as_object().expect("logits");
    let paths: Vec<_> = logits.keys().map(|name| root().join("fixtures/audio").join(name)).collect();
    let model = root().join("fixtures/tiny-lid");
    let mut call = vec!["identify", "--plain", "--json", "--top", "16", "--compute-type", "float32", "--model"];
    call.push(text(&model));
    call.extend(paths.iter().map(|path| text(path)));
    let document = world.run(&call).exits(0).json();
    // Opus begins with samples that are skipped, and the two decoders skip another number; the tiny model hears that.
    for (name, expected) in logits.iter().filter(|(name, _)| !name.ends_with(".webm")) {
        let result = document["results"]
            .as_array()
            .expect("results")
            .iter()
            .find(|result| result["file"].as_str().is_some_and(|file| file.ends_with(name.as_str())));
        let result = result.unwrap_or_else(|| panic!("no result for {name}"));
        let expected: Vec<f64> = expected.as_array().expect("numbers").iter().filter_map(Value::as_f64).collect();
        let sum: f64 = expected.iter().map(|logit| logit.exp()).sum();
        for (label, logit) in labels.iter().zip(&expected) {
            let top = result["top"].as_array().expect("languages");
            let ours = top.iter().find(|entry| entry["language"] == *label).expect("every label");
            let ours = ours["probability"].as_f64().expect("a probability").ln();
            let is_same =
                ["en04.flac", "en05.wav", "en12.flac", "lid-eng.flac", "lid-jpn.flac"].contains(&name.as_str());
            let most = if is_same { MOST } else { MOST_OF_OTHER_SAMPLES };
            let theirs = logit - sum.ln();
            assert!((ours - theirs).abs() <= most, "{name}, {label}: ours {ours}, theirs {theirs}");
        }
    }
}
