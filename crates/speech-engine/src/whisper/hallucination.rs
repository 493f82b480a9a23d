//! Silence around text that is probably hallucinated is skipped.

use crate::whisper::plan::Window;
use crate::whisper::round::round_to_frames;
use crate::whisper::subsegments::Draft;
use crate::whisper::{FRAME_SECONDS, Word};

/// Words of punctuation alone say nothing about a segment. A word counts if it is a substring.
const PUNCTUATION: &str = "\"'“¿([{-\"'.。,，!！?？:：”)]}、";
/// Words of a segment that are looked at.
const WORDS: usize = 8;

/// What is known when the segments of a window are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    pub(super) window: Window,
    /// Seconds of silence that are skipped.
    pub(super) threshold: f64,
    /// Seconds up to which somebody spoke before the window.
    pub(super) last_speech: f64,
    /// Frames of the whole audio.
    pub(super) content: usize,
}

/// What to do with a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its segments count.
    Keep,
    /// None of its segments count; the next window starts at this frame.
    Retry {
        /// The frame.
        seek: usize,
    },
    /// Only the first `kept` segments count; the next window starts at `seek`.
    Cut {
        /// Segments.
        kept: usize,
        /// The frame.
        seek: usize,
    },
}

/// Judges the segments of a window. A segment may be hallucinated if its words are very long, very short or very
/// improbable, and it is, if there is silence on both sides.
pub(super) fn judge(drafts: &[Draft], situation: &Situation) -> Verdict {
    let Situation { window, threshold, content, .. } = *situation;
    let start = window.start();
    let next_with_words = |from: usize| drafts.iter().skip(from).find(|draft| !draft.words.is_empty());

    if let Some(first) = next_with_words(0).filter(|first| is_odd(first)) {
        let gap = first.start - start;
        if gap > threshold {
            return Verdict::Retry { seek: window.seek + round_to_frames(gap) };
        }
    }
    let mut last_end = situation.last_speech;
    for (index, draft) in drafts.iter().enumerate().filter(|(_, draft)| !draft.words.is_empty()) {
        if is_odd(draft) {
            let next = next_with_words(index + 1);
            let next_start = next.map_or(start + window.duration(), |next| next.words[0].start);
            let silence_before =
                draft.start - last_end > threshold || draft.start < threshold || draft.start - start < 2.0;
            let silence_after =
                next_start - draft.end > threshold || next.is_some_and(is_odd) || window.full_end() - draft.end < 2.0;
            if silence_before && silence_after {
                let total = content as f64 * FRAME_SECONDS;
                let at_end = total - draft.end < threshold;
                let seek = if at_end { content } else { round_to_frames((start + 1.0).max(draft.start)) };
                return Verdict::Cut { kept: index, seek };
            }
        }
        last_end = draft.end;
    }
    Verdict::Keep
}

/// Whether the words of a segment are odd all in all.
fn is_odd(draft: &Draft) -> bool {
    if draft.words.is_empty() {
        return false;
    }
    let words: Vec<&Word> = draft.words.iter().filter(|word| !PUNCTUATION.contains(&word.word)).take(WORDS).collect();
    let score: f64 = words.iter().map(|word| oddity(word)).sum();
    score >= 3.0 || score + 0.01 >= words.len() as f64
}

/// How odd a word is: 1 and more is very odd.
fn oddity(word: &Word) -> f64 {
    let duration = word.end - word.start;
    let improbable = if word.probability < 0.15 { 1.0 } else { 0.0 };
    let short = if duration < 0.133 { (0.133 - duration) * 15.0 } else { 0.0 };
    let long = if duration > 2.0 { duration - 2.0 } else { 0.0 };
    improbable + short + long
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(start: f64, end: f64, probability: f64) -> Draft {
        let word = Word { start, end, word: " word".to_owned(), probability };
        Draft { start, end, tokens: vec![], words: vec![word] }
    }

    fn judged(drafts: &[Draft], last_speech: f64) -> Verdict {
        let window = Window { seek: 1000, frames: 3000, max_frames: 3000 };
        judge(drafts, &Situation { window, threshold: 2.0, last_speech, content: 10_000 })
    }

    #[test]
    fn probable_words_count() {
        assert_eq!(judged(&[draft(20.0, 21.0, 0.9)], 9.0), Verdict::Keep);
        assert_eq!(judged(&[], 9.0), Verdict::Keep);
    }

    #[test]
    fn silence_before_an_odd_first_segment_is_skipped() {
        assert_eq!(judged(&[draft(15.0, 16.0, 0.1)], 9.0), Verdict::Retry { seek: 1500 });
    }

    #[test]
    fn an_odd_segment_between_silences_is_cut_off() {
        let drafts = [draft(10.0, 11.0, 0.9), draft(20.0, 21.0, 0.1), draft(30.0, 31.0, 0.9)];
        assert_eq!(judged(&drafts, 9.0), Verdict::Cut { kept: 1, seek: 2000 });
    }

    #[test]
    fn at_the_end_of_the_audio_nothing_is_tried_again() {
        let window = Window { seek: 1000, frames: 3000, max_frames: 3000 };
        let situation = Situation { window, threshold: 2.0, last_speech: 9.0, content: 4000 };
        let drafts = [draft(10.0, 11.0, 0.9), draft(38.5, 39.5, 0.1)];
        assert_eq!(judge(&drafts, &situation), Verdict::Cut { kept: 1, seek: 4000 });
    }

    #[test]
    fn odd_words_are_improbable_short_or_long() {
        let oddity = |end, probability| oddity(&Word { start: 0.0, end, word: String::new(), probability });
        assert_eq!((oddity(1.0, 0.9), oddity(1.0, 0.1), oddity(5.0, 0.9)), (0.0, 1.0, 3.0));
        assert!((oddity(0.033, 0.9) - 1.5).abs() < 1e-9);
    }
}
