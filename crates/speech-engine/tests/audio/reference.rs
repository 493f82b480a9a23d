//! Audio and features are those of the Python references, whose results `data/make-goldens.py` has written down.

use std::fs;
use std::path::{Path, PathBuf};

use speech_flow_speech_engine::audio::{Audio, DecodeOptions, decode_file};
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::features::{LogMel, WhisperFeatures, wav2vec2_normalize};

fn clip(name: &str) -> Audio {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/audio").join(name);
    decode_file(&path, &DecodeOptions::default(), &Cancel::new()).unwrap()
}

/// The numbers of an `.npy` file, of `N` bytes each.
fn golden<const N: usize, T>(name: &str, read: fn([u8; N]) -> T) -> Vec<T> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/data", name].iter().collect();
    let bytes = fs::read(path).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[10 + header..].chunks_exact(N).map(|number| read(number.try_into().unwrap())).collect()
}

#[track_caller]
fn check_decoding(name: &str, steps: u16) {
    let samples: Vec<i16> = clip(name).samples().iter().step_by(8).copied().collect();
    let expected = golden(&format!("decoded-{name}.npy"), i16::from_le_bytes);
    assert!(samples.len().abs_diff(expected.len()) <= 1, "{} samples, not {}", samples.len(), expected.len());
    let greatest = samples.iter().zip(&expected).map(|(ours, theirs)| ours.abs_diff(*theirs)).max();
    assert!(greatest <= Some(steps), "{name} differs by {greatest:?}");
}

#[test]
fn clips_are_decoded_as_by_faster_whisper() {
    check_decoding("en06.mp3", 1);
    check_decoding("en07.ogg", 1);
    check_decoding("es02.m4a", 1);
    check_decoding("fr02.48k-f32.wav", 2);
    check_decoding("en09.44k-stereo.flac", 2);
}

#[track_caller]
fn check_log_mel(name: &str, n_mels: usize, golden_name: &str, step: usize) {
    let audio = clip(name);
    let mel = LogMel::new(n_mels);
    let features = WhisperFeatures::new(&mel, &audio);
    let (window, frames) = (features.window(0, usize::MAX), features.frames());
    let ours = window.chunks(frames).flat_map(|row| row.iter().step_by(step));
    let expected = golden(golden_name, f32::from_le_bytes);
    assert_eq!(expected.len(), n_mels * frames.div_ceil(step));
    let greatest = ours.zip(&expected).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
    assert!(greatest < 2e-6, "{name} differs by {greatest}");
}

#[test]
fn log_mel_is_that_of_faster_whisper() {
    check_log_mel("en05.wav", 80, "log-mel-80-en05.npy", 4);
    check_log_mel("en12.flac", 128, "log-mel-128-en12.npy", 8);
}

#[test]
fn normalized_samples_are_those_of_transformers() {
    let mut samples = clip("lid-eng.flac").samples_f32(0..usize::MAX);
    wav2vec2_normalize(&mut samples);
    let expected = golden("wav2vec2-lid-eng.npy", f32::from_le_bytes);
    assert_eq!(expected.len(), samples.len().div_ceil(16));
    let ours = samples.iter().step_by(16);
    let greatest = ours.zip(&expected).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
    assert!(greatest <= 1e-6, "differs by {greatest}");
}
