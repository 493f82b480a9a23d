//! From frames of tokens to times of words.

use speech_flow_ctranslate2::Alignment;

use crate::whisper::{TIMESTAMP_SECONDS, Tokenizer, WordTokens};

/// Positions of the encoder in a second.
const POSITIONS_PER_SECOND: f64 = 1.0 / TIMESTAMP_SECONDS;

/// A word in a window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Timing {
    /// The word; empty where its text went to a neighbor.
    pub(super) word: String,
    pub(super) tokens: Vec<u32>,
    /// Seconds of the window at which it starts.
    pub(super) start: f64,
    /// Seconds of the window at which it ends.
    pub(super) end: f64,
    /// Mean probability of its tokens.
    pub(super) probability: f64,
}

/// The words of a window with this text.
///
/// The alignment is a path through tokens and positions. A word starts where the path reaches its first token, and ends
/// where it reaches the first token of the next word.
pub(super) fn timings(tokenizer: &Tokenizer, language: &str, mut text: Vec<u32>, alignment: &Alignment) -> Vec<Timing> {
    text.push(tokenizer.special().end_of_text);
    let mut words = tokenizer.split_to_words(&text, language);
    // The last word is the end of the text.
    words.pop();
    times_of(words, alignment)
}

fn times_of(words: Vec<WordTokens>, alignment: &Alignment) -> Vec<Timing> {
    let reached = arrivals(&alignment.pairs);
    let Some(last) = reached.last().copied() else { return Vec::new() };
    let at = |token: usize| reached.get(token).copied().unwrap_or(last);
    let mut from = 0;
    words
        .into_iter()
        .map(|WordTokens { word, tokens }| {
            let to = from + tokens.len();
            let probabilities = alignment.token_probabilities.get(from..to).unwrap_or_default();
            let sum: f64 = probabilities.iter().copied().map(f64::from).sum();
            let probability = if probabilities.is_empty() { 0.0 } else { sum / probabilities.len() as f64 };
            let timing = Timing { word, tokens, start: at(from), end: at(to), probability };
            from = to;
            timing
        })
        .collect()
}

/// Seconds at which the path reaches each token.
fn arrivals(pairs: &[(usize, usize)]) -> Vec<f64> {
    let mut arrivals = Vec::new();
    let mut before = None;
    for (token, position) in pairs {
        if before != Some(token) {
            arrivals.push(*position as f64 / POSITIONS_PER_SECOND);
            before = Some(token);
        }
    }
    arrivals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_lasts_until_the_next_one_is_reached() {
        let word = |word: &str, tokens: &[u32]| WordTokens { word: word.into(), tokens: tokens.to_vec() };
        let alignment = Alignment {
            pairs: vec![(0, 0), (0, 10), (1, 10), (2, 25), (2, 50), (3, 100)],
            token_probabilities: vec![0.5, 1.0, 0.25],
        };
        let timings = times_of(vec![word("a", &[1, 2]), word("b", &[3])], &alignment);
        let found: Vec<_> = timings.iter().map(|timing| (timing.start, timing.end, timing.probability)).collect();
        assert_eq!(found, [(0.0, 0.5, 0.75), (0.5, 2.0, 0.25)]);
    }

    #[test]
    fn a_window_without_frames_has_no_words() {
        let alignment = Alignment { pairs: vec![], token_probabilities: vec![0.5] };
        assert_eq!(times_of(vec![WordTokens { word: "a".into(), tokens: vec![1] }], &alignment), []);
    }
}
