//! Leases: who uses which snapshot, so that nobody removes it.
//!
//! A lease is one JSON file with a heartbeat, in the state folder or in the folder that readers of a
//! read-only volume share with the cleaner. Its name says repository and commit, so it protects even
//! where its content cannot be read. It ends when its owner drops it, or when the owner is provably
//! dead (see [`crate::owner`]).
//!
//! # Lease against removal
//!
//! No lock is needed, because each side first says what it does and then looks at the other:
//!
//! | reader | cleaner |
//! | --- | --- |
//! | 1. the lease appears (one rename) | 1. declares its intent: a file in `.going` |
//! | 2. waits while there is an intent | 2. no live lease: the snapshot is renamed aside |
//! | 3. is the snapshot there? | 3. is there a lease now? Then it is renamed back |
//! | no: gives the lease back, it is a miss | 4. withdraws the intent; deletes what is aside |
//!
//! Whatever the order, at least one of them sees the other in steps 1 to 3, so what is leased is never
//! deleted. The intent only spares the reader the moment in which its snapshot is aside and may come
//! back; it lasts milliseconds, so the wait for it is short, and ends with the cleaner's death. Both open
//! the folder that they look at, so that a network file system asks its server instead of a cache.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use speech_flow_model_types::{CommitHash, RepoId};

use crate::Cache;
use crate::error::CacheError;
use crate::heartbeat::Heartbeat;
use crate::layout::Layout;
use crate::owner::{Liveness, OwnerId, VolumeClock};
use crate::state_files::{
    as_text, file_name, folder_entries, found, option_as_text, read_record, remove_file, write_record,
};
use crate::volume::{Writability, writability};

/// How long a reader waits for cleaners; they need milliseconds.
const INTENT_WAIT: Duration = Duration::from_secs(2);
const INTENT_POLL: Duration = Duration::from_millis(2);

/// A snapshot is in use as long as this lives.
#[derive(Debug)]
pub struct Lease {
    repo: RepoId,
    commit: CommitHash,
    heartbeat: Option<Heartbeat>,
}

/// A lease as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeaseInfo {
    /// The repository.
    #[serde(with = "as_text")]
    pub repo: RepoId,
    /// The commit in use.
    #[serde(with = "as_text")]
    pub commit: CommitHash,
    /// Who uses it; `None` when the lease's content cannot be read.
    pub owner: Option<OwnerId>,
    /// Since when, by the owner's clock.
    #[serde(with = "option_as_text")]
    pub since: Option<Timestamp>,
    /// Whether the owner is known to live.
    pub liveness: Liveness,
    /// Seconds since its last heartbeat, where that can be told.
    pub seen_seconds_ago: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct LeaseRecord {
    owner: OwnerId,
    #[serde(with = "as_text")]
    repo: RepoId,
    #[serde(with = "as_text")]
    commit: CommitHash,
    #[serde(with = "as_text")]
    since: Timestamp,
}

impl Lease {
    /// The repository in use.
    pub fn repo(&self) -> &RepoId {
        &self.repo
    }

    /// The commit in use.
    pub fn commit(&self) -> &CommitHash {
        &self.commit
    }

    /// Whether others can see the lease. It cannot be recorded on a read-only volume without a folder
    /// for leases; then only pins and the cleaner's grace period protect the snapshot.
    pub fn is_recorded(&self) -> bool {
        self.heartbeat.is_some()
    }

    /// Whether the snapshot is still protected: the lease is recorded, and nobody took it for dead
    /// while this process was stopped.
    pub fn is_held(&self) -> bool {
        self.heartbeat.as_ref().is_some_and(Heartbeat::is_held)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(heartbeat) = self.heartbeat.take() {
            let path = heartbeat.path().to_owned();
            drop(heartbeat);
            if let Err(error) = remove_file(&path) {
                tracing::debug!(path = %path.display(), %error, "a lease is left to expire");
            }
        }
    }
}

impl Cache {
    /// Declares a snapshot in use until the lease is dropped.
    ///
    /// On a read-only cache without a folder for leases nothing is written, and the lease says so.
    ///
    /// # Errors
    /// [`CacheError::SnapshotGone`] when the snapshot is not there; what the volume says otherwise.
    pub fn lease(&self, repo: &RepoId, commit: &CommitHash) -> Result<Lease, CacheError> {
        let mut lease = Lease { repo: repo.clone(), commit: commit.clone(), heartbeat: None };
        if let Some(folder) = self.own_lease_folder() {
            match record(&folder, repo, commit) {
                Ok(heartbeat) => lease.heartbeat = Some(heartbeat),
                // The model can be read, and that counts more than the record.
                Err(error @ (CacheError::ReadOnly { .. } | CacheError::Permission { .. })) => {
                    tracing::warn!(%error, "the lease of a model could not be recorded");
                }
                Err(error) => return Err(error),
            }
        }
        self.wait_for_cleaners(repo, commit);
        let snapshot = self.layout().snapshot(repo, commit);
        let opened = found(File::open(&snapshot)).map_err(|source| CacheError::from_io("open", &snapshot, source))?;
        if opened.is_none() {
            return Err(CacheError::SnapshotGone { repo: repo.clone(), commit: commit.clone() });
        }
        self.record_use(repo, commit);
        Ok(lease)
    }

    /// The leases whose owners are not known to be dead, sorted by repository and commit.
    ///
    /// # Errors
    /// What the volume says; a damaged lease is no error.
    pub fn leases(&self) -> Result<Vec<LeaseInfo>, CacheError> {
        Ok(self.read_leases()?.live)
    }

    /// The lease that protects a snapshot, if one does.
    pub(crate) fn lease_on(&self, repo: &RepoId, commit: &CommitHash) -> Result<Option<LeaseInfo>, CacheError> {
        Ok(self.read_leases()?.live.into_iter().find(|lease| lease.repo == *repo && lease.commit == *commit))
    }

    /// Removes the leases of dead owners; how many there were.
    pub(crate) fn remove_dead_leases(&self) -> Result<usize, CacheError> {
        let dead = self.read_leases()?.dead;
        dead.iter().try_for_each(|path| remove_file(path).map(drop))?;
        Ok(dead.len())
    }

    /// Waits until no cleaner considers the snapshot. One that takes longer than it should is not waited
    /// for: it sees the lease before it deletes anything.
    fn wait_for_cleaners(&self, repo: &RepoId, commit: &CommitHash) {
        let deadline = Instant::now() + INTENT_WAIT;
        let clock = VolumeClock::of_this_machine();
        let going = self.layout().going(repo);
        let pending = || {
            folder_entries(&going).unwrap_or_default().iter().any(|path| {
                Layout::is_intent(file_name(path), commit)
                    && found(clock.age(path)).is_ok_and(|age| {
                        let owner = read_record(path).ok().flatten().unwrap_or_else(OwnerId::unknown);
                        age.is_some() && owner.liveness(age) != Liveness::Dead
                    })
            })
        };
        while pending() && Instant::now() < deadline {
            std::thread::sleep(INTENT_POLL);
        }
    }

    /// Where this process records its leases. A reader that may not write to the cache may still write
    /// to the state folder.
    fn own_lease_folder(&self) -> Option<PathBuf> {
        match self.lease_dir() {
            Some(folder) => Some(folder.to_owned()),
            None => Some(self.layout().leases()).filter(|folder| self.may_record(folder)),
        }
    }

    /// The folder that readers of read-only mounts and the cleaner share.
    pub(crate) fn lease_dir(&self) -> Option<&Path> {
        self.config().lease_dir.as_deref()
    }

    /// Whether nothing at all may be written.
    pub(crate) fn is_read_only(&self) -> bool {
        self.writability() == Writability::ReadOnly
    }

    /// Whether a record of ours can be written below a folder, found out without trying.
    pub(crate) fn may_record(&self, folder: &Path) -> bool {
        !self.is_read_only() && writability(folder).is_ok_and(|found| found == Writability::Writable)
    }

    fn read_leases(&self) -> Result<LeaseList, CacheError> {
        let mut list = LeaseList::default();
        let own = (self.layout().leases(), self.is_read_only());
        let shared = self.lease_dir().map(|folder| (folder.to_owned(), false));
        for (folder, read_only) in [Some(own), shared].into_iter().flatten() {
            list.read_folder(&folder, read_only)?;
        }
        list.live.sort_by(|a, b| (&a.repo, &a.commit, &a.since).cmp(&(&b.repo, &b.commit, &b.since)));
        Ok(list)
    }
}

/// A cleaner's declaration that it considers a snapshot; withdrawn when dropped.
#[derive(Debug)]
pub(crate) struct Intent {
    path: PathBuf,
}

impl Intent {
    pub(crate) fn declare(cache: &Cache, repo: &RepoId, commit: &CommitHash) -> Result<Self, CacheError> {
        let owner = OwnerId::this_process();
        let path = cache.layout().intent(repo, commit, &next_id());
        let intent = Self { path };
        write_record(&intent.path, owner)?;
        Ok(intent)
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        if let Err(error) = remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "an intent is left to expire");
        }
    }
}

#[derive(Default)]
struct LeaseList {
    live: Vec<LeaseInfo>,
    dead: Vec<PathBuf>,
}

impl LeaseList {
    fn read_folder(&mut self, folder: &Path, read_only: bool) -> Result<(), CacheError> {
        let entries = folder_entries(folder)?;
        let leases: Vec<_> =
            entries.iter().filter_map(|path| Some((path, Layout::parse_lease(file_name(path))?))).collect();
        if leases.is_empty() {
            return Ok(());
        }
        let clock = clock_of(folder, read_only);
        for (path, (repo, commit)) in leases {
            let content: Option<LeaseRecord> = read_record(path).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "a lease cannot be read; it counts all the same");
                None
            });
            let seen = match found(clock.age(path)) {
                // Given back a moment ago.
                Ok(None) => continue,
                Ok(Some(age)) => Some(age),
                Err(_) => None,
            };
            let liveness = match &content {
                Some(record) => record.owner.liveness(seen),
                None => OwnerId::unknown().liveness(seen),
            };
            if liveness == Liveness::Dead {
                self.dead.push(path.clone());
                continue;
            }
            let (owner, since) = content.map(|record| (record.owner, record.since)).unzip();
            let seen_seconds_ago = seen.map(|age| age.as_secs());
            self.live.push(LeaseInfo { repo, commit, owner, since, liveness, seen_seconds_ago });
        }
        Ok(())
    }
}

/// The clock of a folder's volume; this machine's where the volume must not or cannot be written to.
pub(crate) fn clock_of(folder: &Path, read_only: bool) -> VolumeClock {
    let read = if read_only { None } else { VolumeClock::read(folder).ok() };
    read.unwrap_or_else(VolumeClock::of_this_machine)
}

fn record(folder: &Path, repo: &RepoId, commit: &CommitHash) -> Result<Heartbeat, CacheError> {
    let owner = OwnerId::this_process();
    let path = Layout::lease(folder, repo, commit, &next_id());
    let record =
        LeaseRecord { owner: owner.clone(), repo: repo.clone(), commit: commit.clone(), since: Timestamp::now() };
    write_record(&path, &record)?;
    Ok(Heartbeat::start(path))
}

/// A name that no other lease or intent has.
fn next_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", OwnerId::this_process().short(), NEXT.fetch_add(1, Ordering::Relaxed))
}
