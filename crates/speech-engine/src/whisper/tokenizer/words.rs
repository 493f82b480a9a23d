//! Tokens of a text, grouped into words.

use super::Tokenizer;
use crate::whisper::text::trim;

/// A word and its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordTokens {
    /// The word, with its leading space.
    pub word: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
}

/// Languages that are written without spaces between words.
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];

/// ASCII punctuation in the order in which Python lists it: a word is looked for in it as a substring.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

impl Tokenizer {
    /// Groups tokens into words: at spaces, or at characters where `language` is written without spaces.
    pub fn split_to_words(&self, tokens: &[u32], language: &str) -> Vec<WordTokens> {
        let characters = self.split_at_characters(tokens);
        if WITHOUT_SPACES.contains(&language) { characters } else { self.join_to_words(characters) }
    }

    /// Groups tokens where the text so far ends with a whole character.
    fn split_at_characters(&self, tokens: &[u32]) -> Vec<WordTokens> {
        let all: Vec<char> = self.decode_with_timestamps(tokens).chars().collect();
        let mut words = Vec::new();
        let mut current = Vec::new();
        let mut offset = 0;
        for token in tokens {
            current.push(*token);
            let word = self.decode_with_timestamps(&current);
            let broken = word.chars().position(|character| character == char::REPLACEMENT_CHARACTER);
            // A replacement character that the whole text has in the same place was said by the model.
            if broken.is_none_or(|index| all.get(offset + index) == Some(&char::REPLACEMENT_CHARACTER)) {
                offset += word.chars().count();
                words.push(WordTokens { word, tokens: std::mem::take(&mut current) });
            }
        }
        words
    }

    /// Joins parts that neither begin with a space nor are punctuation or special to the part before.
    fn join_to_words(&self, parts: Vec<WordTokens>) -> Vec<WordTokens> {
        let mut words: Vec<WordTokens> = Vec::new();
        for part in parts {
            let special = part.tokens[0] >= self.special().end_of_text;
            let starts = special || part.word.starts_with(' ') || PUNCTUATION.contains(trim(&part.word));
            match words.last_mut().filter(|_| !starts) {
                Some(word) => {
                    word.word.push_str(&part.word);
                    word.tokens.extend(part.tokens);
                }
                None => words.push(part),
            }
        }
        words
    }
}
