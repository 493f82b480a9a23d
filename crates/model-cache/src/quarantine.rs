//! Where wrong bytes go: out of every reader's way, with the reason.
//!
//! The reason is always kept, for a person to read. The bytes are kept only while the quarantine is
//! small, and never under a name that a reader looks for.

use std::fs::{self, Metadata};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use speech_flow_model_types::{CommitHash, Digest, RemoteFile, RepoId};

use crate::cache::Cache;
use crate::error::CacheError;
use crate::layout::Layout;
use crate::state_files::folder_entries;
use crate::verify::{FileVerdict, Mismatch, verify_file};
use crate::volume;

/// Bytes that the quarantine keeps in all.
const MAX_DATA_BYTES: u64 = 4 << 30;
/// Entries that the quarantine keeps; the oldest go first.
const MAX_ENTRIES: usize = 64;

/// Why something is in quarantine: `reason.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineReason {
    /// The repository.
    pub repo: String,
    /// The file in it.
    pub file: String,
    /// What its bytes should be.
    pub expected: Digest,
    /// How many they should be.
    pub expected_size: u64,
    /// What they are; `None` when the length alone showed it.
    pub actual: Option<Digest>,
    /// How many they are.
    pub actual_size: u64,
    /// What is wrong, for people.
    pub reason: String,
    /// When it was found.
    pub time: String,
    /// Whether the bytes were kept.
    pub data_kept: bool,
}

impl Cache {
    /// Puts bytes that failed verification away. `reason` says for people what is wrong with them.
    ///
    /// Gives the entry's folder.
    ///
    /// # Errors
    /// Any failure to write the reason. The bytes are out of the way in any case.
    pub fn quarantine(&self, mismatch: Box<Mismatch>, reason: &str) -> Result<PathBuf, CacheError> {
        let Mismatch { partial, repo, file, actual, actual_size } = *mismatch;
        let reason = self.reason(&repo, &file, Some(actual), actual_size, reason);
        let entry = self.put_away(&partial.data_path(), &file.digest, reason);
        // The folder and what is left in it go now.
        drop(partial);
        entry
    }

    /// Takes a corrupt file of the cache away from readers: its blob or, where a snapshot holds plain
    /// files, the file itself, under each name that it has in the repository. A sound blob beside a corrupt
    /// copy stays. Of a blob in the store that repositories share only this repository's link is removed;
    /// the store is not ours.
    ///
    /// Only for content that no running process reads.
    ///
    /// # Errors
    /// Any failure to move or remove it, or to write the reason.
    pub fn quarantine_file(
        &self,
        repo: &RepoId,
        commit: &CommitHash,
        file: &RemoteFile,
        actual: Option<Digest>,
        reason: &str,
    ) -> Result<PathBuf, CacheError> {
        let blob = self.layout().blob(repo, &file.digest);
        let entry = self.layout().snapshot_file(repo, commit, &file.path);
        self.ensure_writable(&blob)?;
        let removed = |path: &Path, result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(CacheError::from_io("remove", path, error)),
            _ => Ok(()),
        };
        // Readers see the entry: where it is a file, its bytes are the wrong ones.
        let content = [&entry, &blob].into_iter().find_map(|path| Some((path, plain_file(path)?)));
        let actual_size = fs::metadata(content.as_ref().map_or(&blob, |(path, _)| path)).map_or(0, |found| found.len());
        let reason = self.reason(repo, file, actual, actual_size, reason);
        // A link to the blob may stay: it is broken, and the next download mends it.
        let Some((content, metadata)) = content else {
            let written = self.write_reason(&file.digest, reason);
            removed(&blob, fs::remove_file(&blob))?;
            return written;
        };
        if metadata.nlink() > 1 {
            for name in names_below(&self.layout().snapshots(repo), &metadata)? {
                if name != *content {
                    removed(&name, fs::remove_file(&name))?;
                }
            }
        }
        if content != &blob {
            let is_copy = !plain_file(&blob).is_some_and(|blob| is_same(&blob, &metadata));
            let is_sound = || verify_file(&blob, file, |_| ControlFlow::Continue(())).ok() == Some(FileVerdict::Sound);
            if !(is_copy && is_sound()) {
                removed(&blob, fs::remove_file(&blob))?;
            }
        }
        self.put_away(content, &file.digest, reason)
    }

    fn reason(
        &self,
        repo: &RepoId,
        file: &RemoteFile,
        actual: Option<Digest>,
        actual_size: u64,
        reason: &str,
    ) -> QuarantineReason {
        QuarantineReason {
            repo: repo.to_string(),
            file: file.path.to_string(),
            expected: file.digest,
            expected_size: file.size,
            actual,
            actual_size,
            reason: reason.to_owned(),
            time: jiff::Timestamp::now().to_string(),
            data_kept: false,
        }
    }

    /// Moves the bytes, or deletes them where they cannot be kept. They are gone from `data` in any case.
    fn put_away(&self, data: &Path, digest: &Digest, mut reason: QuarantineReason) -> Result<PathBuf, CacheError> {
        self.trim_quarantine(reason.actual_size);
        let entry = match self.new_entry(digest) {
            Ok(entry) => entry,
            Err(error) => {
                fs::remove_file(data).map_err(|error| CacheError::from_io("remove", data, error))?;
                return Err(error);
            }
        };
        let kept = Layout::quarantined_data(&entry);
        reason.data_kept = reason.actual_size <= MAX_DATA_BYTES && fs::rename(data, &kept).is_ok();
        if reason.data_kept {
            // Not for readers, and not runnable or writable by accident. Under a name outside the repository,
            // as in the shared store, the file is not ours to change.
            if plain_file(&kept).is_some_and(|metadata| metadata.nlink() == 1) {
                let _ = fs::set_permissions(&kept, fs::Permissions::from_mode(0o400));
            }
        } else {
            fs::remove_file(data).map_err(|error| CacheError::from_io("remove", data, error))?;
        }
        self.finish_entry(entry, &reason)
    }

    fn write_reason(&self, digest: &Digest, reason: QuarantineReason) -> Result<PathBuf, CacheError> {
        self.trim_quarantine(0);
        let entry = self.new_entry(digest)?;
        self.finish_entry(entry, &reason)
    }

    fn new_entry(&self, digest: &Digest) -> Result<PathBuf, CacheError> {
        let time = jiff::Timestamp::now().as_second().to_string();
        let entry = self.layout().quarantined(digest, &time, &volume::random_id()[..8]);
        volume::create_folders(&entry).map_err(|error| CacheError::from_io("make the folder", &entry, error))?;
        Ok(entry)
    }

    fn finish_entry(&self, entry: PathBuf, reason: &QuarantineReason) -> Result<PathBuf, CacheError> {
        let path = Layout::quarantined_reason(&entry);
        let failed = |error| CacheError::from_io("write", &path, error);
        let content = serde_json::to_vec_pretty(reason).map_err(|error| failed(error.into()))?;
        let staged = Layout::staging_name(&path, &volume::random_id());
        volume::write_atomic(&staged, &path, &content).map_err(failed)?;
        tracing::warn!(repo = reason.repo, file = reason.file, digest = %reason.expected, path = %entry.display(), "wrong content was quarantined");
        Ok(entry)
    }

    /// Makes room for one more entry with so many bytes: the oldest entries go, and before them the
    /// bytes of the oldest.
    fn trim_quarantine(&self, coming: u64) {
        // Entries of another folder are not ours to remove.
        if volume::is_link(&self.layout().quarantine()) {
            return;
        }
        let mut entries: Vec<(std::time::SystemTime, PathBuf)> = fs::read_dir(self.layout().quarantine())
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        entries.sort();
        let excess = (entries.len() + 1).saturating_sub(MAX_ENTRIES);
        for (_, oldest) in entries.drain(..excess) {
            let _ = fs::remove_dir_all(oldest);
        }
        let data = |entry: &Path| fs::metadata(Layout::quarantined_data(entry)).map_or(0, |data| data.len());
        let mut kept: u64 = entries.iter().map(|(_, entry)| data(entry)).sum();
        for (_, entry) in &entries {
            if kept.saturating_add(coming) <= MAX_DATA_BYTES {
                break;
            }
            kept = kept.saturating_sub(data(entry));
            let _ = fs::remove_file(Layout::quarantined_data(entry));
        }
    }
}

/// What stands under a name, when that is a file and no link.
fn plain_file(path: &Path) -> Option<Metadata> {
    fs::symlink_metadata(path).ok().filter(Metadata::is_file)
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// The names of a file below a folder: hard links show the same bytes.
fn names_below(folder: &Path, content: &Metadata) -> Result<Vec<PathBuf>, CacheError> {
    let (mut names, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for path in folder_entries(&folder)? {
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => folders.push(path),
                Ok(metadata) if metadata.is_file() && is_same(&metadata, content) => names.push(path),
                _ => {}
            }
        }
    }
    Ok(names)
}
