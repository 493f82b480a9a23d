//! Any audio file in, mono 16 kHz samples out, within limits.
//!
//! ```text
//! bytes -> probe -> packets -> decoder -> f32 frames -> mix -> resample -> round -> i16
//!          `demux`                                     `mix`  `resample`
//! ```
//!
//! The content decides the format, never a name. Everything after the bytes runs packet by packet, so memory holds the
//! i16 result (115 MB an hour), one packet, and the few milliseconds in the resampler.
//!
//! Samples are rounded to 16 bits because the models' reference does: what it hears is a multiple of 1/32768.
//!
//! **What is done with damage.** A packet that does not decode is skipped, as ffmpeg does. A file that ends early gives
//! what is there, with [`Audio::truncated`] set. A file of which nothing decodes, or less than half of the packets, is
//! [`AudioError::Damaged`].
//!
//! **What hostile input can do.** Bytes, duration, channels, sample rate, packet sizes and codebooks have limits,
//! checked before anything is allocated for them and again while decoding: a header is a claim. No more than 64 MiB are
//! read for one packet or one header. A panic of a decoder is caught and counts as damage. (The panic hook of the
//! process still hears of it.)

mod decode;
mod demux;
mod error;
mod ffmpeg;
mod matroska;
mod mix;
mod mp4;
mod options;
mod resample;
mod source;
mod vorbis;

use std::ops::Range;
use std::time::Duration;

pub use decode::{decode, decode_file};
pub use error::AudioError;
pub use options::{Channel, DecodeOptions, Ffmpeg, Limits};

/// Samples a second of all audio behind the decoder.
pub const SAMPLE_RATE: u32 = 16_000;

/// Mono audio at 16 kHz.
///
/// Invariant: made only by [`decode`] and from samples that are at 16 kHz already, so nobody gives a model another
/// rate or two channels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audio {
    samples: Vec<i16>,
    truncated: bool,
}

impl Audio {
    /// Audio of samples that are mono at 16 kHz.
    pub fn from_samples(samples: Vec<i16>) -> Self {
        Self { samples, truncated: false }
    }

    /// Audio of float samples that are mono at 16 kHz; 1.0 is full scale, what is beyond it is clipped.
    pub fn from_f32(samples: &[f32]) -> Self {
        Self::from_samples(samples.iter().map(|&sample| resample::round(sample)).collect())
    }

    /// The samples; full scale is 32768.
    pub fn samples(&self) -> &[i16] {
        &self.samples
    }

    /// The samples of `range` (in samples, cut to what there is) as models take them: divided by 32768.
    pub fn samples_f32(&self, range: Range<usize>) -> Vec<f32> {
        self.part(range).iter().map(|&sample| to_f32(sample)).collect()
    }

    /// A copy of `range` (in samples, cut to what there is).
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        Self { samples: self.part(range).to_vec(), truncated: self.truncated }
    }

    /// Length in time.
    pub fn duration(&self) -> Duration {
        duration_of(self.samples.len())
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Whether the file ended before its own header or structure says it does.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    fn part(&self, range: Range<usize>) -> &[i16] {
        let end = range.end.min(self.samples.len());
        &self.samples[range.start.min(end)..end]
    }
}

/// A sample as models take it: full scale is 1.0.
pub(crate) fn to_f32(sample: i16) -> f32 {
    f32::from(sample) / 32768.0
}

/// Time that `samples` at 16 kHz last.
pub(crate) fn duration_of(samples: usize) -> Duration {
    Duration::from_nanos(samples as u64 * (1_000_000_000 / u64::from(SAMPLE_RATE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_beyond_the_end_is_cut() {
        let audio = Audio::from_samples(vec![1, 2, 3]);
        assert_eq!(audio.slice(1..9).samples(), [2, 3]);
        assert_eq!(audio.slice(5..9).samples(), [0; 0]);
        assert_eq!(audio.samples_f32(0..1), [1.0 / 32768.0]);
    }

    #[test]
    fn floats_are_rounded_and_clipped() {
        let audio = Audio::from_f32(&[0.0, 1.0, -1.0, 7.5, -7.5, 0.4 / 32768.0, 0.6 / 32768.0, f32::NAN]);
        assert_eq!(audio.samples(), [0, 32767, -32768, 32767, -32768, 0, 1, 0]);
    }

    #[test]
    fn a_sample_lasts_a_sixteenth_of_a_millisecond() {
        assert_eq!(Audio::from_samples(vec![0; 16]).duration(), Duration::from_millis(1));
        assert_eq!(duration_of(3600 * 16_000), Duration::from_secs(3600));
    }
}
