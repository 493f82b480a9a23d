//! Words that last too long are shortened: the alignment gives the silence beside a word to the word.
//!
//! Source: `add_word_timestamps` of OpenAI's Whisper and faster-whisper, rule by rule.

use super::alignment::Timing;
use crate::whisper::Word;
use crate::whisper::subsegments::Draft;

/// Words that end a sentence. A word counts if it is a substring.
const SENTENCE_END: &str = ".。!！?？";
/// The usual duration is at most this, in seconds.
const LONGEST_MEDIAN: f64 = 0.7;
/// Seconds by which a word may be longer than its segment without being cut.
const TOLERANCE: f64 = 0.5;

/// How long the words of a window usually last, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Durations {
    median: f64,
    longest: f64,
    /// Whether any word lasts at all.
    known: bool,
}

impl Durations {
    pub(super) fn of(timings: &[Timing]) -> Self {
        let durations = timings.iter().map(|timing| timing.end - timing.start);
        let mut durations: Vec<f64> = durations.filter(|duration| *duration != 0.0).collect();
        durations.sort_by(f64::total_cmp);
        let half = durations.len() / 2;
        let median = match durations.len() {
            0 => 0.0,
            count if count % 2 == 1 => durations[half],
            _ => f64::midpoint(durations[half - 1], durations[half]),
        };
        let median = median.min(LONGEST_MEDIAN);
        Self { median, longest: median * 2.0, known: !durations.is_empty() }
    }

    /// Shortens long words that end a sentence or follow its end.
    pub(super) fn shorten_at_sentences(self, timings: &mut [Timing]) {
        if !self.known {
            return;
        }
        for at in 1..timings.len() {
            if timings[at].end - timings[at].start <= self.longest {
                continue;
            }
            if SENTENCE_END.contains(&timings[at].word) {
                timings[at].end = timings[at].start + self.longest;
            } else if SENTENCE_END.contains(&timings[at - 1].word) {
                timings[at].start = timings[at].end - self.longest;
            }
        }
    }

    /// Fits the times of a segment and of its words to each other. `last_speech` is when the segment before ended, and
    /// then when this one ends.
    pub(super) fn fit(self, draft: &mut Draft, words: &mut [Word], last_speech: &mut f64) {
        if words.is_empty() {
            return;
        }
        self.shorten_after_pause(words, *last_speech);

        let first = &mut words[0];
        if draft.start < first.end && draft.start - TOLERANCE > first.start {
            first.start = (first.end - self.median).min(draft.start).max(0.0);
        } else {
            draft.start = first.start;
        }
        let last = &mut words[words.len() - 1];
        if draft.end > last.start && draft.end + TOLERANCE < last.end {
            last.end = (last.start + self.median).max(draft.end);
        } else {
            draft.end = last.end;
        }
        *last_speech = draft.end;
    }

    /// After a pause the first two words are not longer than usual.
    fn shorten_after_pause(self, words: &mut [Word], last_speech: f64) {
        let (first, second) = match words {
            [first, second, ..] => (first, Some(second)),
            [first] => (first, None),
            [] => return,
        };
        let pause = first.end - last_speech > self.median * 4.0;
        let first_is_long = first.end - first.start > self.longest;
        let both_are_long = second.as_ref().is_some_and(|second| second.end - first.start > self.longest * 2.0);
        if !pause || !(first_is_long || both_are_long) {
            return;
        }
        if let Some(second) = second.filter(|second| second.end - second.start > self.longest) {
            let boundary = (second.end / 2.0).max(second.end - self.longest);
            first.end = boundary;
            second.start = boundary;
        }
        first.start = (first.end - self.longest).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timings(words: &[(&str, f64, f64)]) -> Vec<Timing> {
        let timing = |&(word, start, end): &(&str, f64, f64)| Timing {
            word: word.to_owned(),
            tokens: vec![],
            start,
            end,
            probability: 1.0,
        };
        words.iter().map(timing).collect()
    }

    fn words(times: &[(f64, f64)]) -> Vec<Word> {
        let word = |&(start, end): &(f64, f64)| Word { start, end, word: "w".to_owned(), probability: 1.0 };
        times.iter().map(word).collect()
    }

    fn draft(start: f64, end: f64) -> Draft {
        Draft { start, end, tokens: vec![], words: vec![] }
    }

    const USUAL: Durations = Durations { median: 0.25, longest: 0.5, known: true };

    #[test]
    fn the_median_leaves_out_words_without_duration_and_is_bounded() {
        let median = |words: &[(&str, f64, f64)]| Durations::of(&timings(words)).median;
        assert_eq!(median(&[("a", 0.0, 0.25), ("b", 1.0, 1.0), ("c", 1.0, 1.5)]), 0.375);
        assert_eq!(median(&[("a", 0.0, 5.0)]), 0.7);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn a_long_word_at_the_end_of_a_sentence_is_cut() {
        let mut words = timings(&[("a", 0.0, 0.25), (".", 1.0, 4.0), ("b", 4.0, 6.0), ("c", 6.0, 8.0)]);
        USUAL.shorten_at_sentences(&mut words);
        let times: Vec<_> = words.iter().map(|word| (word.start, word.end)).collect();
        assert_eq!(times, [(0.0, 0.25), (1.0, 1.5), (5.5, 6.0), (6.0, 8.0)]);
    }

    #[test]
    fn after_a_pause_the_first_words_start_late() {
        let mut draft = draft(0.0, 9.0);
        let mut words = words(&[(0.0, 5.0), (5.0, 6.0), (6.0, 9.0)]);
        USUAL.fit(&mut draft, &mut words, &mut 0.0);
        assert_eq!((words[0].start, words[0].end, words[1].start), (5.0, 5.5, 5.5));
        assert_eq!((draft.start, draft.end), (5.0, 9.0));
    }

    #[test]
    fn the_segment_cuts_words_that_are_much_longer() {
        let mut draft = draft(2.0, 3.0);
        let mut words = words(&[(1.0, 2.25), (2.25, 4.0)]);
        let mut last_speech = 2.0;
        USUAL.fit(&mut draft, &mut words, &mut last_speech);
        assert_eq!((words[0].start, words[1].end, last_speech), (2.0, 3.0, 3.0));
    }

    proptest! {
        #[test]
        fn words_stay_in_order_and_in_their_segment(
            gaps in proptest::collection::vec(0_u32..400, 2..20),
            start in 0_u32..1000,
            length in 0_u32..3000,
            last_speech in 0_u32..1000,
        ) {
            let seconds = |hundredths: u32| f64::from(hundredths) / 100.0;
            let mut at = 0;
            let mut times = Vec::new();
            for gap in gaps {
                times.push((seconds(at), seconds(at + gap)));
                at += gap;
            }
            let mut words = words(&times);
            let mut draft = draft(seconds(start), seconds(start + length));
            USUAL.fit(&mut draft, &mut words, &mut seconds(last_speech));
            prop_assert!(words.iter().all(|word| word.start <= word.end && word.start >= 0.0));
        }
    }
}
