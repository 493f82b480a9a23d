//! What a transcription needs from a model.
//!
//! The calls block. The loaded model answers them itself; a scheduler can stand between and run compatible calls of
//! several transcriptions as one batch, which is why transcription code never asks for a batch larger than its own
//! work.

use std::sync::Arc;

use speech_flow_ctranslate2::{Alignment, GenerateOptions, Generation, Tensor};

use crate::cancel::Cancel;
use crate::error::Error;
use crate::features::LogMel;
use crate::whisper::SpecialTokens;

/// Facts of a model that do not change while it is loaded.
#[derive(Debug, Clone)]
pub struct ModelFacts {
    /// Filters for the mel bins that the encoder takes: 80, or 128 for large-v3 and turbo.
    pub mel: Arc<LogMel>,
    /// Whether the model knows languages other than English.
    pub is_multilingual: bool,
    /// Tokens of a prompt and of what is generated after it, together at most.
    pub max_length: usize,
    /// Seconds of a window, 30 at most.
    pub chunk_length: usize,
}

impl ModelFacts {
    /// Mel bins that the encoder takes.
    pub fn n_mels(&self) -> usize {
        self.mel.n_mels()
    }
}

/// The log-mel spectrogram of one window: `[n_mels, frames]`, row by row; 3,000 frames but where an option says less.
pub type Mel = Vec<f32>;

/// The encoder's output for one window, `[1, positions, width]`, on the device of the model.
pub type Encoded = Arc<Tensor>;

/// The calls of a model. Every call asks `cancel` before it costs time and gives [`Error::Canceled`].
pub trait Backend: Send + Sync {
    /// Facts of the model.
    fn model(&self) -> &ModelFacts;

    /// Encodes windows of the same length, one result for each.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`], [`Error::Canceled`], [`Error::Unavailable`].
    fn encode(&self, windows: Vec<Mel>, cancel: &Cancel) -> Result<Vec<Encoded>, Error>;

    /// For each window all languages as tokens such as `<|en|>` with their probabilities, best first.
    ///
    /// # Errors
    ///
    /// As [`Backend::encode`].
    fn detect_language(&self, windows: &[Encoded], cancel: &Cancel) -> Result<Vec<Vec<(String, f32)>>, Error>;

    /// Generates tokens for each window after its prompt.
    ///
    /// # Errors
    ///
    /// As [`Backend::encode`].
    fn generate(
        &self,
        windows: &[Encoded],
        prompts: &[Vec<u32>],
        options: &GenerateOptions,
        cancel: &Cancel,
    ) -> Result<Vec<Generation>, Error>;

    /// For each window, which of its frames each of its text tokens belongs to.
    ///
    /// `num_frames` counts 10 ms frames of a window that are sound and not padding, 3000 at most.
    ///
    /// # Errors
    ///
    /// As [`Backend::encode`].
    fn align(&self, windows: &[Encoded], request: &AlignRequest<'_>, cancel: &Cancel) -> Result<Vec<Alignment>, Error>;
}

/// What is to be aligned with the windows of a call of [`Backend::align`].
#[derive(Debug, Clone, Copy)]
pub struct AlignRequest<'a> {
    /// Tokens before the text, for all windows.
    pub start_sequence: &'a [u32],
    /// Text tokens of each window.
    pub text_tokens: &'a [Vec<u32>],
    /// Frames of each window.
    pub num_frames: &'a [usize],
    /// Width of the median filter over the attention weights, an odd number.
    pub median_filter_width: usize,
}

/// What the prompts of one batch must have in common: where the transcript starts, and how many tokens ask for the
/// language, the task and timestamps. What stands before and after may differ.
///
/// Source: `check_prompts` in CTranslate2's `src/models/whisper.cc`, which refuses other batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PromptShape {
    start: Option<usize>,
    task_tokens: usize,
    with_timestamps: bool,
}

impl PromptShape {
    /// The shape of a prompt.
    pub fn of(prompt: &[u32], special: &SpecialTokens) -> Self {
        let start = prompt.iter().position(|token| *token == special.start_of_transcript);
        let task = prompt.get(start.unwrap_or(prompt.len())..).unwrap_or_default();
        let is_task = |token: &&u32| (special.start_of_transcript..=special.no_timestamps).contains(*token);
        let task_tokens = task.iter().take_while(is_task).count();
        let last = task_tokens.checked_sub(1).and_then(|last| task.get(last));
        Self { start, task_tokens, with_timestamps: last != Some(&special.no_timestamps) }
    }
}
