//! A transformers folder as the model that CTranslate2 reads, made while it is read.
//!
//! The engine asks for `model.bin`, which names every weight and then has its numbers. Here that file exists only as a
//! list of pieces: bytes that were made, and tensors of the safetensors files that are read and widened to 32 bits
//! when their turn comes. So nothing is written to disk, and memory holds the weights once, in the engine.
//!
//! Names differ, and three things more: queries, keys and values are one matrix there; a weight-normed convolution is
//! folded into its weights; and the positional convolution has 128 taps, into whose middle fewer taps go.
//!
//! Source: `_serialize` in CTranslate2's `specs/model_spec.py` (binary version 6), `specs/wav2vec2_spec.py`, and
//! `models/wav2vec2` in transformers.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use speech_flow_ctranslate2::{ModelFile, ModelFiles};

use crate::error::Error;
use crate::lid::checkpoint::{Checkpoint, FloatType, TensorPlace};
use crate::lid::config::{GROUPS, KERNELS, LidConfig, TAPS};

/// Numbers that are widened at once.
const WIDENED: u64 = 1 << 14;

/// The weights of the encoder in a folder that transformers saved, to be read by the engine.
#[derive(Debug)]
pub(super) struct ConvertedFiles {
    name: String,
    pieces: Vec<Piece>,
}

/// A part of `model.bin`.
#[derive(Debug, Clone)]
enum Piece {
    Bytes(Arc<[u8]>),
    Tensor(TensorPlace),
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Tensor(tensor) => tensor.count * 4,
        }
    }
}

impl ConvertedFiles {
    /// Finds every weight of the model in the folder and checks its shape.
    pub(super) fn new(folder: &Path, config: &LidConfig, checkpoint: &Checkpoint) -> Result<Self, Error> {
        let mut variables = Variables { checkpoint, pieces: Vec::new(), count: 0 };
        variables.scalar("encoder/num_heads", config.heads as i32);
        variables.feature_extractor(config)?;
        variables.norm("encoder/fp_layer_norm", "wav2vec2.feature_projection.layer_norm", config.channels[6])?;
        variables.linear(
            "encoder/fp_projection",
            &["wav2vec2.feature_projection.projection"],
            config.hidden,
            config.channels[6],
        )?;
        variables.positional_convolution(config)?;
        variables.norm("encoder/layer_norm", "wav2vec2.encoder.layer_norm", config.hidden)?;
        for layer in 0..config.layers {
            variables.layer(layer, config)?;
        }

        let mut start = Vec::new();
        start.extend(6_u32.to_le_bytes());
        put_text(&mut start, "Wav2Vec2Spec");
        start.extend(3_u32.to_le_bytes());
        start.extend(variables.count.to_le_bytes());
        let mut pieces = vec![Piece::Bytes(start.into())];
        pieces.append(&mut variables.pieces);
        // No variable has another name as well.
        pieces.push(Piece::Bytes(0_u32.to_le_bytes().as_slice().into()));
        Ok(Self { name: folder.display().to_string(), pieces })
    }
}

impl ModelFiles for ConvertedFiles {
    fn open(&self, name: &str) -> io::Result<Option<ModelFile>> {
        let pieces = match name {
            "model.bin" => self.pieces.clone(),
            "config.json" => vec![Piece::Bytes(br#"{"layer_norm_epsilon":1e-5}"#.as_slice().into())],
            // The engine wants one, though an encoder has no tokens.
            "vocabulary.json" => vec![Piece::Bytes(br#"["<s>","</s>","[UNK]"]"#.as_slice().into())],
            _ => return Ok(None),
        };
        let length = pieces.iter().map(Piece::length).sum();
        let reader = PieceReader { pieces: pieces.into(), position: 0, widened: Vec::new(), taken: 0 };
        Ok(Some(ModelFile { length, reader: Box::new(reader) }))
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// The list of variables while it is made.
struct Variables<'a> {
    checkpoint: &'a Checkpoint,
    pieces: Vec<Piece>,
    count: u32,
}

/// Numbers of the types in `model.bin`.
const FLOAT32: u8 = 0;
const INT32: u8 = 3;

impl Variables<'_> {
    /// Starts the variable `name`; its data must follow.
    fn head(&mut self, name: &str, shape: &[usize], kind: u8) -> Result<(), Error> {
        let bytes = shape.iter().try_fold(4_u32, |product, size| product.checked_mul(u32::try_from(*size).ok()?));
        let bytes = bytes.ok_or_else(|| Error::model_file(name, "a weight is larger than the engine takes"))?;
        let mut head = Vec::new();
        put_text(&mut head, name);
        head.push(shape.len() as u8);
        for size in shape {
            head.extend((*size as u32).to_le_bytes());
        }
        head.push(kind);
        head.extend(bytes.to_le_bytes());
        self.pieces.push(Piece::Bytes(head.into()));
        self.count += 1;
        Ok(())
    }

    fn scalar(&mut self, name: &str, value: i32) {
        let mut variable = Vec::new();
        put_text(&mut variable, name);
        variable.push(0);
        variable.push(INT32);
        variable.extend(4_u32.to_le_bytes());
        variable.extend(value.to_le_bytes());
        self.pieces.push(Piece::Bytes(variable.into()));
        self.count += 1;
    }

    /// The tensors `sources`, each of shape `shape`, one below the other as the variable `name`.
    fn tensors(&mut self, name: &str, sources: &[String], shape: &[usize]) -> Result<(), Error> {
        let mut stacked = shape.to_vec();
        if let Some(rows) = stacked.first_mut() {
            *rows *= sources.len();
        }
        self.head(name, &stacked, FLOAT32)?;
        for source in sources {
            self.pieces.push(Piece::Tensor(self.checkpoint.tensor(source, shape)?));
        }
        Ok(())
    }

    fn norm(&mut self, name: &str, source: &str, width: usize) -> Result<(), Error> {
        self.tensors(&format!("{name}/gamma"), &[format!("{source}.weight")], &[width])?;
        self.tensors(&format!("{name}/beta"), &[format!("{source}.bias")], &[width])
    }

    /// A linear layer, or several of one input as one.
    fn linear(&mut self, name: &str, sources: &[&str], outputs: usize, inputs: usize) -> Result<(), Error> {
        let all = |part: &str| sources.iter().map(|source| format!("{source}.{part}")).collect::<Vec<_>>();
        self.tensors(&format!("{name}/weight"), &all("weight"), &[outputs, inputs])?;
        self.tensors(&format!("{name}/bias"), &all("bias"), &[outputs])
    }

    fn feature_extractor(&mut self, config: &LidConfig) -> Result<(), Error> {
        let mut inputs = 1;
        for (index, (channels, taps)) in config.channels.into_iter().zip(KERNELS).enumerate() {
            let name = match index {
                0 => "encoder/feat_layer0".to_owned(),
                _ => format!("encoder/feat_layer_{}", index - 1),
            };
            let source = format!("wav2vec2.feature_extractor.conv_layers.{index}");
            let weight = [format!("{source}.conv.weight")];
            self.tensors(&format!("{name}/conv/weight"), &weight, &[channels, inputs, taps])?;
            self.tensors(&format!("{name}/conv/bias"), &[format!("{source}.conv.bias")], &[channels])?;
            self.norm(&format!("{name}/layer_norm"), &format!("{source}.layer_norm"), channels)?;
            inputs = channels;
        }
        Ok(())
    }

    fn layer(&mut self, layer: usize, config: &LidConfig) -> Result<(), Error> {
        let name = format!("encoder/layer_{layer}");
        let source = format!("wav2vec2.encoder.layers.{layer}");
        let (hidden, inner) = (config.hidden, config.intermediate);
        let attention = |part: &str| format!("{source}.attention.{part}_proj");
        self.norm(&format!("{name}/self_attention/layer_norm"), &format!("{source}.layer_norm"), hidden)?;
        let inputs = [attention("q"), attention("k"), attention("v")];
        let inputs = inputs.each_ref().map(String::as_str);
        self.linear(&format!("{name}/self_attention/linear_0"), &inputs, hidden, hidden)?;
        self.linear(&format!("{name}/self_attention/linear_1"), &[&attention("out")], hidden, hidden)?;
        self.norm(&format!("{name}/ffn/layer_norm"), &format!("{source}.final_layer_norm"), hidden)?;
        let feed_forward = |part: &str| format!("{source}.feed_forward.{part}_dense");
        self.linear(&format!("{name}/ffn/linear_0"), &[&feed_forward("intermediate")], inner, hidden)?;
        self.linear(&format!("{name}/ffn/linear_1"), &[&feed_forward("output")], hidden, inner)
    }

    fn positional_convolution(&mut self, config: &LidConfig) -> Result<(), Error> {
        let source = "wav2vec2.encoder.pos_conv_embed.conv";
        let parametrized = format!("{source}.parametrizations.weight.original0");
        let (scale, direction) = if self.checkpoint.has(&parametrized) {
            (parametrized, format!("{source}.parametrizations.weight.original1"))
        } else {
            (format!("{source}.weight_g"), format!("{source}.weight_v"))
        };
        let inputs = config.hidden / GROUPS;
        let scale = self.checkpoint.tensor(&scale, &[1, 1, config.taps])?;
        let direction = self.checkpoint.tensor(&direction, &[config.hidden, inputs, config.taps])?;
        let numbers = |tensor: &TensorPlace| {
            tensor.numbers(0, tensor.count as usize).map_err(|error| self.checkpoint.unreadable(error))
        };
        let folded = fold_weight_norm(&numbers(&scale)?, &numbers(&direction)?);
        let name = "encoder/pos_conv_embed/conv";
        self.head(&format!("{name}/weight"), &[config.hidden, inputs, TAPS], FLOAT32)?;
        self.pieces.push(Piece::Bytes(folded.into()));
        self.tensors(&format!("{name}/bias"), &[format!("{source}.bias")], &[config.hidden])
    }
}

/// `scale * direction / |direction|`, the norm over all but the last dimension, which are the taps; as bytes, with
/// zeros around the taps that make them [`TAPS`].
///
/// Padding is half the number of taps, there as here, so the taps' middle goes to the middle of the 128.
fn fold_weight_norm(scale: &[f32], direction: &[f32]) -> Vec<u8> {
    let taps = scale.len();
    let mut squares = vec![0.0_f64; taps];
    for row in direction.chunks_exact(taps) {
        for (sum, value) in squares.iter_mut().zip(row) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    let factors: Vec<f32> =
        scale.iter().zip(&squares).map(|(scale, square)| (f64::from(*scale) / square.sqrt()) as f32).collect();
    let before = TAPS / 2 - taps / 2;
    let mut bytes = vec![0; direction.len() / taps * TAPS * 4];
    for (padded, row) in bytes.chunks_exact_mut(TAPS * 4).zip(direction.chunks_exact(taps)) {
        let words = padded[before * 4..].as_chunks_mut::<4>().0;
        for ((word, value), factor) in words.iter_mut().zip(row).zip(&factors) {
            *word = (value * factor).to_le_bytes();
        }
    }
    bytes
}

/// A text as `model.bin` has it: its length with the zero at its end, then both.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u16 + 1).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

/// Reads pieces one after another.
struct PieceReader {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that were given; of a tensor to be widened, those that were widened.
    position: u64,
    /// Widened numbers, of which the first `taken` bytes were given.
    widened: Vec<u8>,
    taken: usize,
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let rest = &self.widened[self.taken..];
            if !rest.is_empty() {
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                self.taken += count;
                return Ok(count);
            }
            let Some(piece) = self.pieces.front() else { return Ok(0) };
            let left = piece.length() - self.position;
            if left == 0 {
                self.pieces.pop_front();
                self.position = 0;
                continue;
            }
            let count = left.min(buffer.len() as u64) as usize;
            match piece {
                Piece::Bytes(bytes) => {
                    buffer[..count].copy_from_slice(&bytes[self.position as usize..][..count]);
                }
                Piece::Tensor(tensor) if tensor.float_type == FloatType::F32 => {
                    tensor.read_at(&mut buffer[..count], self.position)?;
                }
                Piece::Tensor(tensor) => {
                    let numbers = tensor.numbers(self.position / 4, (left / 4).min(WIDENED) as usize)?;
                    self.widened = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                    self.taken = 0;
                    self.position += self.widened.len() as u64;
                    continue;
                }
            }
            self.position += count as u64;
            return Ok(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(bytes: &[u8]) -> Vec<f32> {
        bytes.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
    }

    #[test]
    fn a_folded_weight_has_the_scale_as_its_norm_and_stands_in_the_middle() {
        let folded = floats(&fold_weight_norm(&[10.0, 1.0], &[3.0, 0.0, 4.0, -2.0]));
        assert_eq!(folded.len(), 2 * TAPS);
        assert_eq!(folded[63..65], [6.0, 0.0]);
        assert_eq!(folded[TAPS + 63..TAPS + 65], [8.0, -1.0]);
        assert_eq!(folded.iter().filter(|value| **value != 0.0).count(), 3);
        // An odd number of taps has one more after the middle than an even one.
        let folded = floats(&fold_weight_norm(&[1.0, 2.0, 3.0], &[1.0, 1.0, 1.0]));
        assert_eq!(folded[62..67], [0.0, 1.0, 2.0, 3.0, 0.0]);
        let all = vec![1.0; TAPS];
        assert_eq!(floats(&fold_weight_norm(&all, &all)), all);
    }

    #[test]
    fn pieces_are_read_in_order_through_a_buffer_of_any_size() {
        let piece = |text: &str| Piece::Bytes(text.as_bytes().into());
        let files = ConvertedFiles { name: String::new(), pieces: vec![piece("ab"), piece(""), piece("cdefg")] };
        for size in 1..9 {
            let mut file = files.open("model.bin").unwrap().unwrap();
            assert_eq!(file.length, 7);
            let mut read = Vec::new();
            let mut buffer = vec![0; size];
            while let count @ 1.. = file.reader.read(&mut buffer).unwrap() {
                read.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(read, b"abcdefg");
        }
        assert!(files.open("vocabulary.txt").unwrap().is_none());
    }
}
