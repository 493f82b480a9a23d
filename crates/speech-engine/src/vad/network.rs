//! The forward pass of Silero VAD v6, for the windows of one clip one after another.
//!
//! A window is seen together with the 64 samples before it and, mirrored, the 64 after it: 640 samples, 4 frames of
//! 256. Their spectrum goes through four convolutions, which leave one vector of 128 numbers; an LSTM that runs over
//! the whole clip turns the vectors into probabilities.
//!
//! All but the LSTM is the same for each window, so 16 windows go through it side by side: a row of an activation is
//! one channel of one frame for these 16 windows. Rows are ordered by frame, then channel; then a convolution's input
//! is one piece of consecutive rows, and every layer is the same loop over multiply-adds of 16 numbers.
//!
//! Source: the graph in `silero_vad_v6.onnx` and `SileroVADModel` of faster-whisper 1.2.

use std::sync::Arc;

use fearless_simd::{Bytes, Level, Simd, SimdBase, SimdFloat, dispatch, f32x16, i32x16};

use crate::vad::WINDOW;
use crate::vad::weights::{BINS, BLOCK, GATE_BLOCK, HIDDEN, Layer, Weights};

/// Windows side by side.
const LANES: usize = 16;

/// Samples before a window that it is seen with, and samples after it that the mirror gives.
const CONTEXT: usize = 64;

/// Frames of the spectrum and samples from one to the next.
const FRAMES: usize = 4;
const HOP: usize = 128;

type Row = [f32; LANES];

/// The model's state in the middle of a clip.
#[derive(Debug)]
pub struct VadStream {
    weights: Arc<Weights>,
    level: Level,
    /// Samples that are not in a finished block yet, after the [`CONTEXT`] samples before them.
    pending: Vec<f32>,
    lstm: Lstm,
    rows: Rows,
}

/// The LSTM's output and memory.
#[derive(Debug)]
struct Lstm {
    hidden: [f32; HIDDEN],
    cell: [f32; HIDDEN],
}

/// Activations of a block of windows, kept from block to block for their memory.
#[derive(Debug, Default)]
struct Rows {
    samples: Vec<Row>,
    spectrum: Vec<Row>,
    magnitudes: Vec<Row>,
    encoded: [Vec<Row>; 4],
    gates: Vec<Row>,
}

impl VadStream {
    pub(super) fn new(weights: Arc<Weights>) -> Self {
        Self::with_level(weights, Level::new())
    }

    /// With the instructions of `level`, whatever the processor has.
    pub(super) fn with_level(weights: Arc<Weights>, level: Level) -> Self {
        Self {
            weights,
            level,
            pending: vec![0.0; CONTEXT],
            lstm: Lstm { hidden: [0.0; HIDDEN], cell: [0.0; HIDDEN] },
            rows: Rows::default(),
        }
    }

    /// Takes the next samples, of full scale 1.0, and adds the probabilities of windows that are done. They come in
    /// blocks, so some are still missing until [`Self::finish`].
    pub fn push(&mut self, samples: impl IntoIterator<Item = f32>, probabilities: &mut Vec<f32>) {
        for sample in samples {
            self.pending.push(sample);
            if self.pending.len() == CONTEXT + LANES * WINDOW {
                self.run(LANES, probabilities);
                self.pending.drain(..LANES * WINDOW);
            }
        }
    }

    /// Ends the clip and adds the probabilities that are missing. The last window is filled with silence, and its
    /// last 64 samples always count as silence.
    pub fn finish(mut self, probabilities: &mut Vec<f32>) {
        let windows = (self.pending.len() - CONTEXT) / WINDOW + 1;
        // All but the last 64 samples of the last window, which follow the 64 samples before the first.
        self.pending.resize(windows * WINDOW, 0.0);
        self.pending.resize(CONTEXT + windows * WINDOW, 0.0);
        self.run(windows, probabilities);
    }

    /// The probabilities of the first `windows` windows of what is pending.
    fn run(&mut self, windows: usize, probabilities: &mut Vec<f32>) {
        let Self { weights, level, pending, lstm, rows } = self;
        dispatch!(*level, simd => encode(simd, weights, pending, windows, rows));
        for lane in 0..windows {
            dispatch!(*level, simd => step(simd, weights, &rows.gates, lane, lstm));
            let sum: f32 = weights.output.iter().zip(&lstm.hidden).map(|(weight, unit)| weight * unit.max(0.0)).sum();
            probabilities.push(1.0 / (1.0 + (-sum - weights.output_bias).exp()));
        }
    }
}

/// Computes the part of the LSTM's gates that comes from the input, for `windows` windows side by side.
#[inline(always)]
fn encode<S: Simd>(simd: S, weights: &Weights, pending: &[f32], windows: usize, rows: &mut Rows) {
    let Rows { samples, spectrum, magnitudes, encoded: [first, second, third, fourth], gates } = rows;
    samples.clear();
    samples.resize(CONTEXT + WINDOW + CONTEXT, [0.0; LANES]);
    for lane in 0..windows {
        let window = &pending[lane * WINDOW..][..CONTEXT + WINDOW];
        for (row, sample) in samples.iter_mut().zip(window) {
            row[lane] = *sample;
        }
    }
    for after in 0..CONTEXT {
        samples[CONTEXT + WINDOW + after] = samples[CONTEXT + WINDOW - 2 - after];
    }

    let outputs = weights.spectrum.bias.len();
    spectrum.resize(FRAMES * outputs, [0.0; LANES]);
    for frame in 0..FRAMES {
        let input = &samples[frame * HOP..][..weights.spectrum.span];
        layer(simd, &weights.spectrum, 0, input, &mut spectrum[frame * outputs..][..outputs]);
    }
    magnitudes.resize(FRAMES * BINS, [0.0; LANES]);
    for frame in 0..FRAMES {
        let (real, imaginary) = spectrum[frame * outputs..][..2 * BINS].split_at(BINS);
        for ((magnitude, real), imaginary) in magnitudes[frame * BINS..][..BINS].iter_mut().zip(real).zip(imaginary) {
            let (real, imaginary) = (f32x16::from_slice(simd, real), f32x16::from_slice(simd, imaginary));
            (real * real + imaginary * imaginary).sqrt().store_slice(magnitude);
        }
    }

    let [w0, w1, w2, w3] = &weights.encoder;
    convolution(simd, w0, BINS, 1, magnitudes, first);
    convolution(simd, w1, 128, 2, first, second);
    convolution(simd, w2, 64, 2, second, third);
    convolution(simd, w3, 64, 1, third, fourth);
    gates.resize(4 * HIDDEN, [0.0; LANES]);
    layer(simd, &weights.gates, 0, fourth, gates);
}

/// A convolution over frames with three taps, one frame of padding at either end, and what is below 0 cut off.
#[inline(always)]
fn convolution<S: Simd>(simd: S, weights: &Layer, inputs: usize, stride: usize, input: &[Row], output: &mut Vec<Row>) {
    let frames = input.len() / inputs;
    let outputs = weights.bias.len();
    output.resize(((frames - 1) / stride + 1) * outputs, [0.0; LANES]);
    for (frame, output) in output.chunks_exact_mut(outputs).enumerate() {
        let center = frame * stride;
        let (first, last) = (center.saturating_sub(1), (center + 1).min(frames - 1));
        let tap = first + 1 - center;
        layer(simd, weights, tap * inputs, &input[first * inputs..(last + 1) * inputs], output);
        let zero = f32x16::splat(simd, 0.0);
        for row in output {
            f32x16::from_slice(simd, row).max(zero).store_slice(row);
        }
    }
}

/// `output = bias + weights * input`; `input` starts at the layer's row `from` and may end before its last.
#[inline(always)]
fn layer<S: Simd>(simd: S, layer: &Layer, from: usize, input: &[Row], output: &mut [Row]) {
    let blocks = layer.weights.chunks_exact(layer.span).zip(layer.bias.as_chunks::<BLOCK>().0);
    for ((weights, bias), output) in blocks.zip(output.as_chunks_mut::<BLOCK>().0) {
        let weights = &weights[from..from + input.len()];
        let mut sums = bias.map(|bias| f32x16::splat(simd, bias));
        for (weights, row) in weights.iter().zip(input) {
            let row = f32x16::from_slice(simd, row);
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = row.mul_add(f32x16::splat(simd, *weight), *sum);
            }
        }
        for (row, sum) in output.iter_mut().zip(sums) {
            sum.store_slice(row);
        }
    }
}

/// One step of the LSTM, for the window `lane` of the block.
#[inline(always)]
fn step<S: Simd>(simd: S, weights: &Weights, gates: &[Row], lane: usize, lstm: &mut Lstm) {
    let mut sums = [0.0; 4 * HIDDEN];
    for (sum, row) in sums.iter_mut().zip(gates) {
        *sum = row[lane];
    }
    for (sums, weights) in sums.as_chunks_mut::<GATE_BLOCK>().0.iter_mut().zip(weights.recurrent.chunks_exact(HIDDEN)) {
        let mut totals: [f32x16<S>; GATE_BLOCK / LANES] =
            std::array::from_fn(|part| f32x16::from_slice(simd, &sums[part * LANES..][..LANES]));
        for (unit, weights) in lstm.hidden.iter().zip(weights) {
            let unit = f32x16::splat(simd, *unit);
            for (total, weights) in totals.iter_mut().zip(weights.as_chunks::<LANES>().0) {
                *total = f32x16::from_slice(simd, weights).mul_add(unit, *total);
            }
        }
        for (sums, total) in sums.as_chunks_mut::<LANES>().0.iter_mut().zip(totals) {
            total.store_slice(sums);
        }
    }
    for first in (0..HIDDEN).step_by(LANES) {
        let gate = |number: usize| f32x16::from_slice(simd, &sums[number * HIDDEN + first..][..LANES]);
        let cell = &mut lstm.cell[first..][..LANES];
        let kept = sigmoid(simd, gate(2)) * f32x16::from_slice(simd, cell);
        let memory = sigmoid(simd, gate(0)).mul_add(tanh(simd, gate(3)), kept);
        memory.store_slice(cell);
        (sigmoid(simd, gate(1)) * tanh(simd, memory)).store_slice(&mut lstm.hidden[first..][..LANES]);
    }
}

/// `1 / (1 + exp(-values))`.
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, values: f32x16<S>) -> f32x16<S> {
    let one = f32x16::splat(simd, 1.0);
    one / (one + exp(simd, -values))
}

/// `tanh`, as `2 * sigmoid(2 * values) - 1`; within 2e-7.
#[inline(always)]
fn tanh<S: Simd>(simd: S, values: f32x16<S>) -> f32x16<S> {
    let twice = sigmoid(simd, values + values);
    twice + twice - f32x16::splat(simd, 1.0)
}

/// `exp` of values between -87 and 87, what is beyond cut off; relative error below 3e-7.
///
/// The power of two next to the value goes into the exponent bits; the rest, at most half of `ln 2`, into a
/// polynomial. Source: `expf` of the Cephes library.
#[inline(always)]
fn exp<S: Simd>(simd: S, values: f32x16<S>) -> f32x16<S> {
    let constant = |value: f32| f32x16::splat(simd, value);
    let values = values.min(constant(87.0)).max(constant(-87.0));
    let power = values.mul_add(constant(std::f32::consts::LOG2_E), constant(0.5)).floor();
    let rest = power.mul_add(constant(-0.693_359_4), values);
    let rest = power.mul_add(constant(2.121_944_4e-4), rest);
    let polynomial = [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5, 1.0, 1.0]
        .into_iter()
        .fold(constant(1.987_569_1e-4), |sum, factor| sum.mul_add(rest, constant(factor)));
    let bits = (power.to_int::<i32x16<S>>() + i32x16::splat(simd, 127)) << 23;
    polynomial * bits.bitcast::<f32x16<S>>()
}
