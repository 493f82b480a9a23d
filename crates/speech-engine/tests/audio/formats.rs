//! Every format is decoded to the same recording, whatever its container, codec, sample format, rate and channels.
//!
//! What needs an encoder lies in `data/formats` (`data/make-formats.py` makes it); WAV files are written here.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use speech_flow_speech_engine::audio::{Audio, AudioError, Channel, DecodeOptions, Limits, decode, decode_file};
use speech_flow_speech_engine::cancel::Cancel;

use crate::wav::{Format, Wav};

fn data(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/data/formats", name].iter().collect()
}

fn original() -> Vec<i16> {
    let bytes = std::fs::read(data("original.s16")).unwrap();
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn decoded(bytes: Vec<u8>) -> Result<Audio, AudioError> {
    decode(Cursor::new(bytes), &DecodeOptions::default(), &Cancel::new())
}

/// How much of `samples` is `original`: 1 is all, 0 nothing.
fn correlation(samples: &[i16], original: &[i16]) -> f64 {
    let pairs = || samples.iter().zip(original).map(|(&ours, &theirs)| (f64::from(ours), f64::from(theirs)));
    let (mut product, mut ours, mut theirs) = (0.0, 0.0, 0.0);
    for (a, b) in pairs() {
        product += a * b;
        ours += a * a;
        theirs += b * b;
    }
    product / (ours * theirs).sqrt()
}

/// Decodes the clip `name`; `tail` samples may follow the recording, which an encoder fills up its last frame with.
#[track_caller]
fn check_clip(name: &str, start: usize, tail: usize, least: f64) {
    let audio = decode_file(&data(name), &DecodeOptions::default(), &Cancel::new()).unwrap();
    let (samples, original) = (audio.samples(), original());
    assert!(!audio.truncated(), "{name} is whole");
    let surplus = samples.len() - start - original.len();
    assert!(surplus <= tail, "{surplus} samples follow the recording");
    let part = &samples[start..];
    if least == 1.0 {
        assert!(part[..original.len()] == original, "{name} is not the recording");
    } else {
        let correlation = correlation(part, &original);
        assert!(correlation > least, "correlation {correlation}");
    }
}

#[test]
fn lossless_formats_give_the_very_samples() {
    for name in ["alac.m4a", "pcm.aiff", "pcm.caf"] {
        check_clip(name, 0, 0, 1.0);
    }
}

#[test]
fn aac_is_read_from_every_container() {
    // An edit list takes out the encoder's warming up; where there is none, 1,024 samples of it are heard.
    check_clip("aac.adts", 1024, 1024, 0.98);
    check_clip("aac.mp4-with-video", 1024, 1024, 0.98);
    check_clip("aac.fragmented-mp4", 1024, 1024, 0.98);
}

#[test]
fn opus_is_read_from_every_container() {
    for name in ["opus.live-webm", "opus.mkv-with-video", "opus.mp4"] {
        check_clip(name, 0, 320, 0.98);
    }
}

#[test]
fn mp3_starts_and_ends_with_the_recording() {
    check_clip("mp3.22k-mp3", 0, 0, 0.98);
}

#[test]
fn adpcm_is_read() {
    check_clip("ms-adpcm.wav", 0, 1012, 0.98);
    check_clip("ima-adpcm.wav", 0, 1017, 0.98);
}

#[test]
fn a_codec_that_is_not_read_here_is_unsupported() {
    let error = decode_file(&data("ac3.mkv"), &DecodeOptions::default(), &Cancel::new()).unwrap_err();
    assert!(matches!(error, AudioError::Unsupported { .. }), "{error}");
}

#[test]
fn the_name_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording.mp3");
    std::fs::copy(data("pcm.aiff"), &path).unwrap();
    assert_eq!(decode_file(&path, &DecodeOptions::default(), &Cancel::new()).unwrap().samples(), original());
}

#[test]
fn every_sample_format_of_wav_is_read() {
    let original = original();
    let wav = Wav { rate: 16_000, channels: vec![original.clone()] };
    for format in [Format::S16, Format::S24, Format::S32, Format::F32, Format::F64] {
        let audio = decoded(wav.bytes(format)).unwrap();
        assert!(audio.samples() == original, "{format:?} changes samples");
        assert!(!audio.truncated());
    }
    for (format, greatest) in [(Format::U8, 256), (Format::MuLaw, 1024), (Format::ALaw, 1024)] {
        let audio = decoded(wav.bytes(format)).unwrap();
        let difference = audio.samples().iter().zip(&original).map(|(ours, theirs)| ours.abs_diff(*theirs)).max();
        assert!(difference < Some(greatest), "{format:?} differs by {difference:?}");
        assert!(correlation(audio.samples(), &original) > 0.98);
    }
}

#[test]
fn other_rates_keep_the_duration() {
    for rate in [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000] {
        let wav = Wav { rate, channels: vec![vec![1000; rate as usize / 2]] };
        let audio = decoded(wav.bytes(Format::S16)).unwrap();
        let difference = audio.duration().abs_diff(Duration::from_millis(500));
        assert!(difference <= Duration::from_micros(63), "{rate} Hz: {difference:?}");
        assert!(audio.samples().iter().all(|&sample| (999..=1001).contains(&sample)));
    }
}

#[test]
fn channels_are_mixed_or_chosen() {
    let (left, right) = (vec![1000; 800], vec![-400; 800]);
    let bytes = Wav { rate: 16_000, channels: vec![left, right] }.bytes(Format::S16);
    for (channel, expected) in [(Channel::Mix, 300), (Channel::One(0), 1000), (Channel::One(1), -400)] {
        let options = DecodeOptions { channel, ..DecodeOptions::default() };
        let audio = decode(Cursor::new(bytes.clone()), &options, &Cancel::new()).unwrap();
        assert_eq!(audio.samples(), vec![expected; 800], "{channel:?}");
    }
    let options = DecodeOptions { channel: Channel::One(2), ..DecodeOptions::default() };
    let error = decode(Cursor::new(bytes), &options, &Cancel::new()).unwrap_err();
    assert!(matches!(error, AudioError::NoSuchChannel { channel: 2, channels: 2 }), "{error}");
}

#[test]
fn what_is_no_audio_is_unsupported() {
    let text = "This is a letter, and no recording at all. ".repeat(4000);
    let pictures = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], b"GIF89a\x01\0\x01\0", b"%PDF-1.7\n", b"PK\x03\x04"];
    let zeros = vec![0; 100_000];
    for bytes in [text.as_bytes(), b"x", &zeros].into_iter().chain(pictures) {
        let error = decoded(bytes.to_vec()).unwrap_err();
        assert!(matches!(error, AudioError::Unsupported { .. }), "{error} for {:?}", &bytes[..bytes.len().min(8)]);
        assert!(error.hint().is_some());
    }
}

#[test]
fn nothing_is_empty() {
    let wav = Wav { rate: 16_000, channels: vec![vec![]] };
    for bytes in [vec![], wav.bytes(Format::S16)] {
        let error = decoded(bytes).unwrap_err();
        assert!(matches!(error, AudioError::Empty), "{error}");
    }
}

#[track_caller]
fn check_refused(bytes: Vec<u8>, limits: Limits, expected: fn(&AudioError) -> bool) {
    let options = DecodeOptions { limits, ..DecodeOptions::default() };
    let error = decode(Cursor::new(bytes), &options, &Cancel::new()).unwrap_err();
    assert!(expected(&error), "{error:?}");
}

#[test]
fn forged_headers_are_refused() {
    let wav = Wav { rate: 16_000, channels: vec![vec![1; 1600]] };
    for rate in [0, 1, 1_999, 384_001, 4_000_000_000] {
        let bytes = Wav { rate, ..wav.clone() }.bytes(Format::S16);
        check_refused(bytes, Limits::default(), |error| {
            matches!(error, AudioError::OutOfRange { what: "sample rate", .. } | AudioError::Damaged { .. })
        });
    }
    for channels in [0u16, 33, u16::MAX] {
        let mut bytes = wav.bytes(Format::S16);
        bytes[22..24].copy_from_slice(&channels.to_le_bytes());
        check_refused(bytes, Limits::default(), |error| {
            matches!(error, AudioError::OutOfRange { .. } | AudioError::Damaged { .. } | AudioError::Unsupported { .. })
        });
    }
}

#[test]
fn limits_hold() {
    let bytes = Wav { rate: 8_000, channels: vec![vec![0; 80_000]] }.bytes(Format::U8);
    let limits = Limits { max_duration: Duration::from_secs(10), ..Limits::default() };
    assert!(
        decode(Cursor::new(bytes.clone()), &DecodeOptions { limits, ..Default::default() }, &Cancel::new()).is_ok()
    );
    let limits = Limits { max_duration: Duration::from_millis(9_999), ..Limits::default() };
    check_refused(bytes.clone(), limits, |error| matches!(error, AudioError::TooLong { .. }));
    let limits = Limits { max_bytes: bytes.len() as u64 - 1, ..Limits::default() };
    check_refused(bytes.clone(), limits, |error| matches!(error, AudioError::TooLarge { .. }));
    let limits = Limits { max_sample_rate: 7_999, ..Limits::default() };
    check_refused(bytes.clone(), limits, |error| matches!(error, AudioError::OutOfRange { .. }));
    let limits = Limits { max_channels: 0, ..Limits::default() };
    check_refused(bytes, limits, |error| matches!(error, AudioError::OutOfRange { what: "channels", .. }));
}

#[test]
fn a_canceled_call_ends_with_its_reason() {
    let cancel = Cancel::new();
    cancel.cancel();
    for name in ["pcm.aiff", "opus.mp4", "original.s16"] {
        let error = decode_file(&data(name), &DecodeOptions::default(), &cancel).unwrap_err();
        assert!(matches!(error, AudioError::Canceled(_)), "{error}");
    }
    let missing = decode_file(Path::new("/nowhere"), &DecodeOptions::default(), &Cancel::new()).unwrap_err();
    assert!(matches!(missing, AudioError::Io(_)) && missing.is_transient());
}
