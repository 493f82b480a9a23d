//! Decoding at rising temperatures until a result is good enough.

use speech_flow_ctranslate2::{GenerateOptions, Generation};

use crate::cancel::Cancel;
use crate::error::Error;
use crate::whisper::text::{compression_ratio, trim};
use crate::whisper::{Backend, Encoded, TIMESTAMP_SECONDS, Tokenizer, TranscribeOptions};

/// The result of a window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decoded {
    pub(super) tokens: Vec<u32>,
    pub(super) avg_logprob: f64,
    pub(super) no_speech_prob: f64,
    pub(super) compression_ratio: f64,
    pub(super) temperature: f64,
    /// Decodings that were thrown away before.
    pub(super) fallbacks: usize,
}

/// Decodes windows, each after its prompt.
#[derive(Clone, Copy)]
pub(super) struct Decoder<'a> {
    pub(super) backend: &'a dyn Backend,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) options: &'a TranscribeOptions,
    pub(super) suppressed: &'a [i32],
    pub(super) cancel: &'a Cancel,
}

/// A window that no temperature has satisfied yet.
struct Open {
    index: usize,
    /// All results so far.
    all: Vec<Decoded>,
}

impl Decoder<'_> {
    /// Decodes the windows together; those that fail are decoded again at the next temperature.
    pub(super) fn decode(&self, windows: &[Encoded], prompts: &[Vec<u32>]) -> Result<Vec<Decoded>, Error> {
        let mut results: Vec<Option<Decoded>> = vec![None; windows.len()];
        let mut open: Vec<Open> = (0..windows.len()).map(|index| Open { index, all: Vec::new() }).collect();
        for temperature in &self.options.temperature {
            let windows: Vec<Encoded> = open.iter().map(|window| windows[window.index].clone()).collect();
            let prompts: Vec<Vec<u32>> = open.iter().map(|window| prompts[window.index].clone()).collect();
            let decoded = self.decode_once(&windows, &prompts, *temperature, None)?;
            let mut failed = Vec::new();
            for (mut window, mut result) in open.into_iter().zip(decoded) {
                result.fallbacks = window.all.len();
                if self.is_good(&result) {
                    results[window.index] = Some(result);
                } else {
                    window.all.push(result);
                    failed.push(window);
                }
            }
            open = failed;
            if open.is_empty() {
                break;
            }
        }
        for window in open {
            results[window.index] = self.best_of_failed(window.all);
        }
        Ok(results.into_iter().flatten().collect())
    }

    /// Decodes windows that are shorter than those that the model was trained on, once, at the first temperature.
    /// `None` for a result that is not good enough, or that has not ended after `most` tokens: in such windows a model
    /// may repeat itself.
    pub(super) fn attempt(
        &self,
        windows: &[Encoded],
        prompts: &[Vec<u32>],
        most: usize,
    ) -> Result<Vec<Option<Decoded>>, Error> {
        let temperature = self.options.temperature.first().copied().unwrap_or_default();
        let decoded = self.decode_once(windows, prompts, temperature, Some(most))?;
        let has_ended = |result: &Decoded| result.tokens.len() < most;
        Ok(decoded
            .into_iter()
            .map(|result| Some(result).filter(|result| has_ended(result) && self.is_good(result)))
            .collect())
    }

    /// `most` is a limit of the new tokens, beside that of the options.
    fn decode_once(
        &self,
        windows: &[Encoded],
        prompts: &[Vec<u32>],
        temperature: f64,
        most: Option<usize>,
    ) -> Result<Vec<Decoded>, Error> {
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let mut options = self.generate_options(longest, temperature)?;
        if let Some(most) = most {
            options.max_length = options.max_length.min(longest + most);
        }
        let generations = self.backend.generate(windows, prompts, &options, self.cancel)?;
        if generations.len() != windows.len() {
            return Err(Error::Unavailable { reason: "it gave another number of results than it got windows".into() });
        }
        Ok(generations.into_iter().map(|generation| self.measure(generation, temperature)).collect())
    }

    /// The options of the engine. `prompt_length` is that of the longest prompt.
    fn generate_options(&self, prompt_length: usize, temperature: f64) -> Result<GenerateOptions, Error> {
        let options = self.options;
        let limit = self.backend.model().max_length;
        let max_length = options.max_new_tokens.map_or(limit, |tokens| prompt_length.saturating_add(tokens));
        if max_length > limit {
            let problem = format!("is more than fits after a prompt of {prompt_length} tokens: the model has {limit}");
            return Err(Error::option("max_new_tokens", problem));
        }
        let sampling = temperature > 0.0;
        let defaults = GenerateOptions::default();
        Ok(GenerateOptions {
            beam_size: if sampling { 1 } else { options.beam_size },
            patience: if sampling { defaults.patience } else { options.patience as f32 },
            num_hypotheses: if sampling { options.best_of } else { 1 },
            sampling_topk: if sampling { 0 } else { defaults.sampling_topk },
            sampling_temperature: if sampling { temperature as f32 } else { defaults.sampling_temperature },
            length_penalty: options.length_penalty as f32,
            repetition_penalty: options.repetition_penalty as f32,
            no_repeat_ngram_size: options.no_repeat_ngram_size,
            max_length,
            suppress_blank: options.suppress_blank,
            suppress_tokens: self.suppressed.to_vec(),
            max_initial_timestamp_index: (options.max_initial_timestamp / TIMESTAMP_SECONDS).round_ties_even() as usize,
            return_no_speech_prob: true,
        })
    }

    fn measure(&self, generation: Generation, temperature: f64) -> Decoded {
        let no_speech_prob = f64::from(generation.no_speech_probability);
        let (tokens, score) = match generation.hypotheses.into_iter().next() {
            Some(best) => (best.tokens, f64::from(best.score)),
            None => (Vec::new(), 0.0),
        };
        // The engine divides the sum by the length to the power of the penalty; here the end of the text counts too.
        let length = tokens.len() as f64;
        let sum = score * length.powf(self.options.length_penalty);
        let text = self.tokenizer.decode(&tokens);
        Decoded {
            avg_logprob: sum / (length + 1.0),
            compression_ratio: compression_ratio(trim(&text)),
            tokens,
            no_speech_prob,
            temperature,
            fallbacks: 0,
        }
    }

    /// Whether a result is neither repetitive nor improbable, or is silence.
    fn is_good(&self, result: &Decoded) -> bool {
        let improbable = self.options.log_prob_threshold.is_some_and(|threshold| result.avg_logprob < threshold);
        let silent = self.options.no_speech_threshold.is_some_and(|threshold| result.no_speech_prob > threshold);
        if improbable { silent } else { !self.is_repetitive(result) }
    }

    fn is_repetitive(&self, result: &Decoded) -> bool {
        self.options.compression_ratio_threshold.is_some_and(|threshold| result.compression_ratio > threshold)
    }

    /// The most probable of the results that all failed, of those that are not repetitive where there are any. It
    /// counts as decoded at the last temperature.
    fn best_of_failed(&self, results: Vec<Decoded>) -> Option<Decoded> {
        let (temperature, fallbacks) = results.last().map(|last| (last.temperature, last.fallbacks))?;
        let checked = self.options.compression_ratio_threshold.is_some();
        let some_pass = checked && results.iter().any(|result| !self.is_repetitive(result));
        let candidates = results.into_iter().filter(|result| !some_pass || !self.is_repetitive(result));
        let best = candidates.reduce(|best, next| if next.avg_logprob > best.avg_logprob { next } else { best })?;
        Some(Decoded { temperature, fallbacks, ..best })
    }
}

/// Whether a window is silence: the model says so, and its text is not probable all the same.
pub(super) fn is_silence(result: &Decoded, options: &TranscribeOptions) -> bool {
    let silent = options.no_speech_threshold.is_some_and(|threshold| result.no_speech_prob > threshold);
    let probable = options.log_prob_threshold.is_some_and(|threshold| result.avg_logprob > threshold);
    silent && !probable
}

/// Tokens that are never generated, sorted: those of the options, where `-1` stands for what nobody speaks, and those
/// that steer the model. None where the options name none.
pub(super) fn suppressed_tokens(tokenizer: &Tokenizer, asked: &[i32]) -> Result<Vec<i32>, Error> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let number = |token: u32| i32::try_from(token).ok();
    let end = number(tokenizer.special().timestamp_end()).unwrap_or(i32::MAX);
    if let Some(token) = asked.iter().find(|token| **token >= end) {
        return Err(Error::option("suppress_tokens", format!("has the token {token}, which the model does not know")));
    }
    let mut tokens: Vec<i32> = asked.iter().copied().filter(|token| *token >= 0).collect();
    if asked.contains(&-1) {
        tokens.extend(tokenizer.non_speech_tokens().iter().copied().filter_map(number));
    }
    tokens.extend(tokenizer.special().never_generated().filter_map(number));
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}
