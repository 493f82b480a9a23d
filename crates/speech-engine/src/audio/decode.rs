//! The entry: checks the bytes, decodes behind a wall for panics, and falls back to ffmpeg where that is allowed.

use std::fs::File;
use std::io::{Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::source::Source;
use super::{Audio, AudioError, DecodeOptions, demux, ffmpeg};
use crate::cancel::Cancel;

/// Decodes `source`, from its first byte to its last, to mono 16 kHz.
///
/// A seekable source is asked for because some files say at their end what is in them (MP4). A pipe is spooled first;
/// bytes in memory go in as a [`std::io::Cursor`].
///
/// Blocks its thread for seconds per hour of audio. `cancel` is looked at for each read and each packet.
///
/// # Errors
///
/// See [`AudioError`]; a panic of a decoder is [`AudioError::Damaged`].
pub fn decode<S>(source: S, options: &DecodeOptions, cancel: &Cancel) -> Result<Audio, AudioError>
where
    S: Read + Seek + Send + Sync,
{
    let mut source = Source::new(source, options.limits.max_bytes, cancel)?;
    let mut decoded = attempt(&mut source, options, cancel)?;
    if let Err(AudioError::Damaged { .. }) = decoded {
        source.rewind_to_stream()?;
        if let Ok(audio) = attempt(&mut source, options, cancel)? {
            decoded = Ok(Audio { truncated: true, ..audio });
        }
    }
    match (decoded, &options.ffmpeg) {
        (Err(AudioError::Unsupported { .. } | AudioError::Damaged { .. }), Some(program)) => {
            ffmpeg::decode(&mut source, program, options, cancel)
        }
        (decoded, _) => decoded,
    }
}

/// Decodes once. What comes from outside the audio is the outer error.
fn attempt<S>(
    source: &mut Source<S>,
    options: &DecodeOptions,
    cancel: &Cancel,
) -> Result<Result<Audio, AudioError>, AudioError>
where
    S: Read + Seek + Send + Sync,
{
    let fault = source.fault();
    // Nothing that the closure borrows is used again after a panic but `source`, which is then rewound.
    let decoded = catch_unwind(AssertUnwindSafe(|| demux::decode(source, options, cancel)))
        .unwrap_or_else(|panic| Err(AudioError::Damaged { source: panic_message(&*panic).into() }));
    // A demuxer that was refused a read may have called it the end of the file.
    match (cancel.reason(), fault.take()) {
        (Some(reason), _) => Err(AudioError::Canceled(reason)),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(decoded),
    }
}

/// [`decode`] for a file on disk.
///
/// # Errors
///
/// See [`AudioError`].
pub fn decode_file(path: &Path, options: &DecodeOptions, cancel: &Cancel) -> Result<Audio, AudioError> {
    decode(File::open(path).map_err(AudioError::Io)?, options, cancel)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("the decoder panicked: {}", text.unwrap_or("no message"))
}
