//! The weights of Silero VAD v6, laid out for the forward pass.

use crate::vad::onnx::{OnnxError, Tensor, float_tensors, shown};

/// Outputs that a layer computes side by side.
pub(super) const BLOCK: usize = 4;

/// Width of the LSTM.
pub(super) const HIDDEN: usize = 128;

/// Frequencies of the spectrum.
pub(super) const BINS: usize = 129;

/// Rows of the recurrent weights that are added up side by side.
pub(super) const GATE_BLOCK: usize = 64;

/// A layer of the form `bias + weights * rows`, where the rows are consecutive rows of the layer's input.
#[derive(Debug)]
pub(super) struct Layer {
    /// For each block of outputs, `span` entries: the weights of these outputs for one input row.
    pub(super) weights: Vec<[f32; BLOCK]>,
    /// One number for each output.
    pub(super) bias: Vec<f32>,
    /// Input rows that an output depends on.
    pub(super) span: usize,
}

impl Layer {
    /// The layer whose weight for output `output` and input row `row` is `weight(output, row)`.
    fn new(outputs: usize, span: usize, bias: Vec<f32>, weight: impl Fn(usize, usize) -> f32) -> Self {
        let blocks = outputs.div_ceil(BLOCK);
        let mut weights = Vec::with_capacity(blocks * span);
        for block in 0..blocks {
            for row in 0..span {
                weights.push(std::array::from_fn(|lane| {
                    let output = block * BLOCK + lane;
                    if output < outputs { weight(output, row) } else { 0.0 }
                }));
            }
        }
        let mut bias = bias;
        bias.resize(blocks * BLOCK, 0.0);
        Self { weights, bias, span }
    }

    /// A convolution whose `weights` are `[outputs, inputs, taps]`; its input rows are ordered by tap, then input.
    fn convolution(outputs: usize, inputs: usize, taps: usize, weights: &[f32], bias: Vec<f32>) -> Self {
        Self::new(outputs, inputs * taps, bias, |output, row| {
            let (tap, input) = (row / inputs, row % inputs);
            weights[(output * inputs + input) * taps + tap]
        })
    }
}

/// All weights.
#[derive(Debug)]
pub(super) struct Weights {
    /// Real parts of the spectrum's frequencies, then imaginary parts.
    pub(super) spectrum: Layer,
    /// The four convolutions.
    pub(super) encoder: [Layer; 4],
    /// The LSTM's part that depends on the input, both biases in it; gates in the order input, output, forget, cell.
    pub(super) gates: Layer,
    /// The LSTM's part that depends on its last output: for each block of gate rows, a row for each hidden unit.
    pub(super) recurrent: Vec<[f32; GATE_BLOCK]>,
    /// From the LSTM's output to the probability.
    pub(super) output: [f32; HIDDEN],
    pub(super) output_bias: f32,
}

/// Why a file is not Silero VAD v6.
#[derive(Debug, thiserror::Error)]
pub(super) enum WeightsError {
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    #[error("the graph has no tensor `{name}`")]
    Missing { name: &'static str },
    #[error("tensor `{name}` has the shape {shape:?} instead of {expected:?}")]
    Shape { name: &'static str, shape: Vec<u64>, expected: &'static [u64] },
    #[error("the graph has the tensor `{name}` twice")]
    Twice { name: &'static str },
    #[error("the graph has a tensor `{name}` of shape {shape:?}, which the model does not have")]
    Unknown { name: String, shape: Vec<u64> },
    #[error("tensor `{name}` has numbers that are not finite")]
    NotFinite { name: &'static str },
}

const SPECTRUM: &str = "encoder.feature_extractor.forward_basis_buffer";
const LSTM_INPUT: &str = "onnx::LSTM_209";
const LSTM_RECURRENT: &str = "onnx::LSTM_210";
const LSTM_BIAS: &str = "onnx::LSTM_211";
const OUTPUT: &str = "decoder.conv1d.weight";
const OUTPUT_BIAS: &str = "decoder.conv1d.bias";

/// Outputs, inputs and the names of weights and bias of each convolution; all have three taps.
const ENCODER: [(usize, usize, &str, &str); 4] = [
    (128, BINS, "encoder.conv_layers.0.weight", "encoder.conv_layers.0.bias"),
    (64, 128, "encoder.conv_layers.1.weight", "encoder.conv_layers.1.bias"),
    (64, 64, "encoder.conv_layers.2.weight", "encoder.conv_layers.2.bias"),
    (128, 64, "encoder.conv_layers.3.weight", "encoder.conv_layers.3.bias"),
];

/// Every tensor of the model with its shape.
const TENSORS: [(&str, &[u64]); 14] = [
    (SPECTRUM, &[258, 1, 256]),
    (ENCODER[0].2, &[128, 129, 3]),
    (ENCODER[0].3, &[128]),
    (ENCODER[1].2, &[64, 128, 3]),
    (ENCODER[1].3, &[64]),
    (ENCODER[2].2, &[64, 64, 3]),
    (ENCODER[2].3, &[64]),
    (ENCODER[3].2, &[128, 64, 3]),
    (ENCODER[3].3, &[128]),
    (LSTM_INPUT, &[1, 512, 128]),
    (LSTM_RECURRENT, &[1, 512, 128]),
    (LSTM_BIAS, &[1, 1024]),
    (OUTPUT, &[1, 128, 1]),
    (OUTPUT_BIAS, &[1]),
];

impl Weights {
    /// Reads the weights out of the ONNX file `bytes`, which must hold exactly the model's tensors.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, WeightsError> {
        let tensors = float_tensors(bytes)?;
        let unknown = tensors.iter().find(|tensor| {
            // A number without dimensions is a constant of the graph.
            !tensor.shape.is_empty() && TENSORS.iter().all(|(name, _)| *name != tensor.name)
        });
        if let Some(Tensor { name, shape, .. }) = unknown {
            return Err(WeightsError::Unknown { name: shown(name), shape: shape.clone() });
        }
        for (name, expected) in TENSORS {
            let mut found = tensors.iter().filter(|tensor| tensor.name == name);
            let tensor = found.next().ok_or(WeightsError::Missing { name })?;
            if tensor.shape != expected {
                return Err(WeightsError::Shape { name, shape: tensor.shape.clone(), expected });
            }
            if found.next().is_some() {
                return Err(WeightsError::Twice { name });
            }
            if !tensor.values().iter().all(|value| value.is_finite()) {
                return Err(WeightsError::NotFinite { name });
            }
        }
        let values =
            |name: &str| tensors.iter().find(|tensor| tensor.name == name).map(Tensor::values).unwrap_or_default();

        let basis = values(SPECTRUM);
        let bias = values(LSTM_BIAS);
        let (input_bias, recurrent_bias) = bias.split_at(4 * HIDDEN);
        let recurrent = values(LSTM_RECURRENT);
        let output = values(OUTPUT);
        Ok(Self {
            spectrum: Layer::new(2 * BINS, 256, Vec::new(), |output, row| basis[output * 256 + row]),
            encoder: ENCODER.map(|(outputs, inputs, weights, bias)| {
                Layer::convolution(outputs, inputs, 3, &values(weights), values(bias))
            }),
            gates: Layer::convolution(
                4 * HIDDEN,
                HIDDEN,
                1,
                &values(LSTM_INPUT),
                input_bias.iter().zip(recurrent_bias).map(|(input, recurrent)| input + recurrent).collect(),
            ),
            recurrent: (0..4 * HIDDEN / GATE_BLOCK)
                .flat_map(|block| (0..HIDDEN).map(move |unit| (block, unit)))
                .map(|(block, unit)| std::array::from_fn(|lane| recurrent[(block * GATE_BLOCK + lane) * HIDDEN + unit]))
                .collect(),
            output: std::array::from_fn(|unit| output[unit]),
            output_bias: values(OUTPUT_BIAS)[0],
        })
    }
}
