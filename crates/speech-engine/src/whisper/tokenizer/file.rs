//! `tokenizer.json`, parsed without copying its strings.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::byte_level;
use crate::error::Error;

/// Tokens that a file may number: a larger number is not Whisper's and would only cost memory.
const MAX_TOKENS: u32 = 1 << 20;

/// What is wrong with a tokenizer file.
#[derive(Debug)]
pub(crate) struct Problem {
    text: Cow<'static, str>,
    source: Option<serde_json::Error>,
}

impl Problem {
    pub(super) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), source: None }
    }

    pub(super) fn at(self, file: &Path) -> Error {
        Error::ModelFile { file: file.to_owned(), problem: self.text, source: self.source.map(Into::into) }
    }
}

/// The parts of the file that matter here.
#[derive(Debug, Deserialize)]
pub(super) struct File<'a> {
    #[serde(borrow)]
    pub(super) added_tokens: Vec<AddedToken<'a>>,
    #[serde(borrow)]
    normalizer: Option<Stage<'a>>,
    #[serde(borrow)]
    pre_tokenizer: Option<Stage<'a>>,
    #[serde(borrow)]
    decoder: Option<Stage<'a>>,
    #[serde(borrow)]
    pub(super) model: Model<'a>,
}

/// A token that is not made by merges, such as `<|en|>`.
#[derive(Debug, Deserialize)]
pub(super) struct AddedToken<'a> {
    pub(super) id: u32,
    #[serde(borrow)]
    pub(super) content: Cow<'a, str>,
    /// Whether decoding leaves it out.
    pub(super) special: bool,
    /// Whether it is looked for after normalization, that is after the others.
    #[serde(default)]
    pub(super) normalized: bool,
}

/// A stage of the tokenizer; only its kind and the settings that change its work are read.
#[derive(Debug, Deserialize)]
struct Stage<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    add_prefix_space: bool,
    #[serde(default = "yes")]
    use_regex: bool,
}

fn yes() -> bool {
    true
}

/// The vocabulary and how its tokens are merged.
#[derive(Debug, Deserialize)]
pub(super) struct Model<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) vocab: Vocabulary<'a>,
    #[serde(borrow)]
    pub(super) merges: Vec<Merge<'a>>,
}

/// Tokens by their spelling.
#[derive(Debug)]
pub(super) struct Vocabulary<'a>(pub(super) HashMap<Cow<'a, str>, u32>);

/// Two tokens that are merged, in the order of the file.
#[derive(Debug)]
pub(super) struct Merge<'a>(pub(super) Cow<'a, str>, pub(super) Cow<'a, str>);

/// Parses the file and refuses what is not Whisper's kind of tokenizer.
pub(super) fn parse(text: &[u8]) -> Result<File<'_>, Problem> {
    let file: File<'_> = serde_json::from_slice(text)
        .map_err(|error| Problem { text: "it is not a tokenizer file".into(), source: Some(error) })?;
    if file.model.kind.as_ref().is_some_and(|kind| kind != "BPE") {
        return Err(Problem::new("its model is not byte-pair encoding"));
    }
    if file.normalizer.is_some() {
        return Err(Problem::new("it normalizes text, which Whisper's tokenizers do not"));
    }
    let byte_level = |stage: &Option<Stage<'_>>| stage.as_ref().is_some_and(|stage| stage.kind == "ByteLevel");
    let splits = file.pre_tokenizer.as_ref().is_some_and(|stage| stage.use_regex && !stage.add_prefix_space);
    if !byte_level(&file.pre_tokenizer) || !byte_level(&file.decoder) || !splits {
        return Err(Problem::new("it does not work on bytes as Whisper's tokenizers do"));
    }
    let mut numbers = file.model.vocab.0.values().chain(file.added_tokens.iter().map(|token| &token.id));
    if numbers.any(|number| *number >= MAX_TOKENS) {
        return Err(Problem::new("it numbers a token higher than any Whisper model does"));
    }
    Ok(file)
}

impl File<'_> {
    /// The token that is spelled `name`.
    pub(super) fn token(&self, name: &str) -> Option<u32> {
        let added = self.added_tokens.iter().find(|token| token.content == name).map(|token| token.id);
        added.or_else(|| self.model.vocab.0.get(name).copied())
    }

    /// The bytes of each token. An added token goes before one of the vocabulary.
    pub(super) fn bytes_of_tokens(&self) -> Vec<Option<Box<[u8]>>> {
        let added = self.added_tokens.iter().map(|token| (token.content.as_ref(), token.id));
        let all = self.model.vocab.0.iter().map(|(name, id)| (name.as_ref(), *id)).chain(added);
        let mut bytes = Vec::new();
        for (name, id) in all {
            let index = id as usize;
            if bytes.len() <= index {
                bytes.resize(index + 1, None);
            }
            bytes[index] = Some(byte_level::bytes_of(name));
        }
        bytes
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Vocabulary<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vocabulary<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("tokens with their numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut tokens = HashMap::with_capacity(1 << 16);
                while let Some((Text(name), id)) = entries.next_entry()? {
                    tokens.insert(name, id);
                }
                Ok(Vocabulary(tokens))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Merge<'a> {
    /// Reads `"a b"`, as files were written once, or `["a", "b"]`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Merge<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("two tokens")
            }

            fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                let (left, right) = text.split_once(' ').ok_or_else(|| E::custom("a merge of one token"))?;
                Ok(Merge(left.into(), right.into()))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let (left, right) = text.split_once(' ').ok_or_else(|| E::custom("a merge of one token"))?;
                Ok(Merge(left.to_owned().into(), right.to_owned().into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Self::Value, A::Error> {
                let missing = || serde::de::Error::custom("a merge of one token");
                let Text(left) = pair.next_element()?.ok_or_else(missing)?;
                let Text(right) = pair.next_element()?.ok_or_else(missing)?;
                Ok(Merge(left, right))
            }
        }
        deserializer.deserialize_any(Pair)
    }
}

/// A string that is borrowed unless it has escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Characters;
        impl<'de> Visitor<'de> for Characters {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(Characters)
    }
}
