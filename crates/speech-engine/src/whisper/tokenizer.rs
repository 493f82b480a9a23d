//! Whisper's tokenizer, read from `tokenizer.json`.
//!
//! The file holds a byte-level BPE vocabulary of some 50 000 tokens. It is parsed in one pass that borrows every
//! string from the file, into three tables: the bytes of each token, the merges of token pairs, and the added tokens.
//! That takes a few milliseconds, so that a worker does not wait for it.

mod added;
mod byte_level;
mod file;
mod merges;
mod pieces;
mod special;
mod words;

use std::path::Path;

pub use special::SpecialTokens;
pub use words::WordTokens;

use crate::error::Error;
use added::AddedTokens;
use merges::Merges;

/// Whisper's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    /// Bytes that each token stands for; `None` where a number is not taken. Indexed by token.
    tokens: Vec<Option<Box<[u8]>>>,
    merges: Merges,
    added: AddedTokens,
    special: SpecialTokens,
    non_speech: Vec<u32>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` in `folder`.
    ///
    /// # Errors
    ///
    /// [`Error::ModelFile`] if it is missing, is not a byte-level BPE tokenizer, or lacks a token that Whisper needs.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("tokenizer.json");
        let text = std::fs::read(&path).map_err(|error| {
            let problem = "it cannot be read".into();
            Error::ModelFile { file: path.clone(), problem, source: Some(error.into()) }
        })?;
        Self::from_json(&text).map_err(|error| error.at(&path))
    }

    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::load`].
    pub(crate) fn from_json(text: &[u8]) -> Result<Self, file::Problem> {
        let file = file::parse(text)?;
        let special = SpecialTokens::find(|name| file.token(name))?;
        let mut tokenizer = Self {
            merges: Merges::new(&file)?,
            added: AddedTokens::new(&file),
            tokens: file.bytes_of_tokens(),
            special,
            non_speech: Vec::new(),
        };
        tokenizer.non_speech = special::non_speech(|text| tokenizer.encode(text));
        Ok(tokenizer)
    }

    /// The tokens that steer the model.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// Tokens of symbols that nobody speaks, sorted: speaker tags, notes, brackets.
    pub fn non_speech_tokens(&self) -> &[u32] {
        &self.non_speech
    }

    /// How many tokens there are, with gaps in the numbering.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The token of a language such as `en`.
    pub fn language(&self, code: &str) -> Option<u32> {
        let is_code = (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase());
        if is_code { self.added.token(&format!("<|{code}|>")) } else { None }
    }

    /// The token that is written `name`, an added one such as `<|en|>`.
    pub fn token(&self, name: &str) -> Option<u32> {
        self.added.token(name)
    }

    /// The tokens of a text. Names of added tokens in it become these tokens.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.added.split(text, |part| match part {
            added::Part::Token(token) => tokens.push(token),
            added::Part::Text(text) => {
                for piece in pieces::split(text) {
                    self.merges.encode(piece.as_bytes(), &mut tokens);
                }
            }
        });
        tokens
    }

    /// The text of the text tokens among `tokens`; bytes that are not UTF-8 become `U+FFFD`.
    pub fn decode(&self, tokens: &[u32]) -> String {
        self.decode_plain(tokens.iter().copied().filter(|token| *token < self.special.end_of_text))
    }

    /// As [`Tokenizer::decode`], with timestamps written as `<|1.20|>`.
    pub fn decode_with_timestamps(&self, tokens: &[u32]) -> String {
        let begin = self.special.timestamp_begin;
        let mut text = String::new();
        for run in tokens.chunk_by(|left, right| *left < begin && *right < begin) {
            if run[0] >= begin {
                text.push_str(&format!("<|{:.2}|>", f64::from(run[0] - begin) * 0.02));
            } else {
                text.push_str(&self.decode_plain(run.iter().copied()));
            }
        }
        text
    }

    /// The text of `tokens` without those that steer the model.
    fn decode_plain(&self, tokens: impl Iterator<Item = u32>) -> String {
        let mut bytes = Vec::new();
        for token in tokens.filter(|token| !self.added.is_special(*token)) {
            if let Some(Some(part)) = self.tokens.get(token as usize) {
                bytes.extend_from_slice(part);
            }
        }
        match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
