//! The tokens of a window, parted at its timestamps.

use crate::whisper::{SpecialTokens, TIMESTAMP_FRAMES, TIMESTAMP_SECONDS, Word};

/// A segment before it is known whether it is kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    /// Seconds at which it starts.
    pub(super) start: f64,
    /// Seconds at which it ends.
    pub(super) end: f64,
    pub(super) tokens: Vec<u32>,
    pub(super) words: Vec<Word>,
}

/// The segments of a window and where the next window starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parted {
    pub(super) drafts: Vec<Draft>,
    /// Frames by which the next window is after this one.
    pub(super) advance: usize,
    /// Whether the last timestamp stands alone: nothing is said after it.
    pub(super) ends_with_one_timestamp: bool,
}

/// Parts `tokens` of a window that starts at `start` seconds and has `frames` frames, `duration` seconds.
///
/// Two timestamps in a row are the end of a segment and the start of the next. What follows the last pair is cut off
/// by the window and belongs to the next one, which starts at that pair.
pub(super) fn part(tokens: &[u32], special: &SpecialTokens, start: f64, frames: usize, duration: f64) -> Parted {
    let begin = special.timestamp_begin;
    let is_timestamp = |token: u32| token >= begin;
    let position = |token: u32| i64::from(token) - i64::from(begin);
    let seconds = |token: u32| position(token) as f64 * TIMESTAMP_SECONDS;
    let ends_with_one_timestamp = matches!(tokens, [.., before, last] if !is_timestamp(*before) && is_timestamp(*last));
    let draft = |start, end, tokens: &[u32]| Draft { start, end, tokens: tokens.to_vec(), words: Vec::new() };

    let mut cuts: Vec<usize> =
        (1..tokens.len()).filter(|at| is_timestamp(tokens[*at]) && is_timestamp(tokens[*at - 1])).collect();
    if cuts.is_empty() {
        let last = tokens.iter().rev().find(|token| is_timestamp(**token)).filter(|token| **token != begin);
        let end = start + last.map_or(duration, |token| seconds(*token));
        return Parted { drafts: vec![draft(start, end, tokens)], advance: frames, ends_with_one_timestamp };
    }
    if ends_with_one_timestamp {
        cuts.push(tokens.len());
    }
    let mut drafts = Vec::with_capacity(cuts.len());
    let mut from = 0;
    for cut in cuts {
        let part = &tokens[from..cut];
        if let [first, .., last] | [first @ last] = part {
            drafts.push(draft(start + seconds(*first), start + seconds(*last), part));
        }
        from = cut;
    }
    let advance = if ends_with_one_timestamp {
        frames
    } else {
        usize::try_from(position(tokens[from - 1])).unwrap_or(0) * TIMESTAMP_FRAMES
    };
    Parted { drafts, advance, ends_with_one_timestamp }
}

/// Seconds at which the last word ends, or the last segment where there are no words.
pub(super) fn end_of(drafts: &[Draft]) -> Option<f64> {
    let words = drafts.iter().rev().find_map(|draft| draft.words.last()).map(|word| word.end);
    words.or_else(|| drafts.last().map(|draft| draft.end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEGIN: u32 = 100;

    fn special() -> SpecialTokens {
        SpecialTokens {
            end_of_text: 90,
            start_of_transcript: 91,
            transcribe: None,
            translate: None,
            start_of_language_model: None,
            start_of_previous: None,
            no_speech: None,
            no_timestamps: 99,
            timestamp_begin: BEGIN,
        }
    }

    /// `tokens` where `t50` is the timestamp of 1 s; gives times of segments and the advance.
    fn parted(tokens: &str) -> (Vec<(f64, f64)>, usize) {
        let token = |text: &str| match text.strip_prefix('t') {
            Some(position) => BEGIN + position.parse::<u32>().unwrap(),
            None => text.parse().unwrap(),
        };
        let tokens: Vec<u32> = tokens.split_whitespace().map(token).collect();
        let parted = part(&tokens, &special(), 10.0, 2000, 20.0);
        (parted.drafts.iter().map(|draft| (draft.start, draft.end)).collect(), parted.advance)
    }

    #[test]
    fn a_pair_parts_and_what_follows_the_last_one_is_left_to_the_next_window() {
        assert_eq!(parted("t0 1 t50 t50 2 t100 t100 3"), (vec![(10.0, 11.0), (11.0, 12.0)], 200));
    }

    #[test]
    fn a_timestamp_alone_at_the_end_closes_the_window() {
        assert_eq!(parted("t0 1 t50 t75 2 t100"), (vec![(10.0, 11.0), (11.5, 12.0)], 2000));
    }

    #[test]
    fn without_a_pair_the_window_is_one_segment() {
        assert_eq!(parted("t0 1 2"), (vec![(10.0, 30.0)], 2000));
        assert_eq!(parted("t0 1 2 t50"), (vec![(10.0, 11.0)], 2000));
        assert_eq!(parted("1 2"), (vec![(10.0, 30.0)], 2000));
        assert_eq!(parted(""), (vec![(10.0, 30.0)], 2000));
    }

    proptest! {
        #[test]
        fn segments_are_the_tokens_in_order(tokens in proptest::collection::vec(80_u32..130, 0..60)) {
            let parted = part(&tokens, &special(), 0.0, 3000, 30.0);
            let joined: Vec<u32> = parted.drafts.iter().flat_map(|draft| draft.tokens.clone()).collect();
            prop_assert!(tokens.starts_with(&joined));
            prop_assert!(parted.advance <= 3000);
            let left_out = &tokens[joined.len()..];
            prop_assert!(left_out.is_empty() || parted.advance < 3000);
        }
    }
}
