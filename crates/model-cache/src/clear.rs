//! Removing whole models and single revisions, on a person's word.
//!
//! What is leased, pinned or being downloaded stays, and the report says who holds it. The removal
//! itself, its order and its races are those of [`removal`].

use serde::Serialize;
use speech_flow_model_types::{CommitHash, RepoId};

use crate::Cache;
use crate::error::CacheError;
use crate::leases::LeaseInfo;
use crate::owner::{Liveness, SILENT_AFTER};
use crate::scan::{CachedRevision, Download, Orphan, OrphanKind};
use crate::state_files::{as_text, option_as_text};

pub(crate) mod removal;

use removal::{Outcome, Removal};

/// What to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClearTarget {
    /// Every revision of a repository, and what is unfinished of it.
    Repo(RepoId),
    /// One revision.
    Revision(RepoId, CommitHash),
}

/// What was removed, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ClearReport {
    /// Bytes that the volume got back.
    pub freed_bytes: u64,
    /// What is gone.
    pub removed: Vec<Removed>,
    /// What stays, because someone holds it.
    pub refused: Vec<Refused>,
}

/// Something that was removed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Removed {
    /// The repository.
    #[serde(with = "as_text")]
    pub repo: RepoId,
    /// The revision; `None` for what was unfinished or belonged to no revision.
    #[serde(with = "option_as_text")]
    pub commit: Option<CommitHash>,
    /// Bytes that the volume got back.
    pub freed_bytes: u64,
}

/// Something that was not removed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refused {
    /// The repository.
    #[serde(with = "as_text")]
    pub repo: RepoId,
    /// The revision; `None` when it is the download of a new one.
    #[serde(with = "option_as_text")]
    pub commit: Option<CommitHash>,
    /// What holds it.
    pub hold: Hold,
}

/// What keeps a revision in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Hold {
    /// Someone uses it.
    Leased {
        /// Who.
        lease: Box<LeaseInfo>,
    },
    /// It is pinned.
    Pinned,
    /// One of its files is being downloaded.
    Downloading {
        /// By whom.
        download: Box<Download>,
    },
}

impl Hold {
    /// What holds a revision, as a scan saw it.
    pub(crate) fn of(revision: &CachedRevision) -> Option<Self> {
        use crate::pins::PinRole;
        if let Some(lease) = revision.leases.first() {
            return Some(Self::Leased { lease: Box::new(lease.clone()) });
        }
        if revision.pinned == Some(PinRole::Pinned) {
            return Some(Self::Pinned);
        }
        let download = revision.downloading.clone()?;
        Some(Self::Downloading { download: Box::new(download) })
    }
}

impl Cache {
    /// Removes models and revisions. What is not there is no error.
    ///
    /// # Errors
    /// [`CacheError::ReadOnly`] on a read-only cache; what the volume says otherwise. What was removed
    /// before the error stays removed, and the call can be repeated.
    pub fn clear(&self, targets: &[ClearTarget]) -> Result<ClearReport, CacheError> {
        self.ensure_writable(self.layout().root())?;
        self.remove_dead_leases()?;
        let mut report = ClearReport::default();
        for target in targets {
            match target {
                ClearTarget::Repo(repo) => self.clear_repo(repo, &mut report)?,
                ClearTarget::Revision(repo, commit) => {
                    let removal = Removal::new(self, repo);
                    report.add(repo, commit, removal.revision(commit)?);
                    removal.tidy();
                }
            }
        }
        Ok(report)
    }

    fn clear_repo(&self, repo: &RepoId, report: &mut ClearReport) -> Result<(), CacheError> {
        let removal = Removal::new(self, repo);
        let scanned = self.scan_one(repo)?;
        for revision in &scanned.revisions {
            report.add(repo, &revision.commit, removal.revision(&revision.commit)?);
        }
        let mut freed = 0;
        for partial in scanned.partials.iter().filter(|partial| partial.liveness == Liveness::Dead) {
            freed += removal.partial(&partial.path)?.unwrap_or(0);
        }
        let is_blob = |orphan: &Orphan| orphan.kind == OrphanKind::Blob;
        let old = |orphan: &&Orphan| !is_blob(orphan) && orphan.age_seconds > SILENT_AFTER.as_secs();
        for orphan in scanned.orphans.iter().filter(old) {
            freed += removal.orphan(orphan)?.unwrap_or(0);
        }
        // No snapshot names the files of a running download before all are there, however long that takes.
        let running = scanned.running_downloads();
        let idle = running.is_empty();
        for orphan in scanned.orphans.iter().filter(|orphan| idle && is_blob(orphan)) {
            freed += removal.orphan(orphan)?.unwrap_or(0);
        }
        if freed > 0 {
            report.freed_bytes += freed;
            report.removed.push(Removed { repo: repo.clone(), commit: None, freed_bytes: freed });
        }
        let refused_already = |download: &Download| {
            report.refused.iter().any(|refused| match &refused.hold {
                Hold::Downloading { download: other } => **other == *download,
                _ => false,
            })
        };
        let unnamed = running.into_iter().map(|(_, download)| download).find(|download| !refused_already(download));
        if let Some(download) = unnamed {
            let hold = Hold::Downloading { download: Box::new(download) };
            report.refused.push(Refused { repo: repo.clone(), commit: None, hold });
        }
        if scanned.revisions.iter().all(|revision| !revision.path.exists()) && idle {
            removal.leftovers()?;
        }
        removal.tidy();
        Ok(())
    }
}

impl ClearReport {
    fn add(&mut self, repo: &RepoId, commit: &CommitHash, outcome: Outcome) {
        let (repo, commit) = (repo.clone(), Some(commit.clone()));
        match outcome {
            Outcome::Removed { freed_bytes } => {
                self.freed_bytes += freed_bytes;
                self.removed.push(Removed { repo, commit, freed_bytes });
            }
            Outcome::Held(hold) => self.refused.push(Refused { repo, commit, hold }),
            Outcome::Absent => {}
        }
    }
}
