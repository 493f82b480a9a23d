//! Audio of any format: whatever is decoded keeps the limits, and what is not has a reason that can be shown.

#![no_main]

use std::io::Cursor;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_fit_to_show, assert_one_line, bounded};
use speech_flow_speech_engine::audio::{AudioError, Channel, DecodeOptions, Limits, decode};
use speech_flow_speech_engine::cancel::Cancel;

/// Samples of the longest result.
const MAX_SAMPLES: usize = 10 * 16_000;
/// What decoders may take: the codebooks of Vorbis are the most.
const DECODER_BYTES: usize = 80 << 20;

fuzz_target!(
    // The hook of the fuzzer ends the process at every panic, also at those of decoders, which are errors here. Without
    // it, a panic of ours still ends the process, one step later.
    init: drop(std::panic::take_hook()),
    |bytes: &[u8]| check(bytes)
);

fn check(bytes: &[u8]) {
    // The last byte chooses, so that a sound file stays a sound file.
    let channel = match bytes.last() {
        Some(1) => Channel::One(1),
        _ => Channel::Mix,
    };
    let limits = Limits { max_duration: Duration::from_secs(10), max_channels: 8, ..Limits::default() };
    let options = DecodeOptions { limits, channel, ffmpeg: None };
    let decoded = bounded(bytes.len() + DECODER_BYTES, 1, || decode(Cursor::new(bytes), &options, &Cancel::new()));
    match decoded {
        Ok(audio) => assert!((1..=MAX_SAMPLES).contains(&audio.samples().len())),
        Err(AudioError::Canceled(_)) => panic!("nobody canceled"),
        Err(AudioError::Io(error)) => panic!("memory does not fail: {error}"),
        Err(error) => {
            assert_fit_to_show(&error);
            error.hint().iter().for_each(|hint| assert_one_line(hint));
        }
    }
}
