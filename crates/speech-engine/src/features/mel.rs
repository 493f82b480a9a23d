//! The mel filter bank and the spectrum of one frame.

use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::whisper::N_FFT;
use crate::audio::SAMPLE_RATE;

/// Bins of a spectrum: 0 to 8 kHz in steps of 40 Hz.
const BINS: usize = N_FFT / 2 + 1;
/// 8 kHz on the mel scale below.
const MAX_MEL: f64 = 45.245640471924965;
/// Hz per mel in the linear part of the scale.
const LINEAR_STEP: f64 = 200.0 / 3.0;
/// Where the scale turns from linear to logarithmic, in Hz.
const LOG_START: f64 = 1000.0;
/// Octaves between 1 kHz and 6.4 kHz over the mels between them, natural logarithm.
const LOG_STEP: f64 = 27.0;

/// Window, transform and filters for one number of mel bins; made once per model, shared by all threads.
///
/// The filters are triangles of equal area on Slaney's mel scale, computed in f64 and kept as f32.
///
/// Source: `get_mel_filters` of faster-whisper's `feature_extractor.py`, which follows `librosa.filters.mel`.
pub struct LogMel {
    filters: Vec<Filter>,
    /// The weights of all filters, one after another.
    weights: Vec<f32>,
    window: Vec<f32>,
    /// In f64: beside a loud bin, the rounding of an f32 transform is more than a quiet bin holds.
    fft: Arc<dyn RealToComplex<f64>>,
}

/// One triangle: bins from `first` on, with `weights` of the shared vector.
struct Filter {
    first: usize,
    weights: std::ops::Range<usize>,
}

/// Memory for one frame after another.
pub(super) struct Frame {
    /// Windowed samples: `[N_FFT]`.
    pub(super) samples: Vec<f32>,
    input: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
    power: Vec<f32>,
}

impl LogMel {
    /// Filters for `n_mels` bins (80 or 128 for Whisper).
    pub fn new(n_mels: usize) -> Self {
        let (mut filters, mut weights) = (Vec::with_capacity(n_mels), Vec::new());
        let corners: Vec<f64> =
            (0..n_mels + 2).map(|index| hertz(MAX_MEL * index as f64 / (n_mels + 1) as f64)).collect();
        for corner in corners.windows(3) {
            let triangle: Vec<f32> = (0..BINS).map(|bin| triangle(corner, bin)).collect();
            let first = triangle.iter().position(|&weight| weight > 0.0).unwrap_or(0);
            let end = triangle.iter().rposition(|&weight| weight > 0.0).map_or(first, |last| last + 1);
            let start = weights.len();
            weights.extend_from_slice(&triangle[first..end]);
            filters.push(Filter { first, weights: start..weights.len() });
        }
        let window = (0..N_FFT)
            .map(|index| (0.5 - 0.5 * (std::f64::consts::TAU * index as f64 / N_FFT as f64).cos()) as f32)
            .collect();
        Self { filters, weights, window, fft: RealFftPlanner::new().plan_fft_forward(N_FFT) }
    }

    /// Number of mel bins.
    pub fn n_mels(&self) -> usize {
        self.filters.len()
    }

    /// Hann window: `[N_FFT]`.
    pub(super) fn window(&self) -> &[f32] {
        &self.window
    }

    pub(super) fn frame(&self) -> Frame {
        Frame {
            samples: vec![0.0; N_FFT],
            input: self.fft.make_input_vec(),
            spectrum: self.fft.make_output_vec(),
            scratch: self.fft.make_scratch_vec(),
            power: vec![0.0; BINS],
        }
    }

    /// Energies of the mel bins of `frame`, in order.
    pub(super) fn energies<'f>(&'f self, frame: &'f mut Frame) -> impl Iterator<Item = f32> + 'f {
        frame.input.iter_mut().zip(&frame.samples).for_each(|(input, &sample)| *input = f64::from(sample));
        self.fft
            .process_with_scratch(&mut frame.input, &mut frame.spectrum, &mut frame.scratch)
            .expect("all lengths are those of the plan");
        for (power, bin) in frame.power.iter_mut().zip(&frame.spectrum) {
            *power = bin.norm_sqr() as f32;
        }
        let power = &frame.power;
        self.filters.iter().map(move |filter| {
            let weights = &self.weights[filter.weights.clone()];
            weights.iter().zip(&power[filter.first..]).map(|(weight, power)| weight * power).sum()
        })
    }

    /// The most that a mel bin can have when the windowed samples have this `energy` (the sum of their squares).
    ///
    /// By Parseval's theorem the bins between the ends of the half spectrum sum up to at most half of `N_FFT` times
    /// the energy; the ends have no weight. A thousandth is added for rounding.
    pub(super) fn bound(&self, energy: f32) -> f32 {
        let heaviest = self.weights.iter().fold(0.0f32, |heaviest, &weight| heaviest.max(weight));
        1.001 * heaviest * (N_FFT / 2) as f32 * energy
    }
}

impl fmt::Debug for LogMel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LogMel").field("n_mels", &self.n_mels()).finish_non_exhaustive()
    }
}

fn hertz(mel: f64) -> f64 {
    let log_start = LOG_START / LINEAR_STEP;
    if mel < log_start { LINEAR_STEP * mel } else { LOG_START * (6.4f64.ln() / LOG_STEP * (mel - log_start)).exp() }
}

/// The weight of `bin` in the triangle over three `corners`.
fn triangle(corners: &[f64], bin: usize) -> f32 {
    let frequency = bin as f64 * f64::from(SAMPLE_RATE) / N_FFT as f64;
    let rising = (frequency - corners[0]) / (corners[1] - corners[0]);
    let falling = (corners[2] - frequency) / (corners[2] - corners[1]);
    (rising.min(falling).max(0.0) * 2.0 / (corners[2] - corners[0])) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_has_weight_and_none_at_the_ends_of_the_spectrum() {
        for n_mels in [80, 128] {
            let mel = LogMel::new(n_mels);
            assert_eq!(mel.n_mels(), n_mels);
            for filter in &mel.filters {
                assert!(!filter.weights.is_empty() && filter.first > 0);
                let last = filter.first + filter.weights.len() - 1;
                assert!(last < BINS - 1 || mel.weights[filter.weights.end - 1] < 1e-9);
            }
        }
    }

    #[test]
    fn no_bin_exceeds_the_bound() {
        let mel = LogMel::new(80);
        let mut frame = mel.frame();
        for bin in 1..BINS - 1 {
            let tone = |index: usize| (std::f32::consts::TAU * (bin * index) as f32 / N_FFT as f32).sin();
            frame.samples = (0..N_FFT).map(tone).collect();
            let energy: f32 = frame.samples.iter().map(|sample| sample * sample).sum();
            let loudest = mel.energies(&mut frame).fold(0.0, f32::max);
            assert!(loudest <= mel.bound(energy), "bin {bin}: {loudest} > {}", mel.bound(energy));
        }
    }
}
