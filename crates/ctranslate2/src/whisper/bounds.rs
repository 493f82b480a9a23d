//! What a loaded Whisper model takes.
//!
//! CTranslate2 uses tokens as indices and trusts several options, so a number out of range would read or write
//! outside its memory. Every such number is checked here, before a call.

use super::GenerateOptions;
use crate::error::Error;
use crate::model::ModelConfig;
use crate::tensor::Batch;

/// Limits of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) n_mels: usize,
    /// Tokens; each is below.
    pub(crate) vocabulary: usize,
    /// Tokens of a sequence.
    pub(crate) positions: usize,
    /// Frames of a window.
    pub(crate) frames: usize,
}

/// The widest beam and the most hypotheses. CTranslate2 allocates by them.
const MAX_BEAMS: usize = 1024;
/// The widest median filter over encoder frames.
const MAX_FILTER: usize = 1001;
/// More threads or replicas than any machine has cores are a mistake.
const MAX_THREADS: usize = 4096;

impl Bounds {
    /// `values` features are `batch` windows.
    pub(crate) fn check_features(&self, values: usize, batch: usize) -> Result<(), Error> {
        let row = batch.checked_mul(self.n_mels).filter(|row| *row > 0);
        let frames = row.filter(|row| values.is_multiple_of(*row)).map(|row| values / row);
        if frames.is_some_and(|frames| (1..=self.frames).contains(&frames)) {
            return Ok(());
        }
        refuse(format!(
            "{values} features are not {batch} windows of {} bins and at most {} frames",
            self.n_mels, self.frames
        ))
    }

    pub(crate) fn check_batch(&self, encoded: &Batch<'_>, lists: usize) -> Result<(), Error> {
        match encoded.shape() {
            [batch, _, _] if *batch == lists => Ok(()),
            shape => refuse(format!("{lists} lists for windows of shape {shape:?}")),
        }
    }

    /// Prompts have tokens of the model, and room for a result.
    pub(crate) fn check_tokens(&self, prompts: &[&[u32]]) -> Result<(), Error> {
        for prompt in prompts {
            self.check_known(prompt)?;
            if prompt.is_empty() || prompt.len() >= self.positions {
                let positions = self.positions;
                return refuse(format!("a prompt of {} tokens, where the model takes {positions}", prompt.len()));
            }
        }
        Ok(())
    }

    fn check_known(&self, tokens: &[u32]) -> Result<(), Error> {
        match tokens.iter().find(|token| **token as usize >= self.vocabulary) {
            Some(token) => refuse(format!("token {token}, where the model knows {}", self.vocabulary)),
            None => Ok(()),
        }
    }

    pub(crate) fn check_options(&self, options: &GenerateOptions) -> Result<(), Error> {
        let range = |name: &str, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            refuse(format!("`{name}` is {value}, which is not in {low} to {high}"))
        };
        let positive = |name: &str, value: f32| {
            if value.is_finite() && value > 0.0 {
                return Ok(());
            }
            refuse(format!("`{name}` is {value}, which is not above 0"))
        };
        // Beam search looks at twice as many candidates as it keeps.
        range("beam_size", options.beam_size, 1, MAX_BEAMS.min(self.vocabulary / 2))?;
        range("num_hypotheses", options.num_hypotheses, 1, MAX_BEAMS)?;
        range("max_length", options.max_length, 1, self.positions)?;
        range("sampling_topk", options.sampling_topk, 0, self.vocabulary)?;
        range("no_repeat_ngram_size", options.no_repeat_ngram_size, 0, self.positions)?;
        range("max_initial_timestamp_index", options.max_initial_timestamp_index, 0, self.vocabulary)?;
        positive("patience", options.patience)?;
        range("patience", options.patience.ceil() as usize, 1, MAX_BEAMS)?;
        positive("repetition_penalty", options.repetition_penalty)?;
        positive("sampling_temperature", options.sampling_temperature)?;
        if !options.length_penalty.is_finite() {
            return refuse(format!("`length_penalty` is {}", options.length_penalty));
        }
        let known = |token: &i32| *token == -1 || usize::try_from(*token).is_ok_and(|token| token < self.vocabulary);
        match options.suppress_tokens.iter().find(|token| !known(token)) {
            Some(token) => refuse(format!("`suppress_tokens` has {token}, where the model knows {}", self.vocabulary)),
            None => Ok(()),
        }
    }

    pub(crate) fn check_alignment(&self, start: &[u32], texts: &[&[u32]], filter: usize) -> Result<(), Error> {
        self.check_known(start)?;
        for text in texts {
            self.check_known(text)?;
            // The start, the token for no timestamps, the text and its end.
            let length = start.len() + text.len() + 2;
            if start.is_empty() || length > self.positions {
                return refuse(format!("{length} tokens to align, where the model takes {}", self.positions));
            }
        }
        if filter.is_multiple_of(2) || filter > MAX_FILTER {
            return refuse(format!("a median filter of width {filter}, which is not odd or above {MAX_FILTER}"));
        }
        Ok(())
    }
}

/// Why a model cannot have so many threads.
pub(crate) fn wrong_threads(config: &ModelConfig) -> Option<String> {
    let fits = |count: usize| (1..=MAX_THREADS).contains(&count);
    let (threads, replicas) = (config.intra_threads, config.replicas);
    (!fits(threads) || !fits(replicas)).then(|| format!("{replicas} replicas of {threads} threads"))
}

fn refuse<T>(reason: String) -> Result<T, Error> {
    Err(Error::InvalidInput { reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: Bounds = Bounds { n_mels: 80, vocabulary: 100, positions: 20, frames: 3000 };

    #[test]
    fn features_are_whole_windows_of_at_most_the_models_frames() {
        for (values, batch) in [(80 * 3000, 1), (2 * 80 * 3000, 2), (80, 1)] {
            assert!(TINY.check_features(values, batch).is_ok(), "refused {values} in {batch}");
        }
        for (values, batch) in [(0, 1), (80, 0), (81, 1), (80 * 3001, 1), (80, usize::MAX)] {
            assert!(TINY.check_features(values, batch).is_err(), "accepted {values} in {batch}");
        }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut GenerateOptions), name: &str) {
        let mut options = GenerateOptions { max_length: 20, ..GenerateOptions::default() };
        assert!(TINY.check_options(&options).is_ok());
        change(&mut options);
        let error = TINY.check_options(&options).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }

    #[test]
    fn options_out_of_range_are_refused_by_name() {
        refused(|o| o.beam_size = 0, "`beam_size` is 0");
        refused(|o| o.beam_size = 51, "`beam_size`");
        refused(|o| o.patience = f32::NAN, "`patience`");
        refused(|o| o.patience = 1e30, "`patience`");
        refused(|o| o.max_length = 21, "`max_length`");
        refused(|o| o.sampling_topk = 101, "`sampling_topk`");
        refused(|o| o.sampling_temperature = 0.0, "`sampling_temperature`");
        refused(|o| o.repetition_penalty = -1.0, "`repetition_penalty`");
        refused(|o| o.length_penalty = f32::INFINITY, "`length_penalty`");
        refused(|o| o.num_hypotheses = 0, "`num_hypotheses`");
        refused(|o| o.max_initial_timestamp_index = usize::MAX, "`max_initial_timestamp_index`");
        refused(|o| o.suppress_tokens = vec![-1, 100], "`suppress_tokens` has 100");
        refused(|o| o.suppress_tokens = vec![-2], "`suppress_tokens` has -2");
    }

    #[test]
    fn prompts_are_known_tokens_that_leave_room() {
        assert!(TINY.check_tokens(&[&[99; 19]]).is_ok());
        for prompt in [&[100][..], &[], &[1; 20]] {
            assert!(TINY.check_tokens(&[prompt]).is_err(), "accepted {prompt:?}");
        }
    }

    #[test]
    fn alignments_fit_the_decoder_and_have_an_odd_filter() {
        assert!(TINY.check_alignment(&[1; 3], &[&[2; 15]], 7).is_ok());
        assert!(TINY.check_alignment(&[1; 3], &[&[2; 16]], 7).is_err());
        assert!(TINY.check_alignment(&[1; 3], &[&[100]], 7).is_err());
        assert!(TINY.check_alignment(&[], &[&[2]], 7).is_err());
        assert!(TINY.check_alignment(&[1; 3], &[&[2; 15]], 6).is_err());
    }
}
