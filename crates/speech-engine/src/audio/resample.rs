//! Sample rate conversion to 16 kHz, in chunks, without a shift.
//!
//! A bank of windowed sinc filters, one for each position that an output sample can have between two input samples.
//! The shape of the filter (32 zero crossings, cut off at 97 % of the lower rate, Kaiser window with beta 9) and the
//! mirrored edges are the defaults of libswresample, because that is what faster-whisper hears through: the same words
//! at the same times ask for the same samples, here to within two steps of 16 bits.
//!
//! Output sample `n` lies exactly at input position `n * rate / 16000`, so there is no delay to compensate.
//!
//! Source: <https://ffmpeg.org/ffmpeg-resampler.html> (`filter_size`, `phase_shift`, `cutoff`, `kaiser_beta`).

use super::SAMPLE_RATE;

/// Zero crossings of the filter at full bandwidth.
const FILTER_SIZE: f64 = 32.0;
/// Part of the lower rate's bandwidth that passes.
const CUTOFF: f64 = 0.97;
const KAISER_BETA: f64 = 9.0;
/// Most positions between two input samples; rates that would need more use the nearest one.
const MAX_PHASES: u64 = 1024;
/// Partial sums of a product, so that the compiler can use vector registers.
const LANES: usize = 8;

/// Rounds a float sample to 16 bits: halves up, clipped, and 0 for what is no number.
pub(crate) fn round(sample: f32) -> i16 {
    // A float-to-integer cast saturates, and takes NaN to 0.
    (sample * 32768.0 + 0.5).floor() as i16
}

/// Number of samples at 16 kHz for `samples` at `rate`: the end of the last one is not cut.
fn output_len(samples: u64, rate: u32) -> u64 {
    u64::try_from((u128::from(samples) * u128::from(SAMPLE_RATE)).div_ceil(u128::from(rate))).unwrap_or(u64::MAX)
}

/// Turns mono samples of one rate into 16 kHz, chunk by chunk.
#[derive(Debug)]
pub(crate) struct Resampler {
    rate: u32,
    /// Samples that came in.
    taken: u64,
    /// Samples that went out.
    given: u64,
    bank: Option<Bank>,
}

impl Resampler {
    /// `rate` in Hz, not 0.
    pub(crate) fn new(rate: u32) -> Self {
        let bank = (rate != SAMPLE_RATE).then(|| Bank::new(rate));
        Self { rate, taken: 0, given: 0, bank }
    }

    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes `input` and appends what can be said about it by now.
    pub(crate) fn push(&mut self, input: &[f32], output: &mut Vec<i16>) {
        self.taken += input.len() as u64;
        let before = output.len();
        match &mut self.bank {
            None => output.extend(input.iter().map(|&sample| round(sample))),
            Some(bank) => bank.push(input, u64::MAX, output),
        }
        self.given += (output.len() - before) as u64;
    }

    /// Appends the rest.
    pub(crate) fn finish(mut self, output: &mut Vec<i16>) {
        if let Some(bank) = &mut self.bank {
            bank.mirror_end();
            bank.push(&[], output_len(self.taken, self.rate) - self.given, output);
        }
    }
}

#[derive(Debug)]
struct Bank {
    /// Input samples per output sample, as a fraction in lowest terms.
    step: (u64, u64),
    phases: u64,
    /// Coefficients of one phase; a multiple of [`LANES`].
    taps: usize,
    /// Taps before the output sample.
    center: usize,
    /// `[phases + 1, taps]`: the last is the first one, a sample later.
    filters: Vec<f32>,
    /// Input that is still needed, from the first tap of the next output sample on; mirrored samples come first.
    buffer: Vec<f32>,
    mirrored: bool,
    /// How far the next output sample lies behind an input sample, in parts of `step.1`.
    offset: u64,
}

impl Bank {
    fn new(rate: u32) -> Self {
        let divisor = greatest_common_divisor(rate, SAMPLE_RATE);
        let step = (u64::from(rate / divisor), u64::from(SAMPLE_RATE / divisor));
        let phases = step.1.min(MAX_PHASES);
        let factor = (f64::from(SAMPLE_RATE) * CUTOFF / f64::from(rate)).min(1.0);
        let length = (FILTER_SIZE / factor).ceil() as usize;
        let (taps, center) = (length.next_multiple_of(LANES), (length - 1) / 2);
        let mut filters = Vec::with_capacity((phases as usize + 1) * taps);
        for phase in 0..=phases {
            let offset = center as f64 + phase as f64 / phases as f64;
            let row: Vec<f64> = (0..length).map(|tap| windowed_sinc(tap as f64 - offset, factor, length)).collect();
            // Each phase lets a constant through unchanged.
            let sum: f64 = row.iter().sum();
            filters.extend(row.iter().map(|value| (value / sum) as f32));
            filters.resize(filters.len() + taps - length, 0.0);
        }
        Self { step, phases, taps, center, filters, buffer: Vec::new(), mirrored: false, offset: 0 }
    }

    /// Appends at most `count` output samples, as far as the input reaches.
    fn push(&mut self, input: &[f32], count: u64, output: &mut Vec<i16>) {
        self.buffer.extend_from_slice(input);
        if !self.mirrored {
            if self.buffer.len() <= self.center {
                return;
            }
            self.mirror_start();
        }
        let (mut from, mut given) = (0, 0);
        while given < count {
            let Some(input) = self.buffer.get(from..from + self.taps) else { break };
            // With a phase for each offset, this is the offset itself; else the nearest phase.
            let phase = ((self.offset * self.phases + self.step.1 / 2) / self.step.1) as usize;
            output.push(round(dot(&self.filters[phase * self.taps..][..self.taps], input)));
            let place = self.offset + self.step.0;
            from += (place / self.step.1) as usize;
            self.offset = place % self.step.1;
            given += 1;
        }
        // A step is shorter than a filter, so `from` is at most the end of the last product.
        self.buffer.drain(..from);
    }

    /// Puts the first samples, mirrored, before the first one.
    fn mirror_start(&mut self) {
        let last = self.buffer.len() - 1;
        let head: Vec<f32> = (1..=self.center).rev().map(|index| self.buffer[index.min(last)]).collect();
        self.buffer.splice(..0, head);
        self.mirrored = true;
    }

    /// Puts the last samples, mirrored, behind the last one.
    fn mirror_end(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        if !self.mirrored {
            self.mirror_start();
        }
        let len = self.buffer.len();
        let tail: Vec<f32> = (0..self.taps).map(|index| self.buffer[len - 1 - index.min(len - 1)]).collect();
        self.buffer.extend(tail);
    }
}

fn dot(filter: &[f32], input: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (filter, input) = (filter.chunks_exact(LANES), input.chunks_exact(LANES));
    for (filter, input) in filter.zip(input) {
        for lane in 0..LANES {
            sums[lane] += filter[lane] * input[lane];
        }
    }
    sums.iter().sum()
}

/// The coefficient `distance` input samples from the output sample.
fn windowed_sinc(distance: f64, factor: f64, length: usize) -> f64 {
    let x = std::f64::consts::PI * distance * factor;
    let sinc = if x == 0.0 { 1.0 } else { x.sin() / x };
    let edge = 2.0 * distance / length as f64;
    sinc * bessel_i0(KAISER_BETA * (1.0 - edge * edge).max(0.0).sqrt())
}

/// The modified Bessel function of order 0, by its series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..64 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests;
