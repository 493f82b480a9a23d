//! A model's folder: whatever its files hold, it is accepted as a model or refused with one line.
//!
//! Input: files one after the other, each a byte that chooses its name, a length in two bytes (little-endian)
//! and its content.

#![no_main]

use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_fit_to_show, assert_one_line, bounded, folder_in_memory};
use speech_flow_model_manager::validate::sniff::{Lookalike, sniff};
use speech_flow_model_manager::validate::validate;
use speech_flow_model_types::ModelKind;
use tempfile::TempDir;

const NAMES: [&str; 13] = [
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "vocabulary.json",
    "vocabulary.txt",
    "model.bin",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "pytorch_model.bin",
    "special_tokens_map.json",
    "generation_config.json",
];
const KINDS: [Option<ModelKind>; 5] = [
    None,
    Some(ModelKind::Whisper),
    Some(ModelKind::LanguageId),
    Some(ModelKind::Transformers),
    Some(ModelKind::Other),
];

fuzz_target!(|bytes: &[u8]| {
    let files = split(bytes);
    let folder = write(&files);
    for kind in KINDS {
        match bounded(bytes.len(), 256, || validate(folder.path(), kind)) {
            Ok(validated) => {
                assert!(kind.is_none_or(|kind| kind == validated.kind));
                check(&files, validated.kind);
            }
            Err(invalid) => {
                assert_fit_to_show(&invalid);
                invalid.hint().iter().for_each(|hint| assert_one_line(hint));
            }
        }
    }
});

fn split(bytes: &[u8]) -> Vec<(&'static str, &[u8])> {
    let mut files: Vec<(&str, &[u8])> = Vec::new();
    let mut rest = bytes;
    while let [name, low, high, after @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (content, next) = after.split_at(len);
        let name = NAMES[usize::from(*name) % NAMES.len()];
        if files.iter().all(|(other, _)| *other != name) {
            files.push((name, content));
        }
        rest = next;
    }
    files
}

fn write(files: &[(&str, &[u8])]) -> TempDir {
    let folder = folder_in_memory();
    for (name, content) in files {
        fs::write(Path::join(folder.path(), name), content).expect("a file");
    }
    folder
}

/// What must not be accepted, by rules of their own.
fn check(files: &[(&str, &[u8])], kind: ModelKind) {
    let content = |name: &str| files.iter().find(|(other, _)| *other == name).map(|(_, content)| *content);
    let lookalike = |content: &[u8]| sniff(&content[..content.len().min(512)], content.len() as u64);
    match kind {
        ModelKind::Whisper => {
            let weights = content("model.bin").expect("a Whisper model has weights");
            assert_eq!(lookalike(weights), None);
            assert!(content("vocabulary.json").or(content("vocabulary.txt")).is_some());
        }
        ModelKind::LanguageId | ModelKind::Transformers => {
            assert!(content("config.json").is_some());
            assert!(files.iter().any(|(name, _)| name.ends_with(".safetensors")), "weights that are pickles, or none");
        }
        ModelKind::Other => {
            let pages =
                files.iter().filter(|(name, _)| name.ends_with(".bin")).filter_map(|(_, content)| lookalike(content));
            assert!(pages.into_iter().all(|found| found == Lookalike::Pickle));
        }
    }
}
