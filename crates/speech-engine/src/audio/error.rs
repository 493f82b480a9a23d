//! What can be wrong with audio, by what the caller does next.

use std::borrow::Cow;
use std::time::Duration;

use crate::cancel::CancelReason;

/// A cause from inside a decoder; its type is nobody's contract.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Audio was not decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// There are no bytes, or no samples in them. Send a recording.
    #[error("the audio is empty")]
    Empty,
    /// Not audio, or a format or codec that is not read here. Send another format. (415)
    #[error("the audio format is not supported")]
    Unsupported {
        /// What the decoder said, where one was found.
        #[source]
        source: Option<Cause>,
    },
    /// A known format whose content makes no sense. Send it again, or whole. (400)
    #[error("the audio is damaged")]
    Damaged {
        /// What the decoder said.
        #[source]
        source: Cause,
    },
    /// A value of the header lies outside the limits, such as a forged sample rate or 500 channels. (400)
    #[error("the audio has {what} `{value}`; from {minimum} to {maximum} is possible")]
    OutOfRange {
        /// Which value, e.g. `sample rate`.
        what: &'static str,
        /// What the file says.
        value: u64,
        /// Smallest value that is decoded.
        minimum: u64,
        /// Largest value that is decoded.
        maximum: u64,
    },
    /// The chosen channel is not in the file. Choose another. (400)
    #[error("the audio has no channel `{channel}`, it has {channels}")]
    NoSuchChannel {
        /// The channel asked for, counted from 0.
        channel: usize,
        /// Channels of the file.
        channels: usize,
    },
    /// More audio than the limit; decoding stopped there. (413)
    #[error("the audio is longer than `{}` seconds", .limit.as_secs_f64())]
    TooLong {
        /// The limit on decoded time.
        limit: Duration,
    },
    /// More bytes than the limit; nothing was decoded. (413)
    #[error("the audio has `{bytes}` bytes, more than `{limit}`")]
    TooLarge {
        /// Bytes of the source.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The work was stopped.
    #[error("decoding was stopped: {}", match .0 {
        CancelReason::Canceled => "nobody waits for it",
        CancelReason::DeadlinePassed => "its deadline has passed",
    })]
    Canceled(CancelReason),
    /// The source could not be read; nothing is known about the audio.
    #[error("the audio could not be read")]
    Io(#[source] std::io::Error),
}

impl AudioError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Io(_))
    }

    /// One thing to do about it.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Empty => Some("check that the recording was finished before it was sent".into()),
            Self::Unsupported { .. } => {
                Some("send WAV, FLAC, MP3, MP4/M4A (AAC or ALAC), Ogg (Vorbis or Opus) or WebM".into())
            }
            Self::Damaged { .. } | Self::OutOfRange { .. } => {
                Some("convert it anew, e.g. with `ffmpeg -i FILE -ac 1 -ar 16000 OUT.flac`".into())
            }
            Self::NoSuchChannel { .. } => Some("leave the channel out to mix all channels".into()),
            Self::TooLong { .. } => Some("cut the audio into parts".into()),
            Self::TooLarge { .. } => Some("send a compressed format, such as Opus or FLAC".into()),
            Self::Canceled(_) | Self::Io(_) => None,
        }
    }
}
