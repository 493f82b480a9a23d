//! Which parts of a clip are listened to.

use crate::vad::{SAMPLE_RATE, SpeechSpan};

/// Places windows in a clip with this speech: at most `most` of about `length` samples, spread evenly over the speech
/// put end to end. Each window is a list of spans of the clip.
///
/// Speech of less than one and a half windows is one window, whole.
pub(super) fn spread(speech: &[SpeechSpan], most: usize, length: usize) -> Vec<Vec<SpeechSpan>> {
    let total: usize = speech.iter().map(|span| span.samples()).sum();
    if total == 0 || most == 0 || length == 0 {
        return Vec::new();
    }
    let count = ((total + length / 2) / length).clamp(1, most);
    // One window takes all of a short clip; of a long one, its middle.
    let length = if count == 1 { total.min(length + length / 2) } else { length.min(total / count) };
    let room = total - length;
    let start = |index: usize| if count == 1 { room / 2 } else { room * index / (count - 1) };
    (0..count).map(|index| cut(speech, start(index), length)).collect()
}

/// The spans of the clip that are `length` samples from `start` on in the speech put end to end.
fn cut(speech: &[SpeechSpan], start: usize, length: usize) -> Vec<SpeechSpan> {
    let mut window = Vec::new();
    let mut before = 0;
    for span in speech {
        let from = start.max(before) - before;
        let to = (start + length).saturating_sub(before).min(span.samples());
        if from < to {
            window.push(SpeechSpan { start: span.start + from, end: span.start + to });
        }
        before += span.samples();
    }
    window
}

/// The first 30 seconds, which is what the plain mode listens to.
pub(super) const PLAIN_SAMPLES: usize = 30 * SAMPLE_RATE;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans(ends: &[(usize, usize)]) -> Vec<SpeechSpan> {
        ends.iter().map(|&(start, end)| SpeechSpan { start, end }).collect()
    }

    #[test]
    fn short_speech_is_one_window() {
        assert_eq!(spread(&spans(&[(5, 60), (80, 120)]), 3, 100), [spans(&[(5, 60), (80, 120)])]);
        assert_eq!(spread(&[], 3, 100), [[]; 0]);
    }

    #[test]
    fn long_speech_has_a_window_at_its_start_its_middle_and_its_end() {
        let windows = spread(&spans(&[(1000, 2000), (3000, 4000)]), 3, 100);
        assert_eq!(windows, [spans(&[(1000, 1100)]), spans(&[(1950, 2000), (3000, 3050)]), spans(&[(3900, 4000)])]);
        assert_eq!(spread(&spans(&[(0, 1000)]), 1, 100), [spans(&[(425, 575)])]);
    }

    #[test]
    fn speech_of_two_windows_is_all_heard() {
        assert_eq!(spread(&spans(&[(0, 190)]), 3, 100), [spans(&[(0, 95)]), spans(&[(95, 190)])]);
    }

    proptest! {
        #[test]
        fn windows_are_of_one_length_in_order_and_in_the_speech(
            lengths in proptest::collection::vec((0_usize..500, 1_usize..500), 1..20),
            most in 1_usize..6,
            length in 1_usize..300,
        ) {
            let mut end = 0;
            let speech: Vec<SpeechSpan> = lengths.iter().map(|&(silence, length)| {
                let start = end + silence;
                end = start + length;
                SpeechSpan { start, end }
            }).collect();
            let windows = spread(&speech, most, length);
            prop_assert!((1..=most).contains(&windows.len()));
            let size = |window: &Vec<SpeechSpan>| window.iter().map(|span| span.samples()).sum::<usize>();
            let mut last = 0;
            for window in &windows {
                prop_assert_eq!(size(window), size(&windows[0]));
                prop_assert!(size(window) <= length + length / 2);
                prop_assert!(window[0].start >= last);
                last = window[0].start;
                for part in window {
                    prop_assert!(speech.iter().any(|span| span.start <= part.start && part.end <= span.end));
                }
            }
        }
    }
}
