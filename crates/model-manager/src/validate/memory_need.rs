//! How much memory a worker needs for a model: computed from the model's files, without loading it.
//!
//! The numbers are bounds, for the limit of a container: what is the most at once, with the longest texts. They are for
//! a processor; on a GPU weights and work space are in its own memory.
//!
//! ```text
//! while it loads    process + the file's weights + what they grow by + the largest of them as 32-bit floats
//! while it works    process + weights + audio + replicas × encoder of one window + windows at once × one window
//! ```
//!
//! Where each part comes from is beside its function. How far that is from the truth is what the test
//! `shows_memory.rs` of the binary measures.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use speech_flow_model_types::ModelKind;

use super::ctranslate2::{Ct2Model, read_model};
use super::safetensors::read_header;
use super::{Folder, Invalid, Problem, json};
use crate::config::ComputeType;

/// The program, the engine's libraries and their threads, the detector of speech, buffers: what a worker with next to
/// no model takes, rounded up.
const PROCESS: u64 = 112 << 20;
/// Frames of one window of 30 s, after Whisper's convolutions.
const FRAMES: u64 = 1500;
/// Longest text of one window, the prompt included.
const POSITIONS: u64 = 448;
/// Texts that are followed at once: the default `beam_size`.
const BEAMS: u64 = 5;
/// A 32-bit float, which activations are on a processor whatever the weights are.
const FLOAT: u64 = 4;
/// Samples of the longest clip that language identification hears in one piece: the first 30 s.
const LONGEST_CLIP: u64 = 30 * 16_000;
/// Decoded audio: 16 bits, 16,000 times a second.
const AUDIO_BYTES_A_SECOND: u64 = 32_000;

/// How the worker would be run.
#[derive(Debug, Clone, Copy)]
pub struct MemorySettings {
    /// Number format of the weights.
    pub compute_type: ComputeType,
    /// Windows that are computed together.
    pub batch: u64,
    /// Copies that work at the same time.
    pub replicas: u64,
    /// Audio that is in memory at once.
    pub audio: Duration,
}

/// What a worker needs, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryNeed {
    /// Copies that work at the same time.
    pub replicas: u64,
    /// Windows whose text is made at once, by all of them together.
    pub windows: u64,
    /// The program without a model.
    pub process_bytes: u64,
    /// Weights as they are in the file.
    pub stored_bytes: u64,
    /// Weights as they are in memory.
    pub weight_bytes: u64,
    /// What one call of the encoder takes.
    pub encoder_bytes: u64,
    /// What each window takes while its text is made.
    pub window_bytes: u64,
    /// Decoded audio of the requests.
    pub audio_bytes: u64,
    /// The most while the model is loaded.
    pub load_bytes: u64,
    /// The most while it works.
    pub work_bytes: u64,
    /// The larger of the two.
    pub total_bytes: u64,
}

/// What a model is made of.
struct Weights {
    stored: u64,
    /// Numbers in matrices, which can be integers.
    matrices: u64,
    /// All other numbers, which are floats.
    others: u64,
    largest: u64,
    encoder: u64,
    window: u64,
    /// Whether all replicas together have no more windows at once than a batch, or than there are replicas.
    shares_batch: bool,
}

/// Computes what a worker needs for the model in `folder`.
///
/// # Errors
/// [`Invalid`] says which file is missing or damaged, or that no worker takes this kind of model.
pub fn memory_need(folder: &Path, kind: ModelKind, settings: &MemorySettings) -> Result<MemoryNeed, Invalid> {
    let folder = Folder::list(folder)?;
    let weights = match kind {
        ModelKind::Whisper => whisper(&folder)?,
        ModelKind::LanguageId => language_id(&folder)?,
        ModelKind::Transformers | ModelKind::Other => {
            return Err(Invalid::wrong(".", "is a model that no worker takes"));
        }
    };
    Ok(weights.need(settings))
}

impl Weights {
    fn need(&self, settings: &MemorySettings) -> MemoryNeed {
        let replicas = settings.replicas;
        let windows =
            if self.shares_batch { settings.batch.max(replicas) } else { product([settings.batch, replicas]) };
        // Biases and norms stay floats; a matrix of integers has a scale for each row, less than a hundredth of it.
        let matrices = product([self.matrices, matrix_bytes(settings.compute_type)]);
        let weight_bytes = sum([matrices, product([self.others, FLOAT])]);
        let audio_bytes = product([settings.audio.as_secs(), AUDIO_BYTES_A_SECOND]);
        // The file is read whole, then converted one variable after the other, by way of 32-bit floats.
        let load_bytes = sum([PROCESS, self.stored.max(weight_bytes), product([self.largest, FLOAT])]);
        let work_space = sum([product([replicas, self.encoder]), product([windows, self.window])]);
        let work_bytes = sum([PROCESS, weight_bytes, audio_bytes, work_space]);
        MemoryNeed {
            replicas,
            windows,
            process_bytes: PROCESS,
            stored_bytes: self.stored,
            weight_bytes,
            encoder_bytes: self.encoder,
            window_bytes: self.window,
            audio_bytes,
            load_bytes,
            work_bytes,
            total_bytes: load_bytes.max(work_bytes),
        }
    }
}

/// On a processor 16-bit floats become 32-bit ones, since it cannot compute with them.
fn matrix_bytes(compute_type: ComputeType) -> u64 {
    match compute_type {
        ComputeType::Int8 | ComputeType::Int8Float32 | ComputeType::Int8Float16 | ComputeType::Int8Bfloat16 => 1,
        ComputeType::Int16 => 2,
        _ => FLOAT,
    }
}

/// The encoder works on one window at a time: a batch of it gains nothing on a processor. While text is made, each
/// window holds the decoder's keys and values of its frames, and for each text that is followed those of its tokens.
fn whisper(folder: &Folder) -> Result<Weights, Invalid> {
    const FILE: &str = "model.bin";
    let opened = folder.open_weights(FILE)?;
    let model = read_model(opened.file, opened.len).map_err(|error| Invalid::new(FILE, Problem::Ct2(error)))?;
    let Ct2Model { width: Some(width), decoder_layers, .. } = model else {
        return Err(Invalid::wrong(FILE, "has no `encoder/position_encodings/encodings`"));
    };
    let (width, layers) = (u64::from(width), u64::from(decoder_layers));
    let keys_and_values = product([layers, 2, width, FLOAT]);
    Ok(Weights {
        stored: model.data_bytes,
        // The decoder's embeddings are there twice: to look words up, and as the matrix that chooses the next.
        matrices: sum([model.matrix_numbers, product([model.vocabulary.unwrap_or_default().into(), width])]),
        others: model.other_numbers,
        largest: model.largest_numbers,
        // The most is in the feed-forward part: queries, keys and values beside what goes in; and for two thirds of the
        // frames, with four threads or more, the inner layer, four times as wide, as floats and as integers, and what
        // comes out. Twice as much, since what is free between blocks cannot always be used.
        encoder: product([2, 10, FRAMES, width, FLOAT]),
        window: sum([
            product([FRAMES + BEAMS * POSITIONS, keys_and_values]),
            // The encoder's output, and the same again while it is handed on.
            product([2, FRAMES, width, FLOAT]),
        ]),
        shares_batch: true,
    })
}

/// What of a Wav2Vec2 model's `config.json` decides how large its work space is.
#[derive(Deserialize)]
struct LanguageIdConfig {
    hidden_size: u32,
    intermediate_size: u32,
    num_attention_heads: u32,
    conv_dim: Vec<u32>,
    conv_stride: Vec<u32>,
}

/// The most is either the first convolution, whose input, output and norm are there at once, or one layer of the
/// encoder: its attention, before and after the softmax, and its inner layer. Both of 30 s.
fn language_id(folder: &Folder) -> Result<Weights, Invalid> {
    let config: LanguageIdConfig = json::read_config(folder, "config.json")?;
    let mut weights =
        Weights { stored: 0, matrices: 0, others: 0, largest: 0, encoder: 0, window: 0, shares_batch: false };
    for name in folder.names().filter(|name| name.ends_with(".safetensors")) {
        let opened = folder.open_weights(name)?;
        let header =
            read_header(opened.file, opened.len).map_err(|error| Invalid::new(name, Problem::Safetensors(error)))?;
        weights.stored = sum([weights.stored, header.data_bytes]);
        for tensor in &header.tensors {
            let numbers = tensor.shape.iter().fold(1_u64, |product, size| product.saturating_mul(*size));
            weights.largest = weights.largest.max(numbers);
            let group = if tensor.shape.len() == 2 { &mut weights.matrices } else { &mut weights.others };
            *group = group.saturating_add(numbers);
        }
    }
    if weights.stored == 0 {
        return Err(Invalid::new("model.safetensors", Problem::Missing));
    }
    let mut strides = config.conv_stride.iter().map(|stride| u64::from(*stride).max(1));
    let first = LONGEST_CLIP / strides.next().unwrap_or(1);
    let frames = strides.fold(first, |frames, stride| frames / stride);
    let channels = config.conv_dim.first().copied().unwrap_or_default();
    let convolution = product([3, first, channels.into(), FLOAT]);
    // Measured: twice as many as before and after the softmax.
    let attention = product([4, config.num_attention_heads.into(), frames, frames, FLOAT]);
    let inner = sum([product([4, config.hidden_size.into()]), product([2, config.intermediate_size.into()])]);
    weights.window = convolution.max(sum([attention, product([frames, inner, FLOAT])]));
    Ok(weights)
}

/// The numbers come from a file that anyone may have written: too large a one must not wrap around to a small need.
fn product<const N: usize>(factors: [u64; N]) -> u64 {
    factors.into_iter().fold(1, u64::saturating_mul)
}

fn sum<const N: usize>(parts: [u64; N]) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}
