//! The JSON beside the weights: tokenizer, vocabulary, labels, index of shards; and what stands in for a file.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use speech_flow_fuzz::{assert_one_line, bounded};
use speech_flow_model_manager::validate::sniff::{SNIFFED_BYTES, is_json_message, sniff, sniff_file};
use speech_flow_model_manager::validate::{check_index, count_labels, count_tokenizer, count_vocabulary};

fuzz_target!(|bytes: &[u8]| {
    let value: Option<Value> = serde_json::from_slice(bytes).ok();
    let tokens = checked(bounded(bytes.len(), 4, || count_tokenizer(bytes)));
    let words = checked(bounded(bytes.len(), 4, || count_vocabulary(bytes)));
    if let Some(value) = &value {
        // A map may hold a key twice, which only the counting reader sees.
        let vocab = &value["model"]["vocab"];
        let entries = vocab.as_object().map(|map| map.len()).or(vocab.as_array().map(Vec::len));
        assert!(tokens.is_none_or(|tokens| entries.is_some_and(|entries| tokens >= entries as u64)));
        assert!(words.is_none_or(|words| value.as_array().is_some_and(|list| list.len() as u64 == words)));
        check_labels(value);
        // A longer text is no answer of a proxy, nor is one that begins with a page of spaces.
        let head = &bytes[..bytes.len().min(SNIFFED_BYTES)];
        if value.is_object() && bytes.len() <= 4 << 20 && !head.trim_ascii_start().is_empty() {
            assert!(is_json_message(head, bytes.len() as u64), "a message passes for weights");
        }
    }
    check_shards(bytes);
    check_lookalike(bytes);
});

#[track_caller]
fn checked<T>(result: Result<T, String>) -> Option<T> {
    result.map_err(|reason| assert_one_line(&reason)).ok()
}

fn check_labels(value: &Value) {
    let Ok(labels) = serde_json::from_value::<BTreeMap<String, String>>(value.clone()) else { return };
    let Some(count) = checked(count_labels(&labels)) else { return };
    assert_eq!(count, labels.len() as u64);
    let names: std::collections::BTreeSet<&String> = labels.values().collect();
    assert_eq!(names.len(), labels.len(), "a label twice");
    assert!((0..count).all(|id| labels.contains_key(&id.to_string())), "a gap");
}

fn check_shards(bytes: &[u8]) {
    let Some(shards) = checked(bounded(bytes.len(), 64, || check_index(bytes))) else { return };
    assert!(!shards.is_empty() && shards.values().all(|tensors| !tensors.is_empty()));
    let map: BTreeMap<&String, &String> =
        shards.iter().flat_map(|(shard, tensors)| tensors.iter().map(move |tensor| (tensor, shard))).collect();
    assert_eq!(map.len(), shards.values().map(Vec::len).sum::<usize>(), "a tensor in two shards");
    let written = json!({ "weight_map": map }).to_string();
    assert_eq!(check_index(written.as_bytes()), Ok(shards));
}

fn check_lookalike(bytes: &[u8]) {
    let head = &bytes[..bytes.len().min(SNIFFED_BYTES)];
    let found = sniff(head, bytes.len() as u64);
    let mut file = std::io::Cursor::new(bytes);
    assert_eq!(sniff_file(&mut file, bytes.len() as u64).expect("memory is read"), found);
    assert_eq!(file.position(), 0);
    if let Some(lookalike) = found {
        assert_one_line(&lookalike.to_string());
    }
}
