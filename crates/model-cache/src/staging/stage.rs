//! Who downloads a blob: nobody any more, another process, or this one.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use speech_flow_model_types::{RemoteFile, RepoId};

use super::Staging;
use super::growth::Growth;
use super::partial::{partial_liveness, partials_of};
use crate::cache::Cache;
use crate::error::CacheError;
use crate::journal::{JournalHeader, MAX_JOURNAL_LEN, parse_journal};
use crate::layout::Layout;
use crate::locks::{LockAttempt, try_lock};
use crate::owner::{Liveness, VolumeClock};
use crate::trees::read_bounded;
use crate::volume;

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
    /// The other's partial, and what can be read of it.
    followed: Option<Box<(PathBuf, Growth)>>,
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
            followed: None,
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

    /// What another process of this program has recorded of the blob by now, for readers that follow it; `None`
    /// while it has recorded nothing, and of the Python client. Called again, the same view grows. Blocks.
    pub fn follow(&mut self) -> Option<Growth> {
        let clock = VolumeClock::of_this_machine();
        let header = JournalHeader { digest: self.file.digest, size: self.file.size };
        let recorded = |partial: &PathBuf| {
            let journal = read_bounded(&Layout::partial_journal(partial), MAX_JOURNAL_LEN)?;
            parse_journal(&journal).ok().filter(|journal| journal.header == header).map(|journal| journal.recorded)
        };
        if let Some((partial, growth)) = self.followed.as_deref() {
            if let Some(recorded) = recorded(partial) {
                growth.recorded(&recorded);
            }
            return Some(growth.clone());
        }
        let partials = partials_of(self.cache.layout(), &self.repo, &self.file.digest).into_iter();
        let alive = partials.filter(|partial| partial_liveness(partial, &clock) != Liveness::Dead);
        let (partial, recorded) = alive
            .filter_map(|partial| Some((partial.clone(), recorded(&partial)?)))
            .filter(|(_, recorded)| !recorded.is_empty())
            .max_by_key(|(_, recorded)| recorded.len())?;
        let data = volume::open_regular(&Layout::partial_data(&partial)).ok()?;
        if data.metadata().ok()?.len() != self.file.size {
            return None;
        }
        let growth = Growth::foreign(data, self.file.size);
        growth.recorded(&recorded);
        self.followed = Some(Box::new((partial, growth.clone())));
        Some(growth)
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
