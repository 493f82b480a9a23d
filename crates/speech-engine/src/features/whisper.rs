//! The log-mel spectrogram of a clip, window by window.

use super::LogMel;
use super::mel::Frame;
use crate::audio::{Audio, to_f32};

/// Samples between two frames: 10 ms.
pub const HOP: usize = 160;
/// Samples that one frame looks at: 25 ms.
pub const N_FFT: usize = 400;
/// Frames of the encoder's input: 30 s.
pub const WINDOW_FRAMES: usize = 3000;

/// Silence that is added to the end of a clip, in samples.
const TAIL: usize = 160;
/// Mirrored samples before the first and after the last one.
const EDGE: usize = N_FFT / 2;
/// Energies below this count as this.
const LEAST_ENERGY: f32 = 1e-10;
/// What lies this much below the loudest bin of the clip is lifted to there, in powers of ten.
const RANGE: f32 = 8.0;

/// Mono samples at 16 kHz, from the decoder or put together from parts of it.
#[derive(Debug, Clone, Copy)]
pub enum Samples<'a> {
    /// Full scale is 32768.
    I16(&'a [i16]),
    /// Full scale is 1.0.
    F32(&'a [f32]),
}

impl Samples<'_> {
    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::I16(samples) => samples.len(),
            Self::F32(samples) => samples.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sample at `index`, silence behind the end.
    fn at(&self, index: usize) -> f32 {
        match self {
            Self::I16(samples) => samples.get(index).map_or(0.0, |&sample| to_f32(sample)),
            Self::F32(samples) => samples.get(index).copied().unwrap_or(0.0),
        }
    }
}

impl<'a> From<&'a Audio> for Samples<'a> {
    fn from(audio: &'a Audio) -> Self {
        Self::I16(audio.samples())
    }
}

impl<'a> From<&'a [i16]> for Samples<'a> {
    fn from(samples: &'a [i16]) -> Self {
        Self::I16(samples)
    }
}

impl<'a> From<&'a [f32]> for Samples<'a> {
    fn from(samples: &'a [f32]) -> Self {
        Self::F32(samples)
    }
}

/// The spectrogram of one clip, equal to what faster-whisper computes for the whole clip at once.
///
/// All values are relative to the loudest bin of the clip, so that one is found first. Nothing else is kept: a window
/// is computed when it is asked for, and an hour of audio costs no memory but its samples.
///
/// Source: `FeatureExtractor.__call__` of faster-whisper's `feature_extractor.py`.
#[derive(Debug)]
pub struct WhisperFeatures<'a> {
    mel: &'a LogMel,
    samples: Samples<'a>,
    /// The least value of this clip, as a power of ten.
    floor: f32,
}

impl<'a> WhisperFeatures<'a> {
    /// Goes through the clip once for its loudest bin.
    pub fn new(mel: &'a LogMel, samples: impl Into<Samples<'a>>) -> Self {
        let samples = samples.into();
        let loudest = loudest_energy(mel, samples).max(LEAST_ENERGY);
        Self { mel, samples, floor: loudest.log10() - RANGE }
    }

    /// Frames of the whole clip: one per 10 ms, and one more, which faster-whisper does not count as content.
    pub fn frames(&self) -> usize {
        frames_of(self.samples)
    }

    /// Number of mel bins: the rows of a window.
    pub fn n_mels(&self) -> usize {
        self.mel.n_mels()
    }

    /// Frames `start..start + frames`, cut to what the clip has: `[n_mels, frames]`, row-major.
    pub fn window(&self, start: usize, frames: usize) -> Vec<f32> {
        let frames = frames.min(self.frames().saturating_sub(start));
        let mut window = vec![0.0; self.n_mels() * frames];
        self.fill(start, frames, frames, &mut window);
        window
    }

    /// [`WhisperFeatures::window`] filled up with zeros, or cut, to `width` frames, 3,000 for the encoder's 30 s:
    /// `[n_mels, width]`, row-major.
    pub fn padded_window(&self, start: usize, frames: usize, width: usize) -> Vec<f32> {
        let frames = frames.min(self.frames().saturating_sub(start)).min(width);
        let mut window = vec![0.0; self.n_mels() * width];
        self.fill(start, frames, width, &mut window);
        window
    }

    /// Writes `frames` columns into rows of length `width`.
    fn fill(&self, start: usize, frames: usize, width: usize, window: &mut [f32]) {
        let mut frame = self.mel.frame();
        // Below this energy the value is the floor, and needs no logarithm. (A little less, for rounding.)
        let least = LEAST_ENERGY.max(0.999 * 10f32.powf(self.floor));
        let lowest = (self.floor.max(LEAST_ENERGY.log10()) + 4.0) / 4.0;
        for column in 0..frames {
            load(self.mel, self.samples, start + column, &mut frame);
            for (row, energy) in self.mel.energies(&mut frame).enumerate() {
                window[row * width + column] =
                    if energy > least { (energy.log10().max(self.floor) + 4.0) / 4.0 } else { lowest };
            }
        }
    }
}

/// Cuts or fills `[rows, n]` with zeros to `[rows, length]`, both row-major.
///
/// Source: `pad_or_trim` of faster-whisper's `audio.py`.
pub fn pad_or_trim(features: &[f32], rows: usize, length: usize) -> Vec<f32> {
    let frames = features.len().checked_div(rows).unwrap_or(0);
    let kept = frames.min(length);
    let mut padded = vec![0.0; rows * length];
    for row in 0..rows {
        padded[row * length..][..kept].copy_from_slice(&features[row * frames..][..kept]);
    }
    padded
}

fn frames_of(samples: Samples<'_>) -> usize {
    (samples.len() + TAIL) / HOP
}

/// The greatest energy of any mel bin in the clip.
///
/// A frame that is too quiet to have it, however its energy is spread, is not transformed: in speech, most are not.
fn loudest_energy(mel: &LogMel, samples: Samples<'_>) -> f32 {
    let mut frame = mel.frame();
    let per_energy = mel.bound(1.0);
    let mut loudest = 0.0f32;
    for index in 0..frames_of(samples) {
        load(mel, samples, index, &mut frame);
        let energy = sum_of_squares(&frame.samples);
        if energy * per_energy > loudest {
            loudest = mel.energies(&mut frame).fold(loudest, f32::max);
        }
    }
    loudest
}

/// Puts the windowed samples of frame `index` into `frame`.
fn load(mel: &LogMel, samples: Samples<'_>, index: usize, frame: &mut Frame) {
    let center = index * HOP;
    let target = frame.samples.iter_mut().zip(mel.window());
    match (center.checked_sub(EDGE), samples) {
        (Some(start), Samples::I16(samples)) if start + N_FFT <= samples.len() => {
            target.zip(&samples[start..]).for_each(|((value, window), &sample)| *value = to_f32(sample) * window);
        }
        (Some(start), Samples::F32(samples)) if start + N_FFT <= samples.len() => {
            target.zip(&samples[start..]).for_each(|((value, window), &sample)| *value = sample * window);
        }
        // At the ends, with silence and mirrored samples.
        _ => {
            let len = samples.len() + TAIL;
            for (offset, (value, window)) in target.enumerate() {
                *value = samples.at(mirrored((center + offset).abs_diff(EDGE), len)) * window;
            }
        }
    }
}

/// The place that is seen at `distance` from the start of `len` places between two mirrors, neither end doubled.
fn mirrored(distance: usize, len: usize) -> usize {
    let period = 2 * (len - 1);
    let place = distance % period;
    place.min(period - place)
}

fn sum_of_squares(values: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    for values in values.chunks_exact(8) {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value * value);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests;
