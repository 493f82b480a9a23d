//! Prepared weights compute bit for bit what the engine computes from the model's own weights.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is the failure of the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use speech_flow_ctranslate2::{ComputeType, GenerateOptions, Generation, Library, ModelConfig, ModelFiles, Whisper};
use speech_flow_speech_engine::prepared::{PrepareError, Prepared, inspect, prepare};

fn engine() -> Arc<Library> {
    Library::open(None).unwrap_or_else(|error| panic!("{error}; hint: {}", error.hint().unwrap_or_default()))
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn load(files: &dyn ModelFiles, compute_type: ComputeType) -> Whisper {
    Whisper::load(&engine(), files, &ModelConfig { compute_type, ..ModelConfig::default() }).unwrap()
}

/// Everything that a model computes from some windows: encoder outputs, language, tokens and scores, alignments.
type Outputs = (Vec<f32>, Vec<Vec<(String, f32)>>, Vec<Generation>, Vec<f32>);

fn outputs(model: &Whisper) -> Outputs {
    let windows = 3;
    let mel: Vec<f32> = (0..windows * model.n_mels() * 3000)
        .map(|i| ((i * 7919) % 1009) as f32 / 1009.0 + ((i % 3000) / 75 % 8) as f32 / 8.0 - 0.5)
        .collect();
    let encoded = [model.encode(&mel, windows).unwrap()];
    let (start, language) = (682, 683);
    let prompt = &[start, language, 783][..];
    let options = GenerateOptions { max_length: 60, return_no_speech_prob: true, ..GenerateOptions::default() };
    let generations = model.generate(&encoded, &vec![prompt; windows], &options).unwrap();
    let texts = vec![&[300, 301, 302, 303][..]; windows];
    let aligned = model.align(&encoded, prompt, &texts, &vec![3000; windows], 7).unwrap();
    let probabilities = aligned.into_iter().flat_map(|alignment| alignment.token_probabilities).collect();
    (encoded[0].to_vec().unwrap(), model.detect_language(&encoded).unwrap(), generations, probabilities)
}

#[track_caller]
fn computes_the_same(name: &str, compute_type: ComputeType) {
    let folder = tempfile::tempdir().unwrap();
    let prepared = prepare(&fixture(name), folder.path(), compute_type).unwrap();
    let (found, expected) =
        (load(&prepared.files(&fixture(name)), prepared.compute_type), load(&fixture(name), compute_type));
    assert_eq!(found.compute_type(), expected.compute_type());
    // Bits, not values: -0.0 is not 0.0 here.
    let (found, expected) = (outputs(&found), outputs(&expected));
    assert!(found.0.iter().map(|v| v.to_bits()).eq(expected.0.iter().map(|v| v.to_bits())), "encoder outputs differ");
    assert_eq!((found.1, found.2, found.3), (expected.1, expected.2, expected.3));
}

#[test]
fn prepared_int8_computes_the_same_bits_as_converting_at_load() {
    computes_the_same("tiny-whisper-ct2", ComputeType::Int8);
    computes_the_same("tiny-whisper-v3-ct2", ComputeType::Int8Float32);
}

#[test]
fn prepared_float32_computes_the_same_bits_as_converting_at_load() {
    computes_the_same("tiny-whisper-ct2", ComputeType::Float32);
}

#[test]
fn prepared_int8_differs_from_float32_so_the_comparison_means_something() {
    let model = fixture("tiny-whisper-ct2");
    let (float, int) = (load(&model, ComputeType::Float32), load(&model, ComputeType::Int8));
    assert_ne!(outputs(&float).0, outputs(&int).0);
}

#[test]
fn a_prepared_copy_is_found_and_verified_until_a_byte_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beside/the/cache");
    let model = fixture("tiny-whisper-ct2");
    let prepared = prepare(&model, &path, ComputeType::Int8).unwrap();
    assert_eq!(prepared.compute_type, ComputeType::Int8Float32);
    assert_eq!(Prepared::find(&path).unwrap().as_ref(), Some(&prepared));
    prepared.verify().unwrap();
    // The same again: same bits, and no stray files.
    assert_eq!(prepare(&model, &path, ComputeType::Int8).unwrap(), prepared);
    let mut names: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["model.bin", "prepared.json"]);

    let file = path.join("model.bin");
    let mut bytes = std::fs::read(&file).unwrap();
    let contents = inspect(&file, std::io::Cursor::new(&bytes), bytes.len() as u64).unwrap();
    assert!(contents.is_quantized && contents.specification == "WhisperSpec");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    assert!(matches!(prepared.verify(), Err(PrepareError::Changed { .. })));
    // A file of another length is no prepared copy at all, and neither is one of another version.
    std::fs::write(&file, &bytes[1..]).unwrap();
    assert_eq!(Prepared::find(&path).unwrap(), None);
    std::fs::write(&file, &bytes).unwrap();
    let record = std::fs::read_to_string(path.join("prepared.json")).unwrap();
    std::fs::write(path.join("prepared.json"), record.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert_eq!(Prepared::find(&path).unwrap(), None);
    assert_eq!(Prepared::find(Path::new("/nowhere")).unwrap(), None);
}

/// A copy of the tiny model with other bytes in one file.
fn changed(name: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["model.bin", "config.json"] {
        std::fs::copy(fixture("tiny-whisper-ct2").join(file), folder.path().join(file)).unwrap();
    }
    let path = folder.path().join(name);
    std::fs::write(&path, change(std::fs::read(&path).unwrap())).unwrap();
    folder
}

#[track_caller]
fn refused(model: &Path, compute_type: ComputeType, fits: fn(&PrepareError) -> bool) {
    let folder = tempfile::tempdir().unwrap();
    let error = prepare(model, folder.path(), compute_type).unwrap_err();
    assert!(fits(&error), "{error:?}");
    assert!(error.hint().is_some());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something is left behind");
}

#[test]
fn what_is_not_understood_is_refused_and_leaves_nothing() {
    let is_invalid = |error: &PrepareError| matches!(error, PrepareError::Invalid { .. });
    let is_unsupported = |error: &PrepareError| matches!(error, PrepareError::Unsupported { .. });
    let cut = changed("model.bin", |bytes| bytes[..bytes.len() - 1].to_vec());
    refused(cut.path(), ComputeType::Int8, is_invalid);
    let other = changed("model.bin", |mut bytes| {
        let at = bytes.windows(11).position(|window| window == b"WhisperSpec").unwrap();
        bytes[at] = b'X';
        bytes
    });
    refused(other.path(), ComputeType::Int8, is_unsupported);
    let awq = changed("config.json", |_| br#"{"quantization_type": 1}"#.to_vec());
    refused(awq.path(), ComputeType::Int8, is_unsupported);
    refused(Path::new("/nowhere"), ComputeType::Int8, |error| matches!(error, PrepareError::Read { .. }));
    let model = fixture("tiny-whisper-ct2");
    for compute_type in [ComputeType::Default, ComputeType::Auto, ComputeType::Int16, ComputeType::Bfloat16] {
        refused(&model, compute_type, |error| matches!(error, PrepareError::ComputeType(_)));
    }
    // A prepared copy is not prepared again.
    let once = tempfile::tempdir().unwrap();
    prepare(&model, once.path(), ComputeType::Int8).unwrap();
    refused(once.path(), ComputeType::Int8, is_unsupported);
}

#[test]
fn a_weight_that_is_not_finite_is_refused() {
    let infinite = changed("model.bin", |mut bytes| {
        let name = b"decoder/layer_0/ffn/linear_0/weight\0";
        let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len();
        // After the rank, two dimensions, the type and the size comes the first number, here infinity.
        bytes[at + 14..at + 16].copy_from_slice(&[0, 0x7c]);
        bytes
    });
    refused(
        infinite.path(),
        ComputeType::Int8,
        |error| matches!(error, PrepareError::Unsupported { problem, .. } if problem.contains("finite")),
    );
}

#[test]
fn both_16_bit_targets_are_prepared_without_rounding() {
    let model = fixture("tiny-whisper-ct2");
    for compute_type in [ComputeType::Float16, ComputeType::Int8Float16] {
        let folder = tempfile::tempdir().unwrap();
        let prepared = prepare(&model, folder.path(), compute_type).unwrap();
        assert_eq!(prepared.compute_type, compute_type);
        let original = std::fs::read(model.join("model.bin")).unwrap();
        let bytes = std::fs::read(folder.path().join("model.bin")).unwrap();
        if compute_type == ComputeType::Float16 {
            assert!(bytes == original, "a 16-bit model is prepared for 16 bits as it is");
        } else {
            assert!(bytes.len() < original.len());
        }
    }
}
