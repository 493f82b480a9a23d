//! What was found out about a folder, remembered by the identity of its files.
//!
//! A warm start then opens no big file: it lists the folder, asks for each file's identity and reads one small
//! JSON. The identity is inode, length and both times, so a file that was written again or replaced is
//! checked anew; the device is left out, since each mount of a shared volume has another. It is a memory, not a proof: `verify --full` ignores it. Losing it in a crash costs one
//! check, so nothing is synced; one that cannot be read counts as none.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use speech_flow_model_types::ModelKind;

use super::{Folder, Invalid, Problem, Validated, validate};

/// Raised when a check changes, so that folders that an older version passed are checked again.
const VERSION: u32 = 1;
/// Longest memory that is read.
const MAX_MEMORY: u64 = 1 << 20;

/// The identity of every file at a folder's top.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fingerprint {
    files: Vec<Identity>,
}

/// The identity of one file; of a symlink, that of the file behind it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Identity {
    name: String,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Memory {
    version: u32,
    folder: PathBuf,
    asked: Option<ModelKind>,
    fingerprint: Fingerprint,
    validated: Validated,
}

impl Fingerprint {
    /// The fingerprint of a folder.
    ///
    /// # Errors
    /// [`Invalid`] for a folder or file that cannot be looked at, such as a dangling link.
    pub fn of(folder: &Path) -> Result<Self, Invalid> {
        let listed = Folder::list(folder)?;
        let files = listed.names().map(|name| Identity::of(folder, name)).collect::<Result<_, _>>()?;
        Ok(Self { files })
    }
}

impl Identity {
    fn of(folder: &Path, name: &str) -> Result<Self, Invalid> {
        let metadata = folder.join(name).metadata().map_err(|error| {
            let absent = error.kind() == io::ErrorKind::NotFound;
            Invalid::new(name, if absent { Problem::Missing } else { Problem::Unreadable(error) })
        })?;
        Ok(Self {
            name: name.to_owned(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// [`validate`], unless the same files passed before. `memory` is a folder of ours in the state folder; it is
/// made when something is to be remembered.
///
/// # Errors
/// As [`validate`]. A memory that cannot be read or written is no error: the check is only done again.
pub fn validate_remembered(folder: &Path, kind: Option<ModelKind>, memory: &Path) -> Result<Validated, Invalid> {
    // Taken before the check: a file that changes during it has another fingerprint next time.
    let fingerprint = Fingerprint::of(folder)?;
    if let Some(validated) = remembered(folder, kind, &fingerprint, memory) {
        return Ok(validated);
    }
    let validated = validate(folder, kind)?;
    let entry =
        Memory { version: VERSION, folder: folder.to_owned(), asked: kind, fingerprint, validated: validated.clone() };
    if let Err(error) = store(&entry, memory) {
        tracing::debug!(error = %error, "validation is not remembered");
    }
    Ok(validated)
}

/// What is remembered of a folder whose files have this fingerprint; writes nothing.
pub fn remembered(
    folder: &Path,
    kind: Option<ModelKind>,
    fingerprint: &Fingerprint,
    memory: &Path,
) -> Option<Validated> {
    let path = path_of(folder, kind, memory);
    // Opening a pipe that another user put there would wait for its other end.
    let length = path.metadata().ok().filter(fs::Metadata::is_file)?.len().min(MAX_MEMORY);
    // With room for all of it, it is read in one call.
    let mut text = Vec::with_capacity(length as usize + 64);
    fs::File::open(&path).ok()?.take(MAX_MEMORY).read_to_end(&mut text).ok()?;
    let entry: Memory = serde_json::from_slice(&text).ok()?;
    let same = entry.version == VERSION && entry.folder == folder && entry.asked == kind;
    (same && entry.fingerprint == *fingerprint).then_some(entry.validated)
}

/// One file for each folder and asked kind; the name is a hash, so that any path has one.
fn path_of(folder: &Path, kind: Option<ModelKind>, memory: &Path) -> PathBuf {
    let mut hasher = Sha256::new();
    hasher.update(folder.as_os_str().as_encoded_bytes());
    hasher.update([0]);
    hasher.update(kind.map_or("", ModelKind::as_str));
    let name: String = hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    memory.join(format!("{name}.json"))
}

fn store(entry: &Memory, memory: &Path) -> io::Result<()> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(memory)?;
    let path = path_of(&entry.folder, entry.asked, memory);
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let staged = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
    let text = serde_json::to_vec(entry)?;
    let written = fs::File::create_new(&staged).and_then(|mut file| file.write_all(&text));
    let published = written.and_then(|()| fs::rename(&staged, &path));
    if published.is_err() {
        let _ = fs::remove_file(&staged);
    }
    published
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pipe_in_place_of_the_memory_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = tempfile::tempdir().expect("a folder");
        let path = path_of(folder.path(), None, memory.path());
        assert!(Command::new("mkfifo").arg(&path).status().expect("runs").success());
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let fingerprint = Fingerprint::of(folder.path()).expect("lists");
            sender.send(remembered(folder.path(), None, &fingerprint, memory.path()))
        });
        assert_eq!(receiver.recv_timeout(Duration::from_secs(20)).expect("it waits for the pipe"), None);
    }
}
