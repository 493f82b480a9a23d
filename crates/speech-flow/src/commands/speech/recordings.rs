//! The recordings that were named.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use speech_flow_speech_engine::audio::{Audio, AudioError, DecodeOptions, decode, decode_file};
use speech_flow_speech_engine::cancel::Cancel;

use crate::report::Failure;

/// One recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recording {
    File(PathBuf),
    Stdin,
}

/// The recordings, none of them twice where that makes no sense.
pub(crate) fn recordings(files: &[PathBuf]) -> Result<Vec<Recording>, Failure> {
    let recording = |path: &PathBuf| {
        if path.as_os_str() == "-" { Recording::Stdin } else { Recording::File(path.clone()) }
    };
    let recordings: Vec<Recording> = files.iter().map(recording).collect();
    if recordings.iter().filter(|recording| **recording == Recording::Stdin).count() > 1 {
        return Err(Failure::usage("`-` is given twice", "standard input is one recording"));
    }
    Ok(recordings)
}

impl Recording {
    /// Its name, as it was typed.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "-".to_owned(),
        }
    }

    /// Its samples.
    pub(crate) fn read(&self, cancel: &Cancel) -> Result<Audio, Failure> {
        let options = DecodeOptions::default();
        let audio = match self {
            Self::File(path) if path.is_dir() => Err(AudioError::Io(io::ErrorKind::IsADirectory.into())),
            Self::File(path) => decode_file(path, &options, cancel),
            Self::Stdin => spooled(options.limits.max_bytes)
                .map_err(AudioError::Io)
                .and_then(|file| decode(file, &options, cancel)),
        };
        audio.map_err(|error| Failure::of_recording(&self.name(), error))
    }

    /// Its file name without an ending, for what is written about it.
    fn stem(&self) -> String {
        match self {
            Self::File(path) => path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            Self::Stdin => "stdin".to_owned(),
        }
    }
}

/// Standard input in a file without a name: decoders go back and forth in it. A byte more than is allowed is kept,
/// so that the decoder can say that it is too much.
fn spooled(max_bytes: u64) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut io::Read::take(io::stdin().lock(), max_bytes.saturating_add(1)), &mut file)?;
    Ok(file)
}

/// The file for each recording's result, in `folder`. No two results share one.
pub(crate) fn targets(recordings: &[Recording], folder: &Path, ending: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut takers: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut targets = Vec::with_capacity(recordings.len());
    for recording in recordings {
        let target = folder.join(format!("{}.{ending}", recording.stem()));
        if let Some(other) = takers.insert(target.clone(), recording.name()) {
            let (name, target) = (recording.name(), target.display());
            return Err(Failure::usage(
                format!("`{other}` and `{name}` would both be written to `{target}`"),
                "transcribe them in two calls, into two folders",
            ));
        }
        targets.push(target);
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<Recording> {
        recordings(&names.iter().map(PathBuf::from).collect::<Vec<_>>()).expect("recordings")
    }

    #[test]
    fn a_dash_is_standard_input_once() {
        assert_eq!(files(&["a.wav", "-"]), [Recording::File("a.wav".into()), Recording::Stdin]);
        recordings(&["-".into(), "-".into()]).expect_err("twice");
    }

    #[test]
    fn a_result_is_named_after_its_recording() {
        let recordings = files(&["x/a.b.wav", "-", "noending"]);
        let targets = targets(&recordings, Path::new("out"), "srt").expect("targets");
        assert_eq!(targets, [Path::new("out/a.b.srt"), Path::new("out/stdin.srt"), Path::new("out/noending.srt")]);
    }

    #[test]
    fn two_recordings_of_one_name_are_refused() {
        let failure = targets(&files(&["a.wav", "x/a.mp3"]), Path::new("out"), "srt").expect_err("one name");
        assert_eq!(failure.code(), 2);
    }
}
