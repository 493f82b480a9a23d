//! A Whisper model for CTranslate2, as faster-whisper loads it.

use serde::Deserialize;

use super::ctranslate2::{Ct2Model, read_model};
use super::{Details, Folder, Invalid, Problem, json, sniff};

const WEIGHTS: &str = "model.bin";
const CONFIG: &str = "config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";
const TOKENIZER: &str = "tokenizer.json";
/// Name of Whisper's specification in `model.bin`.
const SPEC: &str = "WhisperSpec";
/// Mel bins of Whisper up to large-v2, and from large-v3.
const MEL_BINS: [u64; 2] = [80, 128];

#[derive(Deserialize)]
struct Preprocessor {
    feature_size: Option<u64>,
}

pub(super) fn check(folder: &Folder) -> Result<Details, Invalid> {
    let (model, weight_bytes) = read_weights(folder)?;
    let n_mels = u64::from(model.n_mels.ok_or_else(|| Invalid::wrong(WEIGHTS, "has no `encoder/conv1/weight`"))?);
    if !MEL_BINS.contains(&n_mels) {
        return Err(Invalid::wrong(WEIGHTS, format!("hears {n_mels} mel bins, but Whisper models hear 80 or 128")));
    }
    check_preprocessor(folder, n_mels)?;
    if folder.has(CONFIG) {
        json::check_json(folder, CONFIG)?;
    }
    if folder.has(TOKENIZER) {
        json::check_tokenizer(folder, TOKENIZER)?;
    }
    // CTranslate2 loads no Whisper model without its vocabulary, whatever the tokenizer.
    let name = ["vocabulary.json", "vocabulary.txt"].into_iter().find(|name| folder.has(name));
    let name = name.ok_or_else(|| Invalid::new("vocabulary.json", Problem::Missing))?;
    let vocabulary = json::check_vocabulary(folder, name)?;
    if model.vocabulary.is_some_and(|tokens| u64::from(tokens) < vocabulary) {
        let tokens = model.vocabulary.unwrap_or_default();
        return Err(Invalid::wrong(name, format!("has {vocabulary} entries, but the weights have {tokens} tokens")));
    }
    Ok(Details {
        architecture: Some(model.spec),
        n_mels: Some(n_mels),
        quantization: Some(model.main_type.as_str().to_owned()),
        tensors: u64::from(model.variables),
        weight_bytes,
        vocabulary: Some(vocabulary),
        labels: None,
    })
}

fn read_weights(folder: &Folder) -> Result<(Ct2Model, u64), Invalid> {
    let mut opened = folder.open_weights(WEIGHTS)?;
    let head = sniff::read_head(&mut opened.file).map_err(|error| Invalid::new(WEIGHTS, Problem::Unreadable(error)))?;
    if sniff::is_json_message(&head, opened.len) {
        return Err(Invalid::new(WEIGHTS, Problem::Lookalike(sniff::Lookalike::JsonMessage)));
    }
    let model = read_model(opened.file, opened.len).map_err(|error| Invalid::new(WEIGHTS, Problem::Ct2(error)))?;
    if model.spec != SPEC {
        let what = format!("holds a `{}` for CTranslate2, not a `{SPEC}`", model.spec.escape_debug());
        return Err(Invalid::wrong(WEIGHTS, what));
    }
    Ok((model, opened.len))
}

/// Without the file, faster-whisper takes 80 mel bins, so a model with 128 needs it.
fn check_preprocessor(folder: &Folder, n_mels: u64) -> Result<(), Invalid> {
    if !folder.has(PREPROCESSOR) {
        let missing = Invalid::new(PREPROCESSOR, Problem::Missing);
        return if n_mels == MEL_BINS[0] { Ok(()) } else { Err(missing) };
    }
    let preprocessor: Preprocessor = json::read_config(folder, PREPROCESSOR)?;
    let size = preprocessor.feature_size.unwrap_or(MEL_BINS[0]);
    if size == n_mels {
        return Ok(());
    }
    Err(Invalid::wrong(PREPROCESSOR, format!("has `feature_size` {size}, but the weights hear {n_mels} mel bins")))
}
