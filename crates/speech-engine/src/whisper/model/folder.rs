//! The files of a model folder beside its weights: read, and checked against each other.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use speech_flow_ctranslate2::Whisper;

use crate::error::Error;
use crate::features::{HOP, N_FFT, WINDOW_FRAMES};
use crate::vad::SAMPLE_RATE;
use crate::whisper::Tokenizer;
use crate::whisper::options::WINDOW_SECONDS;

/// What the folder says about its model.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) tokenizer: Tokenizer,
    /// Mel bins, where the folder says.
    n_mels: Option<usize>,
    /// Seconds of a window.
    pub(super) chunk_length: usize,
}

/// `preprocessor_config.json`, of which faster-whisper takes these.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Preprocessor {
    feature_size: Option<usize>,
    sampling_rate: Option<usize>,
    hop_length: Option<usize>,
    n_fft: Option<usize>,
    chunk_length: Option<usize>,
}

/// Reads the folder.
pub(super) fn read(folder: &Path) -> Result<Texts, Error> {
    let preprocessor = preprocessor(folder)?;
    let tokenizer = Tokenizer::load(folder)?;
    check_vocabulary(folder, &tokenizer)?;
    Ok(Texts {
        tokenizer,
        n_mels: preprocessor.feature_size,
        chunk_length: preprocessor.chunk_length.unwrap_or(WINDOW_SECONDS),
    })
}

impl Texts {
    /// Checks that the weights are those of this folder's model.
    pub(super) fn check_against(&self, folder: &Path, engine: &Whisper) -> Result<(), Error> {
        let (asked, n_mels) = (self.n_mels, engine.n_mels());
        if asked.is_some_and(|asked| asked != n_mels) {
            let problem = format!("it has {} mel bins and the weights take {n_mels}", asked.unwrap_or_default());
            return Err(Error::model_file(folder.join("preprocessor_config.json"), problem));
        }
        let (known, size) = (self.tokenizer.len(), engine.vocabulary_size());
        if known > size {
            let problem = format!("it has {known} tokens and the model knows {size}");
            return Err(Error::model_file(folder.join("tokenizer.json"), problem));
        }
        let frames = engine.max_frames();
        if frames < WINDOW_FRAMES {
            let problem = format!("its windows have {frames} frames, where Whisper's have {WINDOW_FRAMES}");
            return Err(Error::model_file(folder.join("model.bin"), problem));
        }
        Ok(())
    }
}

/// Reads `preprocessor_config.json`, which older folders lack.
fn preprocessor(folder: &Path) -> Result<Preprocessor, Error> {
    let path = folder.join("preprocessor_config.json");
    let Some(text) = read_if_there(&path)? else { return Ok(Preprocessor::default()) };
    let config: Preprocessor = serde_json::from_slice(&text).map_err(|error| Error::ModelFile {
        file: path.clone(),
        problem: "it is not a preprocessor's configuration".into(),
        source: Some(error.into()),
    })?;
    let fixed = [
        ("sampling_rate", config.sampling_rate, SAMPLE_RATE),
        ("hop_length", config.hop_length, HOP),
        ("n_fft", config.n_fft, N_FFT),
    ];
    for (name, value, expected) in fixed {
        if value.is_some_and(|value| value != expected) {
            return Err(Error::model_file(path, format!("its `{name}` is not Whisper's {expected}")));
        }
    }
    if config.chunk_length.is_some_and(|seconds| !(1..=WINDOW_SECONDS).contains(&seconds)) {
        return Err(Error::model_file(path, "its `chunk_length` is not between 1 and 30"));
    }
    Ok(config)
}

/// Checks that the engine's vocabulary numbers tokens as the tokenizer does.
fn check_vocabulary(folder: &Path, tokenizer: &Tokenizer) -> Result<(), Error> {
    let json = folder.join("vocabulary.json");
    let text = folder.join("vocabulary.txt");
    let (path, bytes) = match read_if_there(&json)? {
        Some(bytes) => (json, bytes),
        None => match read_if_there(&text)? {
            Some(bytes) => (text, bytes),
            None => return Err(Error::model_file(json, "it is missing")),
        },
    };
    let Some(tokens) = tokens_of(&path, &bytes) else {
        return Err(Error::model_file(path, "it is not a list of tokens"));
    };
    for name in ["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"] {
        let number = tokenizer.token(name).map(|number| number as usize);
        if number.and_then(|number| tokens.get(number)).is_none_or(|token| token != name) {
            let problem = format!("it does not number `{name}` as `tokenizer.json` does");
            return Err(Error::model_file(path, problem));
        }
    }
    Ok(())
}

fn tokens_of<'a>(path: &Path, bytes: &'a [u8]) -> Option<Vec<Cow<'a, str>>> {
    if path.extension().is_some_and(|extension| extension == "json") {
        #[derive(Deserialize)]
        struct Token<'a>(#[serde(borrow)] Cow<'a, str>);
        let tokens: Vec<Token<'_>> = serde_json::from_slice(bytes).ok()?;
        return Some(tokens.into_iter().map(|token| token.0).collect());
    }
    Some(std::str::from_utf8(bytes).ok()?.lines().map(Cow::Borrowed).collect())
}

fn read_if_there(path: &PathBuf) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let problem = "it cannot be read".into();
            Err(Error::ModelFile { file: path.clone(), problem, source: Some(error.into()) })
        }
    }
}
