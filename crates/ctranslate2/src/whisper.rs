//! Whisper models: windows of log-mel features in, tokens out.

mod bounds;
mod types;

use std::borrow::Borrow;
use std::ffi::c_void;
use std::sync::Arc;

use crate::allocator;
use crate::error::Error;
use crate::files::{Lent, ModelFiles};
use crate::library::Library;
use crate::model::{ComputeType, Device, ModelConfig};
use crate::raw::{Api, Call, Config, Files, Options, Outcome, Tokens};
use crate::tensor::{Batch, Tensor};
use bounds::Bounds;
pub use types::{Alignment, GenerateOptions, Generation, Hypothesis};

/// A Whisper model, loaded. See the crate's documentation for threads.
pub struct Whisper {
    library: Arc<Library>,
    handle: *mut c_void,
    device: Device,
    compute_type: ComputeType,
    is_multilingual: bool,
    num_languages: usize,
    bounds: Bounds,
}

// SAFETY: the shim's models take calls from any thread.
unsafe impl Send for Whisper {}
// SAFETY: as above.
unsafe impl Sync for Whisper {}

impl Whisper {
    /// Reads the weights, converts them to the compute type and puts them on the device.
    ///
    /// Files that are cut, foreign or contradict each other are refused. Files that were forged to be read without an
    /// error can still make the engine read outside its memory: verify a model by its digests before it is loaded.
    ///
    /// # Errors
    ///
    /// - [`Error::MissingFile`], [`Error::ReadFile`], [`Error::InvalidModel`]: the files;
    /// - [`Error::UnsupportedComputeType`], [`Error::NoGpu`], [`Error::Cuda`]: the device;
    /// - [`Error::OutOfMemory`].
    pub fn load(library: &Arc<Library>, files: &dyn ModelFiles, config: &ModelConfig) -> Result<Self, Error> {
        let loaded = load(library, files, config, library.api().whisper_load)?;
        let [n_mels, is_multilingual, num_languages, vocabulary, positions, frames] = loaded.facts[..] else {
            return Err(Error::Failed { reason: "the engine does not say what it loaded".to_owned() });
        };
        Ok(Self {
            library: Arc::clone(library),
            handle: loaded.handle,
            device: config.device,
            compute_type: loaded.compute_type,
            is_multilingual: is_multilingual != 0,
            num_languages,
            bounds: Bounds { n_mels, vocabulary, positions, frames },
        })
    }

    /// Mel bins of a window: 80 or 128.
    pub fn n_mels(&self) -> usize {
        self.bounds.n_mels
    }

    /// Whether it knows languages other than English.
    pub fn is_multilingual(&self) -> bool {
        self.is_multilingual
    }

    /// Languages that it knows.
    pub fn num_languages(&self) -> usize {
        self.num_languages
    }

    /// Tokens that it knows; every token is below.
    pub fn vocabulary_size(&self) -> usize {
        self.bounds.vocabulary
    }

    /// Tokens that fit its decoder, the prompt included: 448.
    pub fn max_positions(&self) -> usize {
        self.bounds.positions
    }

    /// Frames of 10 ms of the longest window: 3,000.
    pub fn max_frames(&self) -> usize {
        self.bounds.frames
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The number format that it has, where the asked one was `default`, `auto` or `int8`, the one that was chosen.
    pub fn compute_type(&self) -> ComputeType {
        self.compute_type
    }

    /// Encodes `batch` windows of features, `[batch, n_mels, frames]` one row after another.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] where the features have another shape or too many frames, [`Error::OutOfMemory`],
    /// [`Error::Cuda`].
    pub fn encode(&self, mel: &[f32], batch: usize) -> Result<Tensor, Error> {
        self.bounds.check_features(mel.len(), batch)?;
        Tensor::from_call(&self.library, self.device, |tensor, answer| {
            let (batch, values) = (batch as u64, mel.len() as u64);
            // SAFETY: the handle lives as long as `self`; there are `values` floats, a multiple of `batch * n_mels`.
            unsafe { (self.library.api().whisper_encode)(self.handle, mel.as_ptr(), batch, values, tensor, answer) }
        })
    }

    /// Language tokens such as `<|en|>` with their probabilities, the likeliest first, for each window of `encoded`, tensors that are
    /// read as one batch.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] where the model knows English only or the tensor is of another model,
    /// [`Error::OutOfMemory`], [`Error::Cuda`].
    pub fn detect_language(&self, encoded: &[impl Borrow<Tensor>]) -> Result<Vec<Vec<(String, f32)>>, Error> {
        if !self.is_multilingual {
            return Err(Error::InvalidInput { reason: "the model knows English only".to_owned() });
        }
        let encoded = Batch::of(encoded)?;
        let call = Call::run(self.library.api(), |answer| {
            // SAFETY: the handles live during the call.
            unsafe { (self.library.api().whisper_detect_language)(self.handle, &encoded.raw(), answer) }
        });
        self.library.check(&call, self.device)?;
        let text = call.text();
        let mut languages = text.lines().map(str::to_owned).zip(call.floats().iter().copied());
        let counts = call.numbers().iter().map(|count| usize::try_from(*count).unwrap_or(usize::MAX));
        Ok(counts.map(|count| languages.by_ref().take(count).collect()).collect())
    }

    /// Searches the tokens of each window of `encoded`, each after its prompt. In all prompts of one call
    /// `<|startoftranscript|>` stands at the same place, and the same number of task tokens follows it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] where a prompt, a token or an option does not fit, [`Error::OutOfMemory`],
    /// [`Error::Cuda`].
    pub fn generate(
        &self,
        encoded: &[impl Borrow<Tensor>],
        prompts: &[&[u32]],
        options: &GenerateOptions,
    ) -> Result<Vec<Generation>, Error> {
        let encoded = Batch::of(encoded)?;
        self.bounds.check_batch(&encoded, prompts.len())?;
        self.bounds.check_tokens(prompts)?;
        self.bounds.check_options(options)?;
        if let Some(prompt) = prompts.iter().find(|prompt| prompt.len() > options.max_length) {
            let reason = format!("a prompt of {} tokens, where `max_length` is {}", prompt.len(), options.max_length);
            return Err(Error::InvalidInput { reason });
        }
        let raw = Options {
            beam_size: options.beam_size as u64,
            patience: options.patience,
            length_penalty: options.length_penalty,
            repetition_penalty: options.repetition_penalty,
            sampling_temperature: options.sampling_temperature,
            no_repeat_ngram_size: options.no_repeat_ngram_size as u64,
            max_length: options.max_length as u64,
            sampling_topk: options.sampling_topk as u64,
            num_hypotheses: options.num_hypotheses as u64,
            max_initial_timestamp_index: options.max_initial_timestamp_index as u64,
            suppress_tokens: options.suppress_tokens.as_ptr(),
            suppress_tokens_len: options.suppress_tokens.len(),
            suppress_blank: options.suppress_blank.into(),
            return_no_speech_prob: options.return_no_speech_prob.into(),
        };
        let lists = Tokens::flatten(prompts);
        let call = Call::run(self.library.api(), |answer| {
            let prompts = Tokens::new(&lists);
            // SAFETY: handles, tokens and options live during the call.
            unsafe { (self.library.api().whisper_generate)(self.handle, &encoded.raw(), &prompts, &raw, answer) }
        });
        self.library.check(&call, self.device)?;
        read_generations(call.numbers(), call.floats()).ok_or_else(unreadable)
    }

    /// Finds when the text of each window of `encoded` is spoken. `start_sequence` is the prompt without
    /// `<|notimestamps|>`; `num_frames` are the frames of 10 ms that each window has before its padding.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] where a token or a number does not fit, [`Error::OutOfMemory`], [`Error::Cuda`];
    /// [`Error::Failed`] where the model's `config.json` has no `alignment_heads`.
    pub fn align(
        &self,
        encoded: &[impl Borrow<Tensor>],
        start_sequence: &[u32],
        text_tokens: &[&[u32]],
        num_frames: &[usize],
        median_filter_width: usize,
    ) -> Result<Vec<Alignment>, Error> {
        let encoded = Batch::of(encoded)?;
        self.bounds.check_batch(&encoded, text_tokens.len())?;
        self.bounds.check_batch(&encoded, num_frames.len())?;
        self.bounds.check_alignment(start_sequence, text_tokens, median_filter_width)?;
        let frames = 2 * encoded.shape().get(1).copied().unwrap_or(0);
        let num_frames: Vec<usize> = num_frames.iter().map(|count| (*count).min(frames)).collect();
        let start = Tokens::flatten(&[start_sequence]);
        let lists = Tokens::flatten(text_tokens);
        let call = Call::run(self.library.api(), |answer| {
            let (start, texts) = (Tokens::new(&start), Tokens::new(&lists));
            let width = median_filter_width as u64;
            let frames = num_frames.as_ptr();
            // SAFETY: handles, tokens and frames live during the call; there are as many frames as texts.
            unsafe {
                (self.library.api().whisper_align)(self.handle, &encoded.raw(), &start, &texts, frames, width, answer)
            }
        });
        self.library.check(&call, self.device)?;
        read_alignments(call.numbers(), call.floats()).ok_or_else(unreadable)
    }
}

impl std::fmt::Debug for Whisper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whisper").field("device", &self.device).field("compute_type", &self.compute_type).finish()
    }
}

impl Drop for Whisper {
    fn drop(&mut self) {
        // SAFETY: the handle came from this library and is freed once.
        unsafe { (self.library.api().whisper_free)(self.handle) }
        allocator::give_back();
    }
}

/// A model of either kind, just loaded.
pub(crate) struct Loaded {
    pub(crate) handle: *mut c_void,
    pub(crate) compute_type: ComputeType,
    facts: Vec<usize>,
}

/// The function of the table that loads a kind of model.
type Load = unsafe extern "C" fn(*const Files, *const Config, *mut *mut c_void, *mut crate::raw::Answer);

/// Loads a model of the kind of `function`, which is of this library's table.
pub(crate) fn load(
    library: &Library,
    files: &dyn ModelFiles,
    config: &ModelConfig,
    function: Load,
) -> Result<Loaded, Error> {
    library.check_device(config.device)?;
    if let Some(reason) = bounds::wrong_threads(config) {
        return Err(Error::InvalidInput { reason });
    }
    let api: &Api = library.api();
    let (device, device_index) = config.device.raw();
    let raw = Config {
        device,
        device_index,
        compute_type: config.compute_type as i32,
        intra_threads: config.intra_threads as u64,
        replicas: config.replicas as u64,
    };
    let lent = Lent::new(files);
    let mut handle = std::ptr::null_mut();
    let call = Call::run(api, |answer| {
        let files = lent.raw();
        // SAFETY: `lent` stays where it is and the two others live during the call.
        unsafe { function(&files, &raw, &mut handle, answer) }
    });
    allocator::give_back();
    if call.outcome() != Outcome::Done {
        let reason = call.text();
        if let Some(error) = lent.into_error(&reason) {
            return Err(error);
        }
        // Source: `unsupported_compute_type` in CTranslate2's `src/types.cc`.
        if reason.contains("do not support efficient") {
            return Err(Error::UnsupportedComputeType { compute_type: config.compute_type, device: config.device });
        }
        return Err(match library.check(&call, config.device) {
            Err(error @ (Error::OutOfMemory { .. } | Error::Cuda { .. })) => error,
            _ => Error::InvalidModel { model: files.name(), reason },
        });
    }
    let facts = call.numbers().iter().map(|number| usize::try_from(*number).unwrap_or(usize::MAX)).collect();
    let compute_type = call.text().parse().unwrap_or(config.compute_type);
    Ok(Loaded { handle, compute_type, facts })
}

fn unreadable() -> Error {
    Error::Failed { reason: "the answer of the engine is cut short".to_owned() }
}

/// Reads, for each window, the number of hypotheses and for each the number of tokens and the tokens; and from the
/// floats the probability of silence and the scores.
fn read_generations(numbers: &[u64], floats: &[f32]) -> Option<Vec<Generation>> {
    let (mut numbers, mut floats) = (numbers.iter().copied(), floats.iter().copied());
    let mut generations = Vec::new();
    while let Some(count) = numbers.next() {
        let no_speech_probability = floats.next()?;
        let mut hypotheses = Vec::new();
        for _ in 0..count {
            let length = usize::try_from(numbers.next()?).ok()?;
            let tokens = numbers.by_ref().take(length).map(|token| u32::try_from(token).ok());
            let tokens = tokens.collect::<Option<Vec<u32>>>().filter(|tokens| tokens.len() == length)?;
            hypotheses.push(Hypothesis { tokens, score: floats.next()? });
        }
        generations.push(Generation { hypotheses, no_speech_probability });
    }
    Some(generations)
}

/// Reads, for each window, the number of pairs, the pairs and the number of probabilities; the floats are those.
fn read_alignments(numbers: &[u64], floats: &[f32]) -> Option<Vec<Alignment>> {
    let mut numbers = numbers.iter().map(|number| usize::try_from(*number).ok());
    let mut floats = floats.iter().copied();
    let mut alignments = Vec::new();
    while let Some(count) = numbers.next() {
        let mut pairs = Vec::new();
        for _ in 0..count? {
            pairs.push((numbers.next()??, numbers.next()??));
        }
        let length = numbers.next()??;
        let token_probabilities: Vec<f32> = floats.by_ref().take(length).collect();
        if token_probabilities.len() != length {
            return None;
        }
        alignments.push(Alignment { pairs, token_probabilities });
    }
    Some(alignments)
}
