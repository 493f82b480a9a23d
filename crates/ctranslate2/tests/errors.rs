//! What is said when a model, a device or the engine is not as it should be.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is the failure of the test")]

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use speech_flow_ctranslate2::{
    ComputeType, Device, Error, Library, ModelConfig, ModelFile, ModelFiles, Wav2Vec2, Whisper,
};

fn engine() -> Arc<Library> {
    Library::open(None).unwrap_or_else(|error| panic!("{error}; hint: {}", error.hint().unwrap_or_default()))
}

fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiny-whisper-ct2")
}

/// A copy of the tiny model in which `change` changes a file.
fn changed(name: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["model.bin", "config.json", "vocabulary.json"] {
        std::fs::copy(fixture().join(file), folder.path().join(file)).unwrap();
    }
    let path = folder.path().join(name);
    match change(std::fs::read(&path).unwrap()) {
        Some(bytes) => std::fs::write(&path, bytes).unwrap(),
        None => std::fs::remove_file(&path).unwrap(),
    }
    folder
}

fn load(folder: &Path) -> Result<Whisper, Error> {
    Whisper::load(&engine(), &folder.to_path_buf(), &ModelConfig::default())
}

#[track_caller]
fn invalid(folder: tempfile::TempDir, words: &str) {
    let error = load(folder.path()).unwrap_err();
    assert!(matches!(error, Error::InvalidModel { .. }), "{error:?}");
    assert!(error.to_string().contains(words), "{error}");
    assert!(error.hint().is_some() && !error.is_transient());
}

#[track_caller]
fn missing(folder: &Path, name: &str) {
    let error = load(folder).unwrap_err();
    assert!(matches!(&error, Error::MissingFile { file, .. } if file == name), "{error:?}");
}

#[test]
fn a_missing_file_is_named() {
    missing(tempfile::tempdir().unwrap().path(), "model.bin");
    missing(Path::new("/nowhere"), "model.bin");
    missing(changed("model.bin", |_| None).path(), "model.bin");
    missing(changed("vocabulary.json", |_| None).path(), "vocabulary.json");
    missing(changed("config.json", |_| None).path(), "config.json");
}

#[test]
fn a_cut_or_foreign_model_file_is_refused() {
    for length in [0, 3, 20, 100, 5000, 500_000] {
        invalid(changed("model.bin", |bytes| Some(bytes[..length].to_vec())), "");
    }
    // Cut inside the last alias.
    invalid(changed("model.bin", |bytes| Some(bytes[..bytes.len() - 5].to_vec())), "model.bin");
    invalid(changed("model.bin", |_| Some(b"not a model, but text of some length".repeat(10))), "");
    // Of a later format.
    invalid(changed("model.bin", |bytes| Some([&[7, 0, 0, 0], &bytes[4..]].concat())), "v7");
    // A variable that claims to be longer than the file.
    invalid(changed("model.bin", |bytes| Some(enlarged(bytes))), "invalid");
}

/// Makes the first matrix of the file claim 16 million rows.
fn enlarged(mut bytes: Vec<u8>) -> Vec<u8> {
    let name = b"decoder/embeddings/weight\0";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 1;
    bytes[at..at + 4].copy_from_slice(&16_000_000_u32.to_le_bytes());
    bytes
}

#[test]
fn a_wrong_configuration_is_refused_before_it_is_used() {
    let config = |text: &str| {
        let text = text.to_owned();
        changed("config.json", |_| Some(text.into_bytes()))
    };
    invalid(config("garbage"), "parse");
    invalid(config(""), "parse");
    invalid(config("[1]"), "config.json");
    invalid(config("{}"), "`suppress_ids`");
    invalid(config(r#"{"suppress_ids": [1], "suppress_ids_begin": [2]}"#), "`lang_ids`");
    invalid(config(r#"{"suppress_ids": [2289], "suppress_ids_begin": [], "lang_ids": []}"#), "`suppress_ids`");
    invalid(config(r#"{"suppress_ids": [], "suppress_ids_begin": [-1], "lang_ids": []}"#), "`suppress_ids_begin`");
    let heads = r#"{"suppress_ids": [], "suppress_ids_begin": [], "lang_ids": [683], "alignment_heads": [[9, 0]]}"#;
    invalid(config(heads), "`alignment_heads`");
}

#[test]
fn a_vocabulary_of_another_model_is_refused() {
    let tokens = |count: usize| (0..count).map(|token| format!("\"{token}\"")).collect::<Vec<_>>().join(",");
    let vocabulary = format!("[{}]", tokens(3000));
    invalid(changed("vocabulary.json", |_| Some(vocabulary.into_bytes())), "vocabulary");
    invalid(changed("vocabulary.json", |_| Some(b"{".to_vec())), "parse");
}

#[test]
fn a_whisper_model_is_no_wav2vec2_model() {
    let error = Wav2Vec2::load(&engine(), &fixture(), &ModelConfig::default()).unwrap_err();
    assert!(matches!(&error, Error::InvalidModel { reason, .. } if reason.contains("Wav2Vec2")), "{error:?}");
}

/// The tiny model whose `model.bin` fails after some bytes.
struct Failing {
    after: u64,
    panics: bool,
}

struct Cut {
    left: u64,
    panics: bool,
    file: Box<dyn Read + Send>,
}

impl Read for Cut {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            assert!(!self.panics, "the reader's own fault");
            return Err(io::Error::other("the disk is on fire"));
        }
        let room = into.len().min(usize::try_from(self.left).unwrap());
        let count = self.file.read(&mut into[..room])?;
        self.left -= count as u64;
        Ok(count)
    }
}

impl ModelFiles for Failing {
    fn open(&self, name: &str) -> io::Result<Option<ModelFile>> {
        let file = fixture().open(name)?;
        if name != "model.bin" {
            return Ok(file);
        }
        let (left, panics) = (self.after, self.panics);
        Ok(file
            .map(|file| ModelFile { length: file.length, reader: Box::new(Cut { left, panics, file: file.reader }) }))
    }

    fn name(&self) -> String {
        "failing".to_owned()
    }
}

#[test]
fn a_failing_or_panicking_read_is_an_error_with_its_cause() {
    for after in [0, 10, 70_000, 600_000] {
        for panics in [false, true] {
            let error = Whisper::load(&engine(), &Failing { after, panics }, &ModelConfig::default()).unwrap_err();
            let Error::ReadFile { model, file, source } = &error else { panic!("{error:?}") };
            assert_eq!((model.as_str(), file.as_str()), ("failing", "model.bin"));
            let expected = if panics { "panicked" } else { "on fire" };
            assert!(source.to_string().contains(expected), "{source}");
        }
    }
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_and_no_abort() {
    let library = engine();
    let index = u32::try_from(library.cuda_device_count()).unwrap();
    let config = ModelConfig { device: Device::Cuda(index), ..ModelConfig::default() };
    for error in [
        Whisper::load(&library, &fixture(), &config).unwrap_err(),
        library.supported_compute_types(Device::Cuda(index)).unwrap_err(),
    ] {
        assert!(matches!(error, Error::NoGpu { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("nvidia-smi"));
    }
}

#[test]
fn a_compute_type_that_the_device_lacks_is_refused() {
    for compute_type in [ComputeType::Bfloat16, ComputeType::Float16] {
        let config = ModelConfig { compute_type, ..ModelConfig::default() };
        let error = Whisper::load(&engine(), &fixture(), &config).unwrap_err();
        assert!(matches!(error, Error::UnsupportedComputeType { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("int8"));
    }
}

#[test]
fn no_threads_or_absurdly_many_are_refused() {
    for (intra_threads, replicas) in [(0, 1), (1, 0), (5000, 1), (1, usize::MAX)] {
        let config = ModelConfig { intra_threads, replicas, ..ModelConfig::default() };
        let error = Whisper::load(&engine(), &fixture(), &config).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }), "{error:?}");
    }
}

#[test]
fn a_file_that_is_no_engine_is_refused_with_the_loaders_words() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("libspeech_flow_ct2.so"), "not a library").unwrap();
    let error = Library::open(Some(folder.path())).unwrap_err();
    assert!(matches!(error, Error::Unusable { .. }), "{error:?}");
    let causes = std::iter::successors(std::error::Error::source(&error), |error| error.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    assert!(
        causes.iter().any(|cause| cause.contains("invalid ELF header") || cause.contains("file too short")),
        "{causes:?}"
    );
}

#[test]
fn an_engine_for_another_interface_or_version_is_refused() {
    let sources = [
        ("const void* speech_flow_ct2_api(unsigned abi) { (void)abi; return 0; }", "another interface"),
        (
            "static const struct { unsigned abi, size; const char* version; void* table[15]; } api = {2, 136, \"4.7.0\", {0}};\n\
             const void* speech_flow_ct2_api(unsigned abi) { (void)abi; return &api; }",
            "4.7.0",
        ),
    ];
    for (source, words) in sources {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("other.c");
        std::fs::write(&file, source).unwrap();
        let mut compiler = std::process::Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(folder.path().join("libspeech_flow_ct2.so")).arg(&file);
        assert!(compiler.status().unwrap().success());
        let error = Library::open(Some(folder.path())).unwrap_err();
        assert!(matches!(error, Error::WrongVersion { .. }), "{error:?}");
        assert!(error.to_string().contains(words) && error.to_string().contains("4.8.4"), "{error}");
    }
}
