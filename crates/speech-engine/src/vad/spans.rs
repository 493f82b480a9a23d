//! From speech probabilities to spans of speech.
//!
//! Source: `get_speech_timestamps` of faster-whisper 1.2, whose spans these are, sample for sample.

use crate::error::Error;
use crate::vad::{SAMPLE_RATE, WINDOW};

/// Samples of silence after which a span that is too long may be cut: 98 ms.
const CUT_SILENCE: i64 = SAMPLE_RATE as i64 * 98 / 1000;

/// When speech counts as speech. Field for field faster-whisper's `VadOptions`, with its defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct VadOptions {
    /// A window whose probability is at least this is speech; from 0 to 1.
    pub threshold: f64,
    /// A window of a span whose probability is below this may end it; from 0 to 1. Without a value it is 0.15 below
    /// `threshold`, but not below 0.01.
    pub neg_threshold: Option<f64>,
    /// Spans that are not longer than this are dropped, in milliseconds.
    pub min_speech_duration_ms: u32,
    /// A span that gets longer than this is cut at its last silence of 98 ms, or else where it is, in seconds.
    pub max_speech_duration_s: f64,
    /// Silence of at least this length ends a span, in milliseconds.
    pub min_silence_duration_ms: u32,
    /// What each span gets at either side, in milliseconds; two spans that are nearer share what is between them.
    pub speech_pad_ms: u32,
}

impl Default for VadOptions {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            neg_threshold: None,
            min_speech_duration_ms: 0,
            max_speech_duration_s: f64::INFINITY,
            min_silence_duration_ms: 2000,
            speech_pad_ms: 400,
        }
    }
}

impl VadOptions {
    /// What the batched mode uses where the caller says nothing: spans of at most `chunk_length_s` seconds, ended by
    /// 160 ms of silence.
    pub fn for_batches(chunk_length_s: f64) -> Self {
        Self { max_speech_duration_s: chunk_length_s, min_silence_duration_ms: 160, ..Self::default() }
    }

    /// Whether every value has a meaning.
    ///
    /// # Errors
    ///
    /// A threshold is not between 0 and 1, or the longest span is not longer than nothing.
    pub fn validate(&self) -> Result<(), Error> {
        let out_of_range = |value: f64| !(0.0..=1.0).contains(&value);
        if out_of_range(self.threshold) {
            return Err(Error::option("threshold", "must be between 0 and 1"));
        }
        if self.neg_threshold.is_some_and(out_of_range) {
            return Err(Error::option("neg_threshold", "must be between 0 and 1"));
        }
        if self.max_speech_duration_s.is_nan() || self.max_speech_duration_s <= 0.0 {
            return Err(Error::option("max_speech_duration_s", "must be more than 0"));
        }
        Ok(())
    }

    fn neg_threshold(&self) -> f64 {
        self.neg_threshold.unwrap_or_else(|| (self.threshold - 0.15).max(0.01))
    }
}

/// A stretch of speech, in samples at 16 kHz: from `start` up to and without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpeechSpan {
    /// First sample.
    pub start: usize,
    /// The sample after the last.
    pub end: usize,
}

impl SpeechSpan {
    /// Samples in the span.
    pub fn samples(self) -> usize {
        self.end.saturating_sub(self.start)
    }
}

/// The spans of speech in a clip of `samples` samples, whose windows have these `probabilities`; in order, apart
/// from each other or touching.
pub fn speech_timestamps(probabilities: &[f32], samples: usize, options: &VadOptions) -> Vec<SpeechSpan> {
    let samples = i64::try_from(samples).unwrap_or(i64::MAX);
    pad(find(probabilities, samples, options), samples, milliseconds(options.speech_pad_ms))
}

fn milliseconds(value: u32) -> i64 {
    i64::from(value) * (SAMPLE_RATE as i64 / 1000)
}

/// A span while it is built; unpadded ends may be past the clip.
#[derive(Debug, Clone, Copy)]
struct Raw {
    start: i64,
    end: i64,
}

/// Spans as the probabilities say, before padding.
///
/// The silence that may end the span (`silence`), the last silence at which it could be cut (`cut`) and where speech
/// resumed after that (`resumed`) are 0 while there is none: no span starts with silence, so none is at sample 0.
fn find(probabilities: &[f32], samples: i64, options: &VadOptions) -> Vec<Raw> {
    // The reference compares 32-bit probabilities with thresholds rounded to 32 bits.
    let (threshold, neg_threshold) = (options.threshold as f32, options.neg_threshold() as f32);
    let window = WINDOW as i64;
    let min_speech = milliseconds(options.min_speech_duration_ms);
    let min_silence = milliseconds(options.min_silence_duration_ms);
    let max_speech = SAMPLE_RATE as f64 * options.max_speech_duration_s
        - window as f64
        - 2.0 * milliseconds(options.speech_pad_ms) as f64;

    let mut spans = Vec::new();
    let mut speech: Option<i64> = None;
    let (mut silence, mut cut, mut resumed) = (0, 0, 0);
    for (index, &probability) in probabilities.iter().enumerate() {
        let here = index as i64 * window;
        if probability >= threshold {
            if silence != 0 {
                silence = 0;
                if resumed < cut {
                    resumed = here;
                }
            }
            if speech.is_none() {
                speech = Some(here);
                continue;
            }
        }
        if let Some(start) = speech
            && (here - start) as f64 > max_speech
        {
            let cut_here = cut == 0;
            spans.push(Raw { start, end: if cut_here { here } else { cut } });
            speech = (!cut_here && resumed >= cut).then_some(resumed);
            (silence, cut, resumed) = (0, 0, 0);
            if cut_here {
                continue;
            }
        }
        if let Some(start) = speech
            && probability < neg_threshold
        {
            if silence == 0 {
                silence = here;
            }
            if here - silence > CUT_SILENCE {
                cut = silence;
            }
            if here - silence >= min_silence {
                if silence - start > min_speech {
                    spans.push(Raw { start, end: silence });
                }
                speech = None;
                (silence, cut, resumed) = (0, 0, 0);
            }
        }
    }
    if let Some(start) = speech
        && samples - start > min_speech
    {
        spans.push(Raw { start, end: samples });
    }
    spans
}

/// Widens each span by `pad` on either side, within the clip; neighbors share the silence between them.
fn pad(mut spans: Vec<Raw>, samples: i64, pad: i64) -> Vec<SpeechSpan> {
    if let Some(first) = spans.first_mut() {
        first.start = (first.start - pad).max(0);
    }
    for index in 0..spans.len() {
        let Some(next) = spans.get(index + 1).copied() else {
            spans[index].end = (spans[index].end + pad).min(samples);
            break;
        };
        let silence = next.start - spans[index].end;
        if silence < 2 * pad {
            spans[index].end += silence.div_euclid(2);
            spans[index + 1].start = (next.start - silence.div_euclid(2)).max(0);
        } else {
            spans[index].end = (spans[index].end + pad).min(samples);
            spans[index + 1].start = (next.start - pad).max(0);
        }
    }
    let sample = |value: i64| usize::try_from(value).unwrap_or(0);
    spans.into_iter().map(|span| SpeechSpan { start: sample(span.start), end: sample(span.end) }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs of windows with one probability; the clip ends 100 samples into the last window. What is expected is
    /// what faster-whisper 1.2.1 gives.
    #[track_caller]
    fn check(runs: &[(f32, usize)], options: VadOptions, expected: &[(usize, usize)]) {
        let probabilities: Vec<f32> =
            runs.iter().flat_map(|(probability, windows)| std::iter::repeat_n(*probability, *windows)).collect();
        let samples = (probabilities.len() - 1) * WINDOW + 100;
        let spans = speech_timestamps(&probabilities, samples, &options);
        let spans: Vec<_> = spans.iter().map(|span| (span.start, span.end)).collect();
        assert_eq!(spans, expected, "{options:?}");
    }

    fn silence(min_silence_duration_ms: u32) -> VadOptions {
        VadOptions { min_silence_duration_ms, ..VadOptions::default() }
    }

    fn longest(max_speech_duration_s: f64) -> VadOptions {
        VadOptions { max_speech_duration_s, ..VadOptions::default() }
    }

    #[test]
    fn silence_ends_a_span_and_padding_widens_it() {
        let twice = [(0.1, 100), (0.9, 50), (0.1, 100), (0.9, 50), (0.1, 60)];
        check(&twice, VadOptions::default(), &[(44800, 83200), (121600, 183908)]);
        check(&twice, silence(160), &[(44800, 83200), (121600, 160000)]);
        check(&[(0.1, 30)], VadOptions::default(), &[]);
    }

    #[test]
    fn near_spans_share_the_silence_between() {
        check(&[(0.9, 50), (0.1, 20), (0.9, 50)], silence(160), &[(0, 30720), (30720, 61028)]);
    }

    #[test]
    fn only_what_is_below_the_lower_threshold_is_silence() {
        let unsure = [(0.9, 50), (0.4, 80), (0.9, 50)];
        check(&unsure, silence(160), &[(0, 91748)]);
        let options = VadOptions { neg_threshold: Some(0.45), ..silence(160) };
        check(&unsure, options, &[(0, 32000), (60160, 91748)]);
    }

    #[test]
    fn a_long_span_is_cut_at_its_last_silence_or_where_it_is() {
        let expected = [(0, 26880), (26880, 63232), (63232, 98560), (98560, 130148)];
        check(&[(0.9, 50), (0.1, 5), (0.9, 200)], longest(3.0), &expected);
        let expected = [(0, 35072), (35072, 70400), (70400, 105728), (105728, 129636)];
        check(&[(0.9, 50), (0.1, 4), (0.9, 200)], longest(3.0), &expected);
        check(&[(0.9, 60), (0.1, 40), (0.9, 60)], longest(3.0), &[(0, 37120), (44800, 81508)]);
    }

    #[test]
    fn short_spans_are_dropped() {
        let options = VadOptions { min_speech_duration_ms: 100, speech_pad_ms: 0, ..silence(100) };
        check(&[(0.1, 10), (0.9, 3), (0.1, 20), (0.9, 40)], options, &[(16896, 36964)]);
    }

    #[test]
    fn options_without_a_meaning_are_refused() {
        let default = VadOptions::default;
        for options in [
            VadOptions { threshold: 1.5, ..default() },
            VadOptions { threshold: f64::NAN, ..default() },
            VadOptions { neg_threshold: Some(-0.1), ..default() },
            longest(0.0),
            longest(f64::NAN),
        ] {
            assert!(matches!(options.validate(), Err(Error::Option { .. })), "{options:?}");
        }
        assert!(default().validate().is_ok() && VadOptions::for_batches(30.0).validate().is_ok());
    }

    proptest! {
        #[test]
        fn spans_are_in_order_and_within_the_clip(
            probabilities in proptest::collection::vec(0.0_f32..1.0, 1..200),
            rest in 0_usize..WINDOW,
            min_speech_duration_ms in 0_u32..500,
            max_speech_duration_s in 0.1_f64..10.0,
            min_silence_duration_ms in 0_u32..1000,
            speech_pad_ms in 0_u32..1000,
        ) {
            let samples = (probabilities.len() - 1) * WINDOW + rest;
            let options = VadOptions {
                min_speech_duration_ms, max_speech_duration_s, min_silence_duration_ms, speech_pad_ms,
                ..VadOptions::default()
            };
            let mut end = 0;
            for span in speech_timestamps(&probabilities, samples, &options) {
                prop_assert!(end <= span.start && span.start <= span.end && span.end <= samples, "{span:?}");
                end = span.end;
            }
        }
    }
}
