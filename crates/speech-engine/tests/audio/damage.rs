//! Whatever the bytes, a call ends soon with a result within its limits.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use speech_flow_speech_engine::audio::{Audio, AudioError, DecodeOptions, Limits, decode};
use speech_flow_speech_engine::cancel::Cancel;

use crate::wav::{Format, Wav};

/// One short clip of each format, by name.
static CLIPS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("tests/data/formats"), root.join("../../fixtures/audio")];
    let mut clips: Vec<(String, Vec<u8>)> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .filter(|(name, _)| !name.ends_with(".s16") && !name.ends_with(".json") && !name.starts_with("ac3"))
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .filter(|(_, bytes)| bytes.len() < 90_000)
        .collect();
    clips.sort();
    clips
});

fn clip(name: &str) -> Vec<u8> {
    CLIPS.iter().find(|(clip, _)| clip == name).unwrap().1.clone()
}

fn decoded(bytes: Vec<u8>) -> Result<Audio, AudioError> {
    decode(Cursor::new(bytes), &DecodeOptions::default(), &Cancel::new())
}

/// A clip that is cut in the middle gives about half of it, and says so where a file can tell.
#[track_caller]
fn check_cut(name: &str, tells: bool) {
    let bytes = clip(name);
    let whole = decoded(bytes.clone()).unwrap();
    let part = decoded(bytes[..bytes.len() / 2].to_vec()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (whole, samples) = (whole.samples(), part.samples());
    // Half of a bit rate that varies is not half of the time, and Ogg comes in pages of up to a second.
    assert!(samples.len() > whole.len() / 4 && samples.len() < whole.len() * 2 / 3, "{} samples", samples.len());
    assert_eq!(part.truncated(), tells);
    // What is there is what was recorded. (The last packet may fade.)
    let sound = samples.len() - 2000.min(samples.len());
    assert!(samples[..sound] == whole[..sound], "{name} changes when it is cut");
}

#[test]
fn cut_files_give_what_is_there() {
    for name in
        ["aac.adts", "de02.webm", "en04.flac", "en05.wav", "en06.mp3", "en07.ogg", "opus.mkv-with-video", "pcm.aiff"]
    {
        check_cut(name, true);
    }
    // A live recording looks like this while it goes on.
    check_cut("opus.live-webm", false);
}

#[test]
fn a_file_without_its_index_is_damaged() {
    for name in ["es02.m4a", "pcm.caf"] {
        let bytes = clip(name);
        let error = decoded(bytes[..bytes.len() / 2].to_vec()).unwrap_err();
        assert!(matches!(error, AudioError::Damaged { .. }), "{name}: {error}");
    }
}

#[test]
fn a_length_that_was_not_known_is_no_damage() {
    let mut bytes = Wav { rate: 16_000, channels: vec![vec![5; 1600]] }.bytes(Format::S16);
    for at in [4, 40] {
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    }
    let audio = decoded(bytes).unwrap();
    assert_eq!((audio.samples().len(), audio.truncated()), (1600, false));
}

/// FLAC of `frames` frames, each 65,535 samples of silence in some 15 bytes.
fn flac_bomb(frames: u32) -> Vec<u8> {
    let mut bytes = b"fLaC\x80\0\0\x22\xff\xff\xff\xff\0\0\0\0\0\0".to_vec();
    // 16 kHz, 1 channel, 16 bits, unknown length, no checksum of the whole.
    bytes.extend([0x03, 0xe8, 0x00, 0xf0, 0, 0, 0, 0]);
    bytes.extend([0; 16]);
    for number in 0..frames {
        let mut frame = vec![0xff, 0xf8, 0x75, 0x08];
        frame.extend(char::from_u32(number).unwrap().to_string().as_bytes());
        frame.extend([0xff, 0xfe]);
        frame.push(crc(&frame, 8, 0x07) as u8);
        // One constant for all samples.
        frame.extend([0, 0, 0]);
        frame.extend(crc(&frame, 16, 0x8005).to_be_bytes());
        bytes.extend(frame);
    }
    bytes
}

fn crc(bytes: &[u8], width: u32, polynomial: u16) -> u16 {
    let mask = u16::MAX >> (16 - width);
    bytes.iter().fold(0u16, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << (width - 8)), |crc, _| {
            let carry = crc >> (width - 1) & 1;
            (crc << 1 & mask) ^ (carry * polynomial)
        })
    })
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let minute = decoded(flac_bomb(14)).unwrap();
    assert_eq!(minute.samples(), vec![0; 14 * 65_535]);
    let bomb = flac_bomb(40_000);
    assert!(bomb.len() < 700_000, "45 hours in {} bytes", bomb.len());
    let limits = Limits { max_duration: Duration::from_secs(600), ..Limits::default() };
    let options = DecodeOptions { limits, ..DecodeOptions::default() };
    let error = decode(Cursor::new(bomb), &options, &Cancel::new()).unwrap_err();
    assert!(matches!(error, AudioError::TooLong { .. }), "{error}");
}

/// Limits that are tight, so that a test sees whether they hold.
fn tight() -> DecodeOptions {
    let limits = Limits { max_duration: Duration::from_secs(4), max_bytes: 100_000, ..Limits::default() };
    DecodeOptions { limits, ..DecodeOptions::default() }
}

fn check_bounds(result: Result<Audio, AudioError>) -> Result<(), TestCaseError> {
    match result {
        Ok(audio) => prop_assert!(!audio.is_empty() && audio.duration() <= Duration::from_secs(4)),
        Err(AudioError::Io(error)) => prop_assert!(false, "memory does not fail: {error}"),
        Err(AudioError::Canceled(_)) => prop_assert!(false, "nobody canceled"),
        Err(_) => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn random_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
        check_bounds(decode(Cursor::new(bytes), &tight(), &Cancel::new()))?;
    }

    #[test]
    fn mutated_clips_are_survived(
        clip in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((0u32..4000, any::<u8>()), 0..8),
        anywhere in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = CLIPS[clip.index(CLIPS.len())].1.clone();
        let len = bytes.len();
        // Most of what can go wrong is in the headers.
        changes.iter().for_each(|&(at, byte)| bytes[at as usize % len] = byte);
        anywhere.iter().for_each(|(at, byte)| bytes[at.index(len)] = *byte);
        bytes.truncate(len / 2 + cut.index(len / 2 + 1));
        check_bounds(decode(Cursor::new(bytes), &tight(), &Cancel::new()))?;
    }

    #[test]
    fn headers_of_wav_may_say_anything(head in proptest::collection::vec(any::<u8>(), 28), len in 0usize..3000) {
        let mut bytes = Wav { rate: 16_000, channels: vec![vec![77; len]] }.bytes(Format::S16);
        // From the format tag to the length of the data.
        bytes[20..36].copy_from_slice(&head[..16]);
        bytes[40..44].copy_from_slice(&head[16..20]);
        check_bounds(decode(Cursor::new(bytes), &tight(), &Cancel::new()))?;
    }
}
