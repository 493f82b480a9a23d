//! Byte-pair encoding: bytes become tokens by merging pairs, the earliest merge of the file first.

use std::collections::HashMap;

use super::byte_level;
use super::file::{File, Problem};

/// The merges of a tokenizer.
#[derive(Debug)]
pub(super) struct Merges {
    /// Token of each byte, where it has one.
    bytes: Box<[Option<u32>; 256]>,
    /// Rank and result of merging two tokens.
    pairs: HashMap<(u32, u32), (u32, u32)>,
}

impl Merges {
    pub(super) fn new(file: &File<'_>) -> Result<Self, Problem> {
        let vocabulary = &file.model.vocab.0;
        let mut bytes = Box::new([None; 256]);
        for (name, id) in vocabulary {
            let mut characters = name.chars();
            if let (Some(character), None) = (characters.next(), characters.next())
                && let Some(byte) = byte_level::byte_of(character)
            {
                bytes[usize::from(byte)] = Some(*id);
            }
        }
        let mut pairs = HashMap::with_capacity(file.model.merges.len());
        let mut name = String::new();
        for (rank, merge) in (0..).zip(&file.model.merges) {
            name.clear();
            name.push_str(&merge.0);
            name.push_str(&merge.1);
            let token = |name: &str| vocabulary.get(name).copied();
            let (Some(left), Some(right), Some(result)) = (token(&merge.0), token(&merge.1), token(&name)) else {
                return Err(Problem::new(format!(
                    "it merges `{}` and `{}`, which are not all tokens",
                    merge.0, merge.1
                )));
            };
            pairs.insert((left, right), (rank, result));
        }
        Ok(Self { bytes, pairs })
    }

    /// Appends the tokens of a piece of text. A byte without a token is left out.
    ///
    /// The time grows with the square of the length of the piece.
    pub(super) fn encode(&self, piece: &[u8], tokens: &mut Vec<u32>) {
        let start = tokens.len();
        tokens.extend(piece.iter().filter_map(|byte| self.bytes[usize::from(*byte)]));
        loop {
            let pairs = tokens[start..].windows(2).enumerate();
            let first = pairs
                .filter_map(|(at, pair)| self.pairs.get(&(pair[0], pair[1])).map(|(rank, result)| (*rank, at, *result)))
                .min();
            let Some((_, at, result)) = first else { return };
            tokens[start + at] = result;
            tokens.remove(start + at + 1);
        }
    }
}
