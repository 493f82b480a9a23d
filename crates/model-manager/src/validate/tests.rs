//! Whole folders: the trained models, and what can be wrong with them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn fixture(model: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures")).join(model)
}

/// A folder with links to a fixture's files, as a snapshot has them.
fn snapshot(model: &str) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for entry in fixture(model).read_dir().expect("the fixture") {
        let path = entry.expect("an entry").path();
        let path = path.canonicalize().expect("a path");
        symlink(&path, folder.path().join(path.file_name().expect("a name"))).expect("linked");
    }
    folder
}

fn put(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) {
    remove(folder, name);
    fs::write(folder.path().join(name), content).expect("written");
}

fn remove(folder: &TempDir, name: &str) {
    let _ = fs::remove_file(folder.path().join(name));
}

fn read(model: &str, name: &str) -> String {
    fs::read_to_string(fixture(model).join(name)).expect("the fixture")
}

/// Changes one folder of a model and checks what is said about it.
#[track_caller]
fn check(model: &str, kind: ModelKind, change: impl FnOnce(&TempDir), expected: &str) {
    let folder = snapshot(model);
    change(&folder);
    let message = validate(folder.path(), Some(kind)).expect_err("refused").to_string();
    assert!(message.contains(expected), "{message}");
}

#[track_caller]
fn whisper(change: impl FnOnce(&TempDir), expected: &str) {
    check("tiny-whisper-ct2", ModelKind::Whisper, change, expected);
}

#[track_caller]
fn lid(change: impl FnOnce(&TempDir), expected: &str) {
    check("tiny-lid", ModelKind::LanguageId, change, expected);
}

#[test]
fn the_trained_models_are_valid() {
    #[track_caller]
    fn details(model: &str, kind: Option<ModelKind>, expected: ModelKind) -> Details {
        let validated = validate(&fixture(model), kind).expect("a valid model");
        assert_eq!(validated.kind, expected, "{model}");
        validated.details
    }
    let found = details("tiny-whisper-ct2", None, ModelKind::Whisper);
    assert_eq!((found.n_mels, found.quantization.as_deref(), found.tensors), (Some(80), Some("float16"), 98));
    assert_eq!((found.architecture.as_deref(), found.vocabulary), (Some("WhisperSpec"), Some(2289)));
    assert_eq!(details("tiny-whisper-v3-ct2", Some(ModelKind::Whisper), ModelKind::Whisper).n_mels, Some(128));
    let found = details("tiny-lid", Some(ModelKind::LanguageId), ModelKind::LanguageId);
    assert_eq!((found.labels, found.quantization.as_deref()), (Some(16), Some("F32")));
    assert_eq!(found.architecture.as_deref(), Some("Wav2Vec2ForSequenceClassification"));
    details("tiny-lid", None, ModelKind::Transformers);
    assert!(details("tiny-whisper", None, ModelKind::Transformers).vocabulary.is_some_and(|entries| entries > 0));
    assert!(details("tiny-whisper", Some(ModelKind::Other), ModelKind::Other).tensors > 0);
}

#[test]
fn what_is_not_a_model_file_is_named_as_what_it_is() {
    let named = |content: &'static str, expected: &'static str| {
        whisper(|folder| put(folder, "model.bin", content), &format!("model file `model.bin` {expected}"));
        lid(|folder| put(folder, "model.safetensors", content), &format!("model file `model.safetensors` {expected}"));
    };
    named("", "is empty");
    named("<!DOCTYPE html>\n<title>Sign in</title>", "is an HTML or XML page, not a model file");
    named("{\"error\":\"Repository not found\"}", "is a JSON message, not weights");
    named("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "is a Git LFS pointer");
    named("PK\x03\x04\0\0\0\0archive/data.pkl", "is a Python pickle; pickled weights are never loaded");
    lid(|folder| put(folder, "config.json", ""), "`config.json` is empty");
    lid(|folder| put(folder, "config.json", "<html>"), "`config.json` is an HTML or XML page");
}

#[test]
fn a_truncated_model_is_named() {
    for (model, kind, name) in [
        ("tiny-whisper-ct2", ModelKind::Whisper, "model.bin"),
        ("tiny-lid", ModelKind::LanguageId, "model.safetensors"),
    ] {
        let whole = fs::read(fixture(model).join(name)).expect("the fixture");
        check(model, kind, |folder| put(folder, name, &whole[..whole.len() - 1]), "truncated");
        let longer = [whole.as_slice(), b"x"].concat();
        check(model, kind, |folder| put(folder, name, longer), name);
    }
}

#[test]
fn a_whisper_model_has_to_fit_together() {
    whisper(|folder| remove(folder, "model.bin"), "`model.bin` is missing");
    whisper(|folder| remove(folder, "vocabulary.json"), "`vocabulary.json` is missing");
    whisper(|folder| put(folder, "vocabulary.json", "[]"), "it has no entry");
    whisper(|folder| put(folder, "vocabulary.json", "[1]"), "expected a string");
    whisper(|folder| put(folder, "tokenizer.json", "{\"model\":{}}"), "missing field `vocab`");
    whisper(|folder| put(folder, "tokenizer.json", "{\"model\":{\"vocab\":{}}}"), "`model.vocab` has no entry");
    whisper(|folder| put(folder, "config.json", "{\"a\":"), "is not the JSON that it should be");
    let preprocessor = read("tiny-whisper-v3-ct2", "preprocessor_config.json");
    whisper(
        |folder| put(folder, "preprocessor_config.json", preprocessor),
        "has `feature_size` 128, but the weights hear 80 mel bins",
    );
    check(
        "tiny-whisper-v3-ct2",
        ModelKind::Whisper,
        |folder| remove(folder, "preprocessor_config.json"),
        "`preprocessor_config.json` is missing",
    );
    let many: Vec<String> = (0..2290).map(|entry| format!("\"{entry}\"")).collect();
    whisper(
        |folder| put(folder, "vocabulary.json", format!("[{}]", many.join(","))),
        "has 2290 entries, but the weights have 2289 tokens",
    );
}

#[test]
fn a_whisper_model_without_a_tokenizer_or_with_a_text_vocabulary_is_valid() {
    let folder = snapshot("tiny-whisper-ct2");
    for name in ["tokenizer.json", "preprocessor_config.json", "vocabulary.json"] {
        remove(&folder, name);
    }
    put(&folder, "vocabulary.txt", "a\nb\n");
    let validated = validate(folder.path(), None).expect("valid");
    assert_eq!((validated.kind, validated.details.vocabulary), (ModelKind::Whisper, Some(2)));
}

#[test]
fn a_language_model_has_to_fit_together() {
    let config = read("tiny-lid", "config.json");
    let changed = |from: &str, to: &str| {
        assert!(config.contains(from), "{from}");
        config.replacen(from, to, 1)
    };
    let with = |text: String, expected: &str| lid(|folder| put(folder, "config.json", text), expected);
    with(
        changed("ForSequenceClassification", "ForCTC"),
        "has the architecture `Wav2Vec2ForCTC`, but language identification needs",
    );
    with(changed("\"id2label\"", "\"id2lable\""), "has no `id2label`");
    with(changed("\"15\": \"nld\"", "\"16\": \"nld\""), "has 16 labels but none for 15");
    with(changed("\"15\": \"nld\"", "\"15\": \"eng\""), "has the label \"eng\" twice");
    with(
        changed("\"14\": \"tur\",\n    \"15\": \"nld\"", "\"14\": \"tur\""),
        "names 15 labels, but `classifier.weight` has the shape [16, 128]",
    );
    with(changed("{", "{\"num_labels\": 15,"), "has 16 labels in `id2label`, but `num_labels` is 15");
    lid(|folder| remove(folder, "preprocessor_config.json"), "`preprocessor_config.json` is missing");
    lid(|folder| put(folder, "preprocessor_config.json", "{\"sampling_rate\":8000}"), "has `sampling_rate` 8000");
    lid(|folder| put(folder, "vocab.json", "{"), "`vocab.json` is not the JSON that it should be");
}

#[test]
fn pickled_weights_are_refused_only_where_there_is_nothing_else() {
    let pickle = b"PK\x03\x04\0\0\0\0archive/data.pkl";
    let folder = snapshot("tiny-lid");
    put(&folder, "pytorch_model.bin", pickle);
    put(&folder, "training_args.bin", pickle);
    validate(folder.path(), Some(ModelKind::LanguageId)).expect("the safetensors count");
    remove(&folder, "model.safetensors");
    let error = validate(folder.path(), Some(ModelKind::LanguageId)).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "model file `pytorch_model.bin` is a Python pickle; pickled weights are never loaded"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("safetensors")));
}

/// A safetensors file with one tensor of one byte.
fn shard(tensor: &str) -> Vec<u8> {
    let header = format!("{{\"{tensor}\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}}}");
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), b"x"].concat()
}

#[test]
fn every_tensor_of_an_index_has_to_be_in_its_shard() {
    let folder = TempDir::new().expect("a folder");
    let index = |map: &str| put(&folder, "model.safetensors.index.json", format!("{{\"weight_map\":{map}}}"));
    let result = || validate(folder.path(), None).map(|valid| valid.details.tensors).map_err(|error| error.to_string());
    put(&folder, "config.json", "{}");
    put(&folder, "model-1.safetensors", shard("a"));
    put(&folder, "model-2.safetensors", shard("b"));
    index(r#"{"a":"model-1.safetensors","b":"model-2.safetensors"}"#);
    assert_eq!(result(), Ok(2));
    index(r#"{"a":"model-1.safetensors","c":"model-2.safetensors"}"#);
    assert_eq!(
        result(),
        Err("model file `model-2.safetensors` lacks the tensor \"c\" that the index puts there".to_owned())
    );
    index(r#"{"a":"model-1.safetensors","b":"model-3.safetensors"}"#);
    assert_eq!(result(), Err("model file `model-3.safetensors` is missing".to_owned()));
    index(r#"{"a":"../model-1.safetensors"}"#);
    assert!(result().is_err_and(|message| message.contains("names the unsafe shard")));
}

#[test]
fn a_dangling_link_is_a_missing_file() {
    whisper(
        |folder| {
            remove(folder, "model.bin");
            symlink("../../blobs/gone", folder.path().join("model.bin")).expect("linked");
        },
        "`model.bin` is missing",
    );
}

#[test]
fn an_absent_folder_is_an_error_with_its_cause() {
    let error = validate(Path::new("/nowhere/at/all"), None).expect_err("refused");
    assert_eq!(error.to_string(), "model file `.` cannot be read");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_deep_json_costs_no_stack_and_a_huge_one_is_not_read() {
    let folder = snapshot("tiny-lid");
    put(&folder, "tokenizer_config.json", format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000)));
    validate(folder.path(), Some(ModelKind::LanguageId)).expect("valid");
    lid(|folder| put(folder, "tokenizer.json", "[".repeat(1_000_000)), "`tokenizer.json` is not the JSON");
    remove(&folder, "config.json");
    let file = fs::File::create(folder.path().join("config.json")).expect("created");
    file.set_len(5 << 20).expect("a sparse file");
    let message = validate(folder.path(), Some(ModelKind::LanguageId)).expect_err("refused").to_string();
    assert!(message.contains("has 5242880 bytes, more than the 4194304"), "{message}");
}

#[test]
fn a_result_is_remembered_until_a_file_changes() {
    let (folder, state) = (snapshot("tiny-whisper-ct2"), TempDir::new().expect("a folder"));
    let memory = state.path().join("validated");
    let kind = Some(ModelKind::Whisper);
    put(&folder, "vocabulary.txt", "a\n");
    let first = validate_remembered(folder.path(), kind, &memory).expect("valid");
    let fingerprint = Fingerprint::of(folder.path()).expect("a fingerprint");
    assert_eq!(remembered(folder.path(), kind, &fingerprint, &memory), Some(first.clone()));
    assert_eq!(remembered(folder.path(), None, &fingerprint, &memory), None);
    // The memory answers, and the files are not looked into.
    let entry = fs::read_dir(&memory).expect("the memory").next().expect("an entry").expect("an entry").path();
    let marked = fs::read_to_string(&entry).expect("text").replace("WhisperSpec", "Remembered");
    fs::write(&entry, marked).expect("written");
    let second = validate_remembered(folder.path(), kind, &memory).expect("valid");
    assert_eq!(second.details.architecture.as_deref(), Some("Remembered"));
    put(&folder, "model.bin", "");
    validate_remembered(folder.path(), kind, &memory).expect_err("checked anew");
    put(&folder, "model.bin", fs::read(fixture("tiny-whisper-ct2").join("model.bin")).expect("the fixture"));
    assert_eq!(validate_remembered(folder.path(), kind, &memory).expect("checked anew"), first);
    fs::write(&entry, "broken").expect("written");
    assert_eq!(validate_remembered(folder.path(), kind, &memory).expect("checked anew"), first);
    let left: Vec<_> = fs::read_dir(&memory).expect("the memory").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_memory_that_cannot_be_written_is_no_error() {
    let folder = snapshot("tiny-lid");
    let memory = Path::new("/proc/speech-flow/validated");
    validate_remembered(folder.path(), Some(ModelKind::LanguageId), memory).expect("valid");
}

#[test]
fn a_list_of_a_maps_values_is_no_map() {
    assert_eq!(count_tokenizer(br#"{"model":{"vocab":{"a":0}}}"#), Ok(1));
    for text in [r#"[[["a"]]]"#, r#"[[{"a":0}]]"#, r#"{"model":[["a"]]}"#] {
        assert!(count_tokenizer(text.as_bytes()).is_err(), "accepted {text}");
    }
}

proptest! {
    #[test]
    fn no_json_panics(text in "[\\[\\]{}\":,a-z0-9 ]{0,60}") {
        let _ = count_tokenizer(text.as_bytes());
        let _ = count_vocabulary(text.as_bytes());
    }
}
