//! What goes into a generation or an alignment and what comes out.

/// How tokens are searched for. Values that do not fit the model are refused by the call.
///
/// Source: `WhisperOptions` in CTranslate2's `include/ctranslate2/models/whisper.h`.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateOptions {
    /// Hypotheses that are kept at each step; 1 is greedy search.
    pub beam_size: usize,
    /// The search goes on until `beam_size * patience` hypotheses are finished.
    pub patience: f32,
    /// Exponent of the length by which a hypothesis' score is divided.
    pub length_penalty: f32,
    /// Penalty for tokens that were generated before; 1 is none.
    pub repetition_penalty: f32,
    /// Size of token sequences that may not come twice; 0 allows all.
    pub no_repeat_ngram_size: usize,
    /// Tokens of the longest result, the prompt included.
    pub max_length: usize,
    /// Tokens to sample from, the most likely first; 1 takes the best and 0 samples from all.
    pub sampling_topk: usize,
    /// Higher is more random.
    pub sampling_temperature: f32,
    /// Hypotheses in the result, at most those that the search keeps.
    pub num_hypotheses: usize,
    /// Whether the first token may not be blank.
    pub suppress_blank: bool,
    /// Tokens that are never generated; -1 stands for those that the model's `config.json` names.
    pub suppress_tokens: Vec<i32>,
    /// The latest first timestamp, in steps of 20 ms.
    pub max_initial_timestamp_index: usize,
    /// Whether the probability of silence is asked for.
    pub return_no_speech_prob: bool,
}

impl Default for GenerateOptions {
    /// The defaults of CTranslate2.
    fn default() -> Self {
        Self {
            beam_size: 5,
            patience: 1.0,
            length_penalty: 1.0,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            max_length: 448,
            sampling_topk: 1,
            sampling_temperature: 1.0,
            num_hypotheses: 1,
            suppress_blank: true,
            suppress_tokens: vec![-1],
            max_initial_timestamp_index: 50,
            return_no_speech_prob: false,
        }
    }
}

/// One way to read a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Tokens after the prompt, without the end.
    pub tokens: Vec<u32>,
    /// Log probability, divided by the length to the power of the length penalty.
    pub score: f32,
}

/// What one window says.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The best first.
    pub hypotheses: Vec<Hypothesis>,
    /// Probability that the window is silent; 0 where it was not asked for.
    pub no_speech_probability: f32,
}

/// When the tokens of one window are spoken.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// The path through the attention: index of a text token and of an encoder frame of 20 ms.
    pub pairs: Vec<(usize, usize)>,
    /// Probability of each text token.
    pub token_probabilities: Vec<f32>,
}
