//! What a cache holds: repositories, revisions, what is unfinished and what nobody names.
//!
//! A scan is tolerant: whatever is broken becomes a [`Problem`] and hides nothing else. It reads only;
//! on a writable cache it makes one short-lived file to ask the volume for its time.
//!
//! Sizes are lengths of distinct files: a blob that two revisions name, a hard link and a payload of
//! the shared store count once. What is unfinished counts by the blocks that it takes.

use std::path::PathBuf;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::Serialize;
use speech_flow_model_types::{CommitHash, Digest, RelPath, RepoId, Revision};

use crate::Cache;
use crate::error::CacheError;
use crate::leases::{LeaseInfo, clock_of};
use crate::owner::{Liveness, OwnerId, SILENT_AFTER, VolumeClock};
use crate::pins::{PinRole, PinSet};
use crate::shared_blobs::SharedStore;
use crate::state_files::{as_text, file_name, folder_entries, list_as_text, option_as_text};

pub(crate) mod inventory;
pub(crate) mod repo;

use inventory::Inventory;
use repo::RepoScan;

/// Everything in a cache, as it was at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct CacheReport {
    /// The cache's root.
    pub root: PathBuf,
    /// When it was looked at, by the volume's clock.
    #[serde(with = "as_text")]
    pub taken_at: Timestamp,
    /// Bytes of all files, each counted once.
    pub size_on_disk: u64,
    /// The repositories, sorted by name.
    pub repos: Vec<CachedRepo>,
    /// Payloads of the shared store that no blob links to.
    pub orphans: Vec<Orphan>,
    /// Whether readers of read-only mounts have a folder for their leases, so that the leases are all.
    pub reader_leases_visible: bool,
    /// What could not be understood outside the repositories.
    pub problems: Vec<Problem>,
}

/// One repository in a cache.
#[derive(Debug, Clone, Serialize)]
pub struct CachedRepo {
    /// Its name.
    #[serde(with = "as_text")]
    pub repo: RepoId,
    /// Its folder.
    pub path: PathBuf,
    /// Bytes of its files, each counted once; payloads that other repositories use included.
    pub size_on_disk: u64,
    /// Its snapshots, sorted by commit.
    pub revisions: Vec<CachedRevision>,
    /// Downloads of ours that are not finished.
    pub partials: Vec<CachedPartial>,
    /// Files that no snapshot names.
    pub orphans: Vec<Orphan>,
    /// What could not be understood.
    pub problems: Vec<Problem>,
}

/// One snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct CachedRevision {
    /// Its commit.
    #[serde(with = "as_text")]
    pub commit: CommitHash,
    /// Branches and tags that stand for it.
    #[serde(serialize_with = "list_as_text")]
    pub refs: Vec<Revision>,
    /// Its folder.
    pub path: PathBuf,
    /// Its files, sorted by path.
    pub files: Vec<CachedFile>,
    /// Bytes of its files, each counted once.
    pub size_on_disk: u64,
    /// Bytes that only it uses: what its removal frees.
    pub size_unique: u64,
    /// When it was last used, where that was written down.
    #[serde(with = "option_as_text")]
    pub last_used: Option<Timestamp>,
    /// The latest sign of interest: used, fetched, or a file added.
    #[serde(with = "as_text")]
    pub last_activity: Timestamp,
    /// Whether a pin protects it.
    pub pinned: Option<PinRole>,
    /// Who uses it now.
    pub leases: Vec<LeaseInfo>,
    /// A download that may be bringing one of its files now.
    pub downloading: Option<Download>,
    /// Whether it has all its files.
    pub completeness: Completeness,
}

/// A download that may be running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Download {
    /// The unfinished file or folder.
    pub path: PathBuf,
    /// Who writes it; `None` for the Python client, which leaves no name.
    pub owner: Option<OwnerId>,
}

/// One file of a snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct CachedFile {
    /// Where it stands in the snapshot.
    #[serde(with = "as_text")]
    pub path: RelPath,
    /// Its length; `None` when its link leads nowhere.
    pub size: Option<u64>,
    /// The file that holds its bytes, where that is in the cache.
    #[serde(skip)]
    pub content: Option<Content>,
}

/// A file on the volume, whatever its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Device and inode number.
    pub identity: (u64, u64),
    /// Its length.
    pub size: u64,
    /// Whether it has names outside the cache, so that nothing done here frees it.
    pub named_outside: bool,
}

/// Whether a snapshot has the files it should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Completeness {
    /// It has every file that was asked for; of what another client fetched, every file of the commit.
    Complete,
    /// It lacks some. What another client fetched may lack them on purpose.
    Incomplete {
        /// What it lacks.
        #[serde(serialize_with = "list_as_text")]
        missing: Vec<RelPath>,
    },
    /// Nothing says what it should have.
    Unknown,
}

/// A download of ours that is not finished.
#[derive(Debug, Clone, Serialize)]
pub struct CachedPartial {
    /// The blob that it becomes.
    pub digest: Digest,
    /// Its folder.
    pub path: PathBuf,
    /// Bytes it takes.
    pub bytes: u64,
    /// Who writes or wrote it.
    pub owner: Option<OwnerId>,
    /// Whether the owner is known to live.
    pub liveness: Liveness,
    /// Seconds since the owner's last sign of life.
    pub age_seconds: u64,
}

/// A file that no snapshot names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Orphan {
    /// What it is.
    pub kind: OrphanKind,
    /// Where it stands.
    pub path: PathBuf,
    /// Bytes it takes.
    pub bytes: u64,
    /// Seconds since it was last written.
    pub age_seconds: u64,
}

/// What a file that no snapshot names is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrphanKind {
    /// A whole blob.
    Blob,
    /// A download of the Python client: running, or left behind.
    PythonIncomplete,
    /// Something that a cleaner put aside and did not remove any more.
    Going,
    /// A temporary file.
    Temporary,
    /// A payload of the shared store.
    SharedPayload,
}

/// Something in the cache that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where.
    pub path: PathBuf,
    /// What is wrong.
    pub what: String,
}

impl CachedRepo {
    /// The downloads that may be running, with the names of their blobs: ours whose owner is not known
    /// to be dead, and those of the Python client that grew lately.
    pub(crate) fn running_downloads(&self) -> Vec<(String, Download)> {
        let ours = self.partials.iter().filter(|partial| partial.liveness != Liveness::Dead).map(|partial| {
            let download = Download { path: partial.path.clone(), owner: partial.owner.clone() };
            (partial.digest.to_string(), download)
        });
        let python = self.orphans.iter().filter(|orphan| {
            orphan.kind == OrphanKind::PythonIncomplete && orphan.age_seconds < SILENT_AFTER.as_secs()
        });
        let python = python.map(|orphan| {
            let name = file_name(&orphan.path);
            let etag = name.split_once('.').map_or(name, |(etag, _)| etag);
            (etag.to_owned(), Download { path: orphan.path.clone(), owner: None })
        });
        ours.chain(python).collect()
    }
}

impl Cache {
    /// Looks at everything in the cache.
    ///
    /// # Errors
    /// What the volume says of the root and of our own records. Anything else is a [`Problem`] in the
    /// report.
    pub fn scan(&self) -> Result<CacheReport, CacheError> {
        let root = self.layout().root();
        let clock = clock_of(root, self.is_read_only());
        let pins = self.read_pins()?;
        let leases = self.leases()?;
        let mut inventory = Inventory::new(SharedStore::open(root));
        let mut problems: Vec<Problem> = pins.unreadable.iter().map(|(_, error)| problem_of(error)).collect();
        let mut repos = Vec::new();
        for path in folder_entries(root)? {
            let name = file_name(&path);
            if !name.starts_with("models--") {
                continue;
            }
            match RepoId::from_folder(name) {
                Some(repo) => repos.push(self.scan_repo(&repo, &clock, &pins, &leases, &mut inventory)),
                None => problems.push(Problem { path, what: "the folder's name is no repository".to_owned() }),
            }
        }
        let orphans = inventory.unreferenced_payloads(&clock);
        inventory.settle(&mut repos);
        let unfinished = |repo: &CachedRepo| -> u64 {
            let orphans = repo.orphans.iter().filter(|orphan| orphan.kind != OrphanKind::Blob);
            repo.partials.iter().map(|partial| partial.bytes).sum::<u64>()
                + orphans.map(|orphan| orphan.bytes).sum::<u64>()
        };
        Ok(CacheReport {
            root: root.to_owned(),
            taken_at: timestamp(clock.now()),
            size_on_disk: inventory.total_bytes() + repos.iter().map(unfinished).sum::<u64>(),
            repos,
            orphans,
            reader_leases_visible: self.lease_dir().is_some(),
            problems,
        })
    }

    /// One repository, with the holds that are on it now.
    pub(crate) fn scan_one(&self, repo: &RepoId) -> Result<CachedRepo, CacheError> {
        let root = self.layout().root();
        let clock = clock_of(root, self.is_read_only());
        let mut inventory = Inventory::new(SharedStore::open(root));
        let mut repos = [self.scan_repo(repo, &clock, &self.read_pins()?, &self.leases()?, &mut inventory)];
        inventory.settle(&mut repos);
        let [repo] = repos;
        Ok(repo)
    }

    fn scan_repo(
        &self,
        repo: &RepoId,
        clock: &VolumeClock,
        pins: &PinSet,
        leases: &[LeaseInfo],
        inventory: &mut Inventory,
    ) -> CachedRepo {
        RepoScan::new(self, repo, clock, pins, leases).run(inventory)
    }
}

/// A time as text; times before 1970 or so far off that they have none are the epoch.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn problem_of(error: &CacheError) -> Problem {
    let path = match error {
        CacheError::RecordUnreadable { path, .. }
        | CacheError::Io { path, .. }
        | CacheError::Permission { path, .. } => path.clone(),
        _ => PathBuf::new(),
    };
    Problem { path, what: error.to_string() }
}
