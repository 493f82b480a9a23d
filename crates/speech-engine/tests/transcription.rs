//! What a transcription refuses, how it is stopped, and what a model folder must be.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is the failure of the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use speech_flow_ctranslate2::{ComputeType, Library, ModelConfig};
use speech_flow_speech_engine::audio::{Audio, DecodeOptions, decode_file};
use speech_flow_speech_engine::cancel::{Cancel, CancelReason};
use speech_flow_speech_engine::error::Error;
use speech_flow_speech_engine::whisper::{
    Event, LanguageDetectionOptions, Models, TranscribeOptions, WhisperModel, detect_language, transcribe,
    transcribe_batched,
};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn engine() -> Arc<Library> {
    Library::open(None).unwrap_or_else(|error| panic!("{error}; hint: {}", error.hint().unwrap_or_default()))
}

fn load(folder: &Path) -> Result<WhisperModel, Error> {
    let config = ModelConfig { compute_type: ComputeType::Float32, ..ModelConfig::default() };
    WhisperModel::load(folder, &engine(), &config)
}

fn options(json: &str) -> TranscribeOptions {
    serde_json::from_str(json).unwrap()
}

/// Twenty times the same clip, 50 s.
fn long() -> Audio {
    let path = fixture("audio/en05.wav");
    let clip = decode_file(&path, &DecodeOptions::default(), &Cancel::new()).unwrap();
    Audio::from_samples(clip.samples().repeat(20))
}

/// A copy of the model folder that a test can damage.
fn copy_of_model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(fixture("tiny-whisper-ct2")).unwrap() {
        let file = file.unwrap();
        std::fs::write(folder.path().join(file.file_name()), std::fs::read(file.path()).unwrap()).unwrap();
    }
    folder
}

#[test]
fn a_canceled_transcription_gives_no_further_segment() {
    let model = load(&fixture("tiny-whisper-ct2")).unwrap();
    let models = Models { backend: &model, tokenizer: model.tokenizer(), vad: None };
    let cancel = Cancel::new();
    let mut segments = 0;
    let mut on_event = |event| match event {
        Event::Segment(_) => segments += 1,
        Event::Progress { .. } => cancel.cancel(),
        Event::Started(_) => {}
    };
    let options = options(r#"{"language": "en", "beam_size": 1, "temperature": 0, "chunk_length": 3}"#);
    let result = transcribe(models, &long(), &options, &cancel, &mut on_event);
    assert!(matches!(result, Err(Error::Canceled(CancelReason::Canceled))), "{result:?}");
    assert!(segments <= 1, "{segments} segments of the first window of 3 s");
}

#[test]
fn a_passed_deadline_stops_before_the_engine_is_asked() {
    let model = load(&fixture("tiny-whisper-ct2")).unwrap();
    let models = Models { backend: &model, tokenizer: model.tokenizer(), vad: None };
    let cancel = Cancel::with_deadline(Instant::now());
    let result = transcribe(models, &long(), &TranscribeOptions::default(), &cancel, &mut |_| {});
    let Err(error @ Error::Canceled(CancelReason::DeadlinePassed)) = result else { panic!("{result:?}") };
    assert!(error.is_transient() && error.hint().is_some());
}

#[test]
fn the_batched_mode_refuses_what_it_cannot_honor() {
    let model = load(&fixture("tiny-whisper-ct2")).unwrap();
    let models = Models { backend: &model, tokenizer: model.tokenizer(), vad: None };
    let refused = |json: &str, size: usize| {
        let (options, cancel) = (options(json), Cancel::new());
        transcribe_batched(models, &long(), &options, size, &cancel, &mut |_| {}).unwrap_err().to_string()
    };
    let start = "cannot be honored in batched mode";
    assert!(refused(r#"{"condition_on_previous_text": true}"#, 8).contains(start));
    assert!(refused(r#"{"word_timestamps": true, "hallucination_silence_threshold": 1}"#, 8).contains(start));
    assert!(refused(r#"{"vad_filter": false}"#, 8).contains("needs `clip_timestamps`"));
    assert!(refused(r#"{"clip_timestamps": "0,40"}"#, 8).contains("longer than a window"));
    assert!(refused("{}", 0).contains("`batch_size`"));
    assert!(refused("{}", 8).contains("`vad_filter` needs a model"));
}

#[test]
fn an_unknown_language_or_too_many_tokens_are_refused() {
    let model = load(&fixture("tiny-whisper-ct2")).unwrap();
    let models = Models { backend: &model, tokenizer: model.tokenizer(), vad: None };
    let refused =
        |json: &str| transcribe(models, &long(), &options(json), &Cancel::new(), &mut |_| {}).unwrap_err().to_string();
    assert_eq!(refused(r#"{"language": "yue"}"#), "option `language` has `yue`, which the model does not know");
    let tokens = r#"{"language": "en", "max_new_tokens": 446}"#;
    assert!(refused(tokens).starts_with("option `max_new_tokens` is more than fits after a prompt of 3 tokens"));
    let prompt = r#"{"language": "en", "initial_prompt": [99999]}"#;
    assert!(refused(prompt).starts_with("option `initial_prompt` has the token 99999"));
}

#[test]
fn the_language_of_a_clip_is_detected_alone() {
    let model = load(&fixture("tiny-whisper-ct2")).unwrap();
    let models = Models { backend: &model, tokenizer: model.tokenizer(), vad: None };
    let detected = detect_language(models, &long(), &LanguageDetectionOptions::default(), &Cancel::new()).unwrap();
    assert_eq!((detected.language.as_str(), detected.all.len()), ("en", 99));
    assert!(detected.probability > 0.9 && detected.all[0].1 == detected.probability);
}

#[track_caller]
fn refused(folder: &Path, file: &str, problem: &str) {
    match load(folder) {
        Err(Error::ModelFile { file: path, problem: found, .. }) => {
            assert_eq!((path.file_name().unwrap().to_str().unwrap(), &*found), (file, problem));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_whose_files_do_not_fit_is_refused_with_the_name_of_the_file() {
    let folder = copy_of_model();
    let path = folder.path();
    load(path).unwrap();
    std::fs::write(path.join("preprocessor_config.json"), r#"{"feature_size": 128}"#).unwrap();
    refused(path, "preprocessor_config.json", "it has 128 mel bins and the weights take 80");
    std::fs::write(path.join("preprocessor_config.json"), r#"{"hop_length": 80}"#).unwrap();
    refused(path, "preprocessor_config.json", "its `hop_length` is not Whisper's 160");
    std::fs::remove_file(path.join("preprocessor_config.json")).unwrap();
    load(path).unwrap();
    std::fs::copy(fixture("tiny-whisper-v3-ct2/tokenizer.json"), path.join("tokenizer.json")).unwrap();
    refused(path, "vocabulary.json", "it does not number `<|notimestamps|>` as `tokenizer.json` does");
    std::fs::remove_file(path.join("tokenizer.json")).unwrap();
    refused(path, "tokenizer.json", "it cannot be read");
}

#[test]
fn a_truncated_model_is_refused() {
    let folder = copy_of_model();
    let model = folder.path().join("model.bin");
    let bytes = std::fs::read(&model).unwrap();
    std::fs::write(&model, &bytes[..bytes.len() / 2]).unwrap();
    let error = load(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Engine { step: "load the model", .. }), "{error:?}");
    assert!(error.hint().is_some());
}
