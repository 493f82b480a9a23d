//! The JSON and text files beside the weights, read with bounds.
//!
//! What can be long is counted, not kept: a hostile vocabulary costs its length in time and nothing in
//! memory. `serde_json` steps over unknown values without recursion, so a deep file costs no stack.

use std::fmt;
use std::io::Read;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Folder, Invalid, Problem};

/// Longest configuration; the largest known has 4,017 labels and 0.2 MB.
const MAX_CONFIG: u64 = 4 << 20;
/// Longest tokenizer or vocabulary; the largest known has 33 MB.
const MAX_VOCABULARY: u64 = 128 << 20;

/// Reads a configuration into a type.
pub(super) fn read_config<T: DeserializeOwned>(folder: &Folder, name: &str) -> Result<T, Invalid> {
    let bytes = read_bytes(folder, name, MAX_CONFIG)?;
    let parsed: Result<Object<T>, _> = serde_json::from_slice(&bytes);
    parsed.map(|Object(config)| config).map_err(|error| Invalid::new(name, Problem::Json(error.to_string())))
}

/// Checks that a file is JSON of any shape.
pub(super) fn check_json(folder: &Folder, name: &str) -> Result<(), Invalid> {
    let bytes = read_bytes(folder, name, MAX_VOCABULARY)?;
    let parsed: Result<IgnoredAny, _> = serde_json::from_slice(&bytes);
    parsed.map(|_| ()).map_err(|error| Invalid::new(name, Problem::Json(error.to_string())))
}

/// Checks `tokenizer.json`, and gives the entries of its vocabulary.
pub(super) fn check_tokenizer(folder: &Folder, name: &str) -> Result<u64, Invalid> {
    let bytes = read_bytes(folder, name, MAX_VOCABULARY)?;
    count_tokenizer(&bytes).map_err(|reason| Invalid::new(name, Problem::Json(reason)))
}

/// Checks CTranslate2's vocabulary, and gives its entries.
pub(super) fn check_vocabulary(folder: &Folder, name: &str) -> Result<u64, Invalid> {
    let bytes = read_bytes(folder, name, MAX_VOCABULARY)?;
    let count = if name.ends_with(".json") { count_vocabulary(&bytes) } else { count_lines(&bytes) };
    count.map_err(|reason| Invalid::new(name, Problem::Json(reason)))
}

pub(super) fn read_bytes(folder: &Folder, name: &str, limit: u64) -> Result<Vec<u8>, Invalid> {
    let opened = folder.open(name)?;
    if let Some(lookalike) = opened.lookalike {
        return Err(Invalid::new(name, Problem::Lookalike(lookalike)));
    }
    if opened.len > limit {
        return Err(Invalid::new(name, Problem::TooLarge { actual: opened.len, limit }));
    }
    let mut bytes = Vec::new();
    let read = opened.file.take(limit).read_to_end(&mut bytes);
    read.map_err(|error| Invalid::new(name, Problem::Unreadable(error)))?;
    Ok(bytes)
}

/// Entries of a `tokenizer.json`'s vocabulary.
///
/// # Errors
/// What is wrong with it, ready for a sentence.
pub fn count_tokenizer(bytes: &[u8]) -> Result<u64, String> {
    #[derive(Deserialize)]
    struct Tokenizer {
        model: Object<Model>,
        #[serde(default, rename = "added_tokens")]
        _added_tokens: Option<Vec<IgnoredAny>>,
    }
    #[derive(Deserialize)]
    struct Model {
        vocab: Count,
    }
    let Object(tokenizer): Object<Tokenizer> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    not_empty(tokenizer.model.0.vocab.0, "`model.vocab` has no entry")
}

/// Entries of a `vocabulary.json`, which is a list of texts.
///
/// # Errors
/// What is wrong with it, ready for a sentence.
pub fn count_vocabulary(bytes: &[u8]) -> Result<u64, String> {
    let Texts(count) = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    not_empty(count, "it has no entry")
}

/// Entries of a `vocabulary.txt`, one on each line.
fn count_lines(bytes: &[u8]) -> Result<u64, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8 text: {error}"))?;
    not_empty(text.lines().count() as u64, "it has no line")
}

fn not_empty(count: u64, otherwise: &str) -> Result<u64, String> {
    if count == 0 { Err(otherwise.to_owned()) } else { Ok(count) }
}

/// Checks that `id2label` names every label from 0 on once, and gives their number.
///
/// # Errors
/// What is wrong with it, ready for a sentence.
pub fn count_labels(id2label: &std::collections::BTreeMap<String, String>) -> Result<u64, String> {
    for id in 0..id2label.len() {
        match id2label.get(&id.to_string()) {
            Some(label) if label.trim().is_empty() => return Err(format!("`id2label` has an empty label for {id}")),
            Some(_) => {}
            None => return Err(format!("`id2label` has {} labels but none for {id}", id2label.len())),
        }
    }
    let mut labels: Vec<&String> = id2label.values().collect();
    labels.sort();
    match labels.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("`id2label` has the label {:?} twice", pair[0])),
        None => not_empty(id2label.len() as u64, "`id2label` has no label"),
    }
}

/// A type that is written as a map. On its own, a derived type takes the list of its values as well, which no
/// program that loads models does.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Map<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Object<T>, M::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Map(PhantomData))
    }
}

/// The number of entries of a map or list.
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map or a list")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Count, M::Error> {
                let mut count = 0;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Count, S::Error> {
                let mut count = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_any(Entries)
    }
}

/// The number of texts of a list that holds only texts.
struct Texts(u64);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Texts, S::Error> {
                let mut count = 0;
                while list.next_element::<String>()?.is_some() {
                    count += 1;
                }
                Ok(Texts(count))
            }
        }
        deserializer.deserialize_seq(List)
    }
}
