//! What a caller may choose about decoding.

use std::path::PathBuf;
use std::time::Duration;

/// How to decode. The default mixes all channels, within [`Limits::default`], without ffmpeg.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// What is refused.
    pub limits: Limits,
    /// Which channels are heard.
    pub channel: Channel,
    /// A fallback for formats that are not read here (WMA, AMR, AC-3, HE-AAC, ...); `None` refuses them.
    pub ffmpeg: Option<Ffmpeg>,
}

/// Bounds on what one file may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of the file.
    pub max_bytes: u64,
    /// Most decoded time.
    pub max_duration: Duration,
    /// Most channels.
    pub max_channels: usize,
    /// Highest sample rate, in Hz. The lowest is always [`Limits::MIN_SAMPLE_RATE`].
    pub max_sample_rate: u32,
}

impl Limits {
    /// Lowest sample rate that is decoded, in Hz: below it there is no speech.
    pub const MIN_SAMPLE_RATE: u32 = 2_000;
}

impl Default for Limits {
    /// 2 GiB, 12 hours, 32 channels, 384 kHz.
    fn default() -> Self {
        Self {
            max_bytes: 2 << 30,
            max_duration: Duration::from_secs(12 * 3600),
            max_channels: 32,
            max_sample_rate: 384_000,
        }
    }
}

/// Which channels of a file are heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Channel {
    /// All of them, weighted as swresample mixes to mono: for stereo the mean.
    #[default]
    Mix,
    /// One alone, counted from 0.
    One(usize),
}

/// An ffmpeg program to ask where no decoder of ours fits. It runs as a child process, gets the bytes on its standard
/// input, may open nothing but that, and is killed on cancel, at the limit on time and when the call ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ffmpeg {
    /// The program.
    pub program: PathBuf,
}
