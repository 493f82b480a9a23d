//! When each word is spoken.

mod alignment;
mod durations;
mod punctuation;

use alignment::{Timing, timings};
use durations::Durations;

use crate::cancel::Cancel;
use crate::error::Error;
use crate::whisper::round::round;
use crate::whisper::subsegments::Draft;
use crate::whisper::tongue::Tongue;
use crate::whisper::{AlignRequest, Backend, Encoded, FRAMES_PER_SECOND, Tokenizer, TranscribeOptions, Word};

/// Width of the median filter over the attention weights.
const MEDIAN_FILTER_WIDTH: usize = 7;

/// A window whose words are asked for.
pub(super) struct WindowText<'a> {
    pub(super) encoded: Encoded,
    pub(super) tongue: &'a Tongue,
    /// First frame of the window.
    pub(super) seek: usize,
    /// Frames of sound in it.
    pub(super) frames: usize,
    /// Its segments; they get words, and times that fit the words.
    pub(super) drafts: &'a mut Vec<Draft>,
}

/// Finds words.
#[derive(Clone, Copy)]
pub(super) struct WordFinder<'a> {
    pub(super) backend: &'a dyn Backend,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) options: &'a TranscribeOptions,
    pub(super) cancel: &'a Cancel,
}

impl WordFinder<'_> {
    /// Gives the segments of the windows their words. `last_speech` is the time up to which somebody spoke before;
    /// the result is the same after these windows.
    pub(super) fn find(&self, windows: &mut [WindowText<'_>], mut last_speech: f64) -> Result<f64, Error> {
        let mut found: Vec<Vec<Timing>> = windows.iter().map(|_| Vec::new()).collect();
        let texts: Vec<Vec<u32>> = windows.iter().map(|window| self.text_tokens(window.drafts)).collect();
        for (tongue, group) in same_start(windows, &texts) {
            let text_tokens: Vec<Vec<u32>> = group.iter().map(|index| texts[*index].clone()).collect();
            let num_frames: Vec<usize> = group.iter().map(|index| windows[*index].frames).collect();
            let encoded: Vec<Encoded> = group.iter().map(|index| windows[*index].encoded.clone()).collect();
            let request = AlignRequest {
                start_sequence: &tongue.start_sequence,
                text_tokens: &text_tokens,
                num_frames: &num_frames,
                median_filter_width: MEDIAN_FILTER_WIDTH,
            };
            let alignments = self.backend.align(&encoded, &request, self.cancel)?;
            for ((index, text), alignment) in group.iter().zip(text_tokens).zip(&alignments) {
                found[*index] = timings(self.tokenizer, &tongue.code, text, alignment);
            }
        }
        for (window, mut timings) in windows.iter_mut().zip(found) {
            let durations = Durations::of(&timings);
            durations.shorten_at_sentences(&mut timings);
            punctuation::merge(&mut timings, &self.options.prepend_punctuations, &self.options.append_punctuations);
            self.distribute(window, timings, durations, &mut last_speech);
        }
        Ok(last_speech)
    }

    fn text_tokens(&self, drafts: &[Draft]) -> Vec<u32> {
        let end = self.tokenizer.special().end_of_text;
        drafts.iter().flat_map(|draft| &draft.tokens).copied().filter(|token| *token < end).collect()
    }

    /// Gives each segment as many words as it has tokens, and fits its times and those of the words to each other.
    fn distribute(
        &self,
        window: &mut WindowText<'_>,
        timings: Vec<Timing>,
        durations: Durations,
        last_speech: &mut f64,
    ) {
        let offset = window.seek as f64 / FRAMES_PER_SECOND as f64;
        let end = self.tokenizer.special().end_of_text;
        let mut timings = timings.into_iter();
        for draft in window.drafts.iter_mut() {
            let wanted = draft.tokens.iter().filter(|token| **token < end).count();
            let mut taken = 0;
            let mut words = Vec::new();
            while taken < wanted {
                let Some(timing) = timings.next() else { break };
                taken += timing.tokens.len();
                if !timing.word.is_empty() {
                    words.push(Word {
                        start: round(offset + timing.start, 2),
                        end: round(offset + timing.end, 2),
                        word: timing.word,
                        probability: timing.probability,
                    });
                }
            }
            durations.fit(draft, &mut words, last_speech);
            draft.words = words;
        }
    }
}

/// The windows that have text, grouped by the start of their transcript: one call takes one start.
fn same_start<'a>(windows: &[WindowText<'a>], texts: &[Vec<u32>]) -> Vec<(&'a Tongue, Vec<usize>)> {
    let mut groups: Vec<(&Tongue, Vec<usize>)> = Vec::new();
    for (index, window) in windows.iter().enumerate().filter(|(index, _)| !texts[*index].is_empty()) {
        match groups.iter_mut().find(|(tongue, _)| *tongue == window.tongue) {
            Some((_, group)) => group.push(index),
            None => groups.push((window.tongue, vec![index])),
        }
    }
    groups
}
