//! What must hold of a cache at any moment, looked at from outside: by names, bytes and coreutils.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::support::files_below;

/// Fails unless every blob has the digest of its name, every link of a snapshot leads to a blob, and every ref names
/// a snapshot. Gives the number of blobs.
#[track_caller]
pub(crate) fn audit(cache: &Path) -> usize {
    let mut blobs = 0;
    for repo in entries(cache) {
        if !name(&repo).starts_with("models--") {
            continue;
        }
        let found = entries(&repo.join("blobs"));
        blobs += found.len();
        assert_named_by_content(&found);
        for link in files_below(&repo.join("snapshots")) {
            let target = fs::canonicalize(&link).unwrap_or_else(|error| panic!("{}: {error}", link.display()));
            let true_blobs = fs::canonicalize(repo.join("blobs")).expect("a folder of blobs");
            assert!(target.starts_with(&true_blobs), "{} leads to {}", link.display(), target.display());
        }
        for reference in files_below(&repo.join("refs")) {
            let commit = fs::read_to_string(&reference).expect("a ref can be read");
            assert!(repo.join("snapshots").join(commit.trim()).is_dir(), "{} names no snapshot", reference.display());
        }
    }
    blobs
}

/// The entries of a quarantine, with their reasons.
pub(crate) fn quarantined(state: &Path) -> Vec<(PathBuf, serde_json::Value)> {
    let read = |entry: PathBuf| {
        let text = fs::read_to_string(entry.join("reason.json")).expect("an entry has a reason");
        (entry, serde_json::from_str(&text).expect("the reason is JSON"))
    };
    entries(&state.join("quarantine")).into_iter().map(read).collect()
}

/// The files directly in a folder; none when there is no folder.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

/// Hashes with other people's programs: `sha256sum`, and `sha1sum` after git's header.
#[track_caller]
fn assert_named_by_content(blobs: &[PathBuf]) {
    let (large, small): (Vec<_>, Vec<_>) = blobs.iter().partition(|blob| name(blob).len() == 64);
    if !large.is_empty() {
        let output = Command::new("sha256sum").args(&large).output().expect("sha256sum starts");
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(text.lines().count(), large.len(), "{text}");
        for (line, blob) in text.lines().zip(large) {
            assert_eq!(line.get(..64), Some(name(blob).as_str()), "the content of {} is another one", blob.display());
        }
    }
    for blob in small {
        assert_eq!(git_sha1(blob), name(blob), "the content of {} is another one", blob.display());
    }
}

/// What `git hash-object` says, without git.
fn git_sha1(blob: &Path) -> String {
    let script = r#"{ printf 'blob %s\0' "$(stat -c %s -- "$1")"; cat -- "$1"; } | sha1sum"#;
    let output = Command::new("sh").args(["-c", script, "sh"]).arg(blob).stderr(Stdio::inherit()).output();
    String::from_utf8(output.expect("sh starts").stdout).expect("text").chars().take(40).collect()
}
