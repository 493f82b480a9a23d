//! Speech without the silence between, and the way back to the times of the clip.
//!
//! Source: `collect_chunks` and `SpeechTimestampsMap` of faster-whisper 1.2.

use crate::vad::{SAMPLE_RATE, SpeechSpan};

/// Spans of speech that are decoded as one piece, one right after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpeechChunk {
    /// Where the piece starts in the speech of the clip put end to end, in samples.
    pub offset: usize,
    /// The spans, in order.
    pub spans: Vec<SpeechSpan>,
}

impl SpeechChunk {
    /// Length of the piece, in samples.
    pub fn samples(&self) -> usize {
        self.spans.iter().map(|span| span.samples()).sum()
    }

    /// Length of the piece, in seconds.
    pub fn duration_s(&self) -> f64 {
        seconds(self.samples())
    }

    /// Where the piece starts in the speech of the clip put end to end, in seconds.
    pub fn offset_s(&self) -> f64 {
        seconds(self.offset)
    }

    /// The audio of the piece, cut out of the clip's `audio`.
    pub fn collect<T: Copy>(&self, audio: &[T]) -> Vec<T> {
        let mut piece = Vec::with_capacity(self.samples().min(audio.len()));
        for span in &self.spans {
            piece.extend_from_slice(audio.get(span.start..span.end.min(audio.len())).unwrap_or_default());
        }
        piece
    }
}

/// Puts spans together into pieces of at most `max_duration_s` seconds. A span that is longer alone is a piece of its
/// own. Without spans there is one empty piece, and so there is before a first span that is too long.
///
/// faster-whisper leaves the first span of each later piece out of that piece's list, though not out of its audio;
/// here the list is whole.
pub fn collect_chunks(spans: &[SpeechSpan], max_duration_s: f64) -> Vec<SpeechChunk> {
    let max_samples = max_duration_s * SAMPLE_RATE as f64;
    let mut chunks = Vec::new();
    let mut current = SpeechChunk::default();
    let mut length = 0;
    for span in spans {
        if (length + span.samples()) as f64 > max_samples {
            let offset = current.offset + length;
            chunks.push(std::mem::replace(&mut current, SpeechChunk { offset, spans: Vec::new() }));
            length = 0;
        }
        current.spans.push(*span);
        length += span.samples();
    }
    chunks.push(current);
    chunks
}

/// Turns times in speech put end to end back into times of the clip.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeechTimestampsMap {
    /// For each span, where it ends in the speech put end to end, in samples.
    ends: Vec<usize>,
    /// For each span, the silence before it in the clip, in seconds.
    silence_before: Vec<f64>,
}

impl SpeechTimestampsMap {
    /// The map of a clip with this speech.
    pub fn new(spans: &[SpeechSpan]) -> Self {
        let (mut previous_end, mut silence) = (0, 0);
        let mut map = Self { ends: Vec::with_capacity(spans.len()), silence_before: Vec::with_capacity(spans.len()) };
        for span in spans {
            silence += span.start.saturating_sub(previous_end);
            previous_end = span.end;
            map.ends.push(span.end.saturating_sub(silence));
            map.silence_before.push(seconds(silence));
        }
        map
    }

    /// The clip's time of the time `time` of the speech, rounded to 10 ms. Where two spans meet, the time belongs to
    /// the later one, but with `is_end` to the earlier one.
    pub fn original_time(&self, time: f64, is_end: bool) -> f64 {
        self.original_time_in(time, self.span_index(time, is_end))
    }

    /// The clip's time of the time `time` of the speech, which counts as in span `index`; rounded to 10 ms.
    pub fn original_time_in(&self, time: f64, index: usize) -> f64 {
        let last = self.silence_before.len().saturating_sub(1);
        let silence = self.silence_before.get(index.min(last)).copied().unwrap_or(0.0);
        round_to_hundredths(silence + time)
    }

    /// The span that the time `time` of the speech is in, see [`Self::original_time`].
    pub fn span_index(&self, time: f64, is_end: bool) -> usize {
        // A cast truncates as the reference does.
        let sample = (time * SAMPLE_RATE as f64) as usize;
        let after = self.ends.partition_point(|end| *end <= sample);
        if is_end && let Some(first) = self.ends.iter().position(|end| *end == sample) {
            return first;
        }
        after.min(self.ends.len().saturating_sub(1))
    }
}

fn seconds(samples: usize) -> f64 {
    samples as f64 / SAMPLE_RATE as f64
}

/// The nearest number with two decimals; formatting rounds the exact binary value, as Python's `round` does.
fn round_to_hundredths(value: f64) -> f64 {
    format!("{value:.2}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans(ends: &[(usize, usize)]) -> Vec<SpeechSpan> {
        ends.iter().map(|&(start, end)| SpeechSpan { start, end }).collect()
    }

    #[test]
    fn spans_are_packed_up_to_the_limit() {
        let speech = spans(&[(0, 16_000), (20_000, 36_000), (40_000, 48_000), (50_000, 90_000)]);
        let chunks = collect_chunks(&speech, 2.0);
        let packed: Vec<_> = chunks.iter().map(|chunk| (chunk.offset, chunk.spans.len(), chunk.samples())).collect();
        assert_eq!(packed, [(0, 2, 32_000), (32_000, 1, 8_000), (40_000, 1, 40_000)]);
        assert_eq!((chunks[2].offset_s(), chunks[2].duration_s()), (2.5, 2.5));
        let whole = collect_chunks(&speech, f64::INFINITY);
        assert_eq!((whole.len(), whole[0].samples()), (1, 80_000));
    }

    #[test]
    fn without_speech_there_is_one_empty_piece() {
        let chunks = collect_chunks(&[], 30.0);
        assert_eq!(chunks, [SpeechChunk::default()]);
        assert_eq!(chunks[0].collect(&[1_i16, 2]), [0_i16; 0]);
    }

    #[test]
    fn times_of_the_speech_become_times_of_the_clip() {
        let map = SpeechTimestampsMap::new(&spans(&[(16_000, 32_000), (48_000, 80_000)]));
        assert_eq!(map.original_time(0.5, false), 1.5);
        // One second into the speech, the first span ends and the second starts.
        assert_eq!(map.original_time(1.0, true), 2.0);
        assert_eq!(map.original_time(1.0, false), 3.0);
        assert_eq!(map.original_time(2.125, false), 4.12);
        assert_eq!(map.original_time(9.0, false), 11.0);
        assert_eq!(map.original_time_in(0.5, 1), 2.5);
        assert_eq!(SpeechTimestampsMap::new(&[]).original_time(1.5, false), 1.5);
    }

    proptest! {
        #[test]
        fn each_sample_of_the_speech_is_in_one_piece_and_maps_back(
            lengths in proptest::collection::vec((0_usize..40_000, 1_usize..40_000), 1..20),
            limit in 0.5_f64..5.0,
        ) {
            let mut end = 0;
            let speech: Vec<SpeechSpan> = lengths.iter().map(|&(silence, length)| {
                let start = end + silence;
                end = start + length;
                SpeechSpan { start, end }
            }).collect();
            let chunks = collect_chunks(&speech, limit);
            prop_assert_eq!(chunks.iter().flat_map(|chunk| chunk.spans.clone()).collect::<Vec<_>>(), speech.clone());
            let mut offset = 0;
            for chunk in &chunks {
                prop_assert_eq!(chunk.offset, offset);
                prop_assert!(chunk.samples() as f64 <= limit * 16_000.0 || chunk.spans.len() == 1);
                offset += chunk.samples();
            }
            let map = SpeechTimestampsMap::new(&speech);
            let mut before = 0;
            for span in &speech {
                let middle = (before as f64 + span.samples() as f64 / 2.0) / 16_000.0;
                let original = (span.start + span.end) as f64 / 2.0 / 16_000.0;
                prop_assert!((map.original_time(middle, false) - original).abs() <= 0.005 + 1e-9);
                before += span.samples();
            }
        }
    }
}
