//! Who downloads a blob: nobody any more, another process, or this one.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use speech_flow_model_types::{RemoteFile, RepoId};

use super::Staging;
use super::partial::partials_of;
use crate::cache::Cache;
use crate::error::CacheError;
use crate::layout::Layout;
use crate::locks::{LockAttempt, try_lock};

/// Where a blob stands.
#[derive(Debug)]
#[must_use]
pub enum Stage {
    /// The cache has it.
    Present,
    /// Another download has its lock.
    Busy(Busy),
    /// This download may write it.
    Ready(Box<Staging>),
}

/// Another download has the blob's lock. Sleep, then try again.
#[derive(Debug)]
pub struct Busy {
    cache: Cache,
    repo: RepoId,
    file: RemoteFile,
    seen: Vec<(PathBuf, u64, i64, i64)>,
    moved: Instant,
}

impl Cache {
    /// Begins the download of a blob, or says why not.
    ///
    /// Blocks for as long as the volume takes to open a few files.
    ///
    /// # Errors
    /// [`CacheError::ReadOnly`] and [`CacheError::Permission`] before anything is written,
    /// [`CacheError::VolumeFull`] when the file cannot be allocated.
    pub fn stage(&self, repo: &RepoId, file: &RemoteFile) -> Result<Stage, CacheError> {
        let busy = Busy {
            cache: self.clone(),
            repo: repo.clone(),
            file: file.clone(),
            seen: Vec::new(),
            moved: Instant::now(),
        };
        busy.try_again()
    }
}

impl Busy {
    /// Looks again, as [`Cache::stage`] does. A lock whose holder has moved nothing for
    /// [`STALE_LOCK_AFTER`](crate::STALE_LOCK_AFTER) is left to it, and the download begins without.
    ///
    /// # Errors
    /// As for [`Cache::stage`].
    pub fn try_again(mut self) -> Result<Stage, CacheError> {
        if self.cache.has_blob(&self.repo, &self.file) {
            return Ok(Stage::Present);
        }
        self.cache.ensure_writable(&self.cache.layout().blob(&self.repo, &self.file.digest))?;
        let lock = match try_lock(&self.cache.layout().blob_lock(&self.repo, &self.file.digest)) {
            LockAttempt::Held(lock) => Some(lock),
            LockAttempt::Unavailable => None,
            LockAttempt::Busy => {
                self.look_for_progress();
                if self.still_for() < self.cache.config().stale_lock_after {
                    return Ok(Stage::Busy(self));
                }
                tracing::warn!(repo = %self.repo, file = %self.file.path, "the holder of a download's lock does nothing: going on without the lock");
                None
            }
        };
        // The last holder may have finished between the first look and the lock.
        if self.cache.has_blob(&self.repo, &self.file) {
            return Ok(Stage::Present);
        }
        let staging = Staging::open(&self.cache, &self.repo, &self.file, lock)?;
        Ok(Stage::Ready(Box::new(staging)))
    }

    /// How long nothing of the other download has moved, as far as this one has watched.
    pub fn still_for(&self) -> Duration {
        self.moved.elapsed()
    }

    fn look_for_progress(&mut self) {
        let seen = footprints(&self.cache, &self.repo, &self.file);
        if seen != self.seen {
            (self.seen, self.moved) = (seen, Instant::now());
        }
    }
}

/// Everything that changes while somebody downloads the blob. Heartbeats are left out: a download that
/// hangs has them too.
fn footprints(cache: &Cache, repo: &RepoId, file: &RemoteFile) -> Vec<(PathBuf, u64, i64, i64)> {
    let ours = partials_of(cache.layout(), repo, &file.digest).into_iter();
    let ours = ours.flat_map(|partial| [Layout::partial_data(&partial), Layout::partial_journal(&partial)]);
    let prefix = format!("{}.", file.digest);
    let entries = fs::read_dir(cache.layout().blobs(repo)).into_iter().flatten();
    let theirs = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_incomplete(path, &prefix));
    let mut seen: Vec<_> = ours
        .chain(theirs)
        .filter_map(|path| {
            let metadata = fs::metadata(&path).ok()?;
            Some((path, metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
        })
        .collect();
    seen.sort();
    seen
}

/// The Python client downloads into `<etag>.<8 hex>.incomplete`.
fn is_incomplete(path: &Path, prefix: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(prefix) && name.ends_with(".incomplete"))
}
