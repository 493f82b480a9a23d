//! What holds whatever the program does: it gets the bytes, its output is bounded, and it ends with the call.
//!
//! The programs are shell scripts, because no ffmpeg is needed to build or test. Where one is installed, it is run too.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::*;

/// A program that does `script` and keeps its own process id in a file beside it.
fn program(folder: &Path, script: &str) -> Ffmpeg {
    let program = folder.join("ffmpeg");
    fs::write(&program, format!("#!/bin/sh\necho $$ > {}/pid\n{script}\n", folder.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Ffmpeg { program }
}

fn run(ffmpeg: Ffmpeg, options: DecodeOptions, cancel: &Cancel) -> Result<Audio, AudioError> {
    let options = DecodeOptions { ffmpeg: Some(ffmpeg), ..options };
    // No format of ours, so that the fallback is asked.
    crate::audio::decode(Cursor::new(b"some odd format".to_vec()), &options, cancel)
}

#[track_caller]
fn assert_gone(folder: &Path) {
    let pid = fs::read_to_string(folder.join("pid")).unwrap();
    assert!(!PathBuf::from(format!("/proc/{}", pid.trim())).exists(), "process {pid} is still there");
}

#[test]
fn the_bytes_go_in_and_samples_come_out() {
    let folder = tempfile::tempdir().unwrap();
    let audio = run(program(folder.path(), "exec cat"), DecodeOptions::default(), &Cancel::new()).unwrap();
    // An odd byte at the end is half a sample.
    let expected: Vec<i16> =
        b"some odd format".chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    assert_eq!(audio.samples(), expected);
    assert!(!audio.truncated());
    assert_gone(folder.path());
}

#[test]
fn endless_output_stops_at_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = DecodeOptions::default();
    options.limits.max_duration = Duration::from_secs(2);
    let error = run(program(folder.path(), "exec cat /dev/zero"), options, &Cancel::new()).unwrap_err();
    assert!(matches!(error, AudioError::TooLong { .. }), "{error}");
    assert_gone(folder.path());
}

#[test]
fn cancel_kills_it() {
    let folder = tempfile::tempdir().unwrap();
    let deadline = Cancel::with_deadline(Instant::now() + Duration::from_millis(100));
    let started = Instant::now();
    let error = run(program(folder.path(), "exec sleep 60"), DecodeOptions::default(), &deadline).unwrap_err();
    assert!(matches!(error, AudioError::Canceled(_)), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_gone(folder.path());
}

#[test]
fn its_complaint_is_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo 'pipe:0: Invalid data' >&2; exit 1";
    let error = run(program(folder.path(), script), DecodeOptions::default(), &Cancel::new()).unwrap_err();
    let AudioError::Unsupported { source: Some(cause) } = error else { panic!("{error}") };
    assert_eq!(cause.to_string(), "pipe:0: Invalid data");
}

#[test]
fn samples_before_a_failure_count_as_truncated() {
    let folder = tempfile::tempdir().unwrap();
    let audio = run(program(folder.path(), "printf abcd; exit 1"), DecodeOptions::default(), &Cancel::new()).unwrap();
    assert!(audio.truncated());
    assert_eq!(audio.samples().len(), 2);
}

#[test]
fn a_missing_program_leaves_the_format_unsupported() {
    let ffmpeg = Ffmpeg { program: "/nowhere/ffmpeg".into() };
    let error = run(ffmpeg, DecodeOptions::default(), &Cancel::new()).unwrap_err();
    let AudioError::Unsupported { source: Some(cause) } = error else { panic!("{error}") };
    assert!(cause.to_string().starts_with("`/nowhere/ffmpeg` could not be started"), "{cause}");
}

#[test]
fn a_real_one_decodes_as_we_do() {
    let found = ["/usr/bin/ffmpeg", "/usr/local/bin/ffmpeg"].into_iter().map(PathBuf::from).find(|path| path.exists());
    let Some(program) = found else {
        eprintln!("skipped: no ffmpeg is installed");
        return;
    };
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/audio/en09.44k-stereo.flac");
    let bytes = fs::read(clip).unwrap();
    let (options, cancel) = (DecodeOptions::default(), Cancel::new());
    let ours = crate::audio::decode(Cursor::new(bytes.clone()), &options, &cancel).unwrap();
    let mut source = Source::new(Cursor::new(bytes), u64::MAX, &cancel).unwrap();
    let theirs = decode(&mut source, &Ffmpeg { program }, &options, &cancel).unwrap();
    assert!(ours.samples().len().abs_diff(theirs.samples().len()) <= 1);
    let pairs = ours.samples().iter().zip(theirs.samples());
    assert!(pairs.map(|(ours, theirs)| ours.abs_diff(*theirs)).max() < Some(4));
}
