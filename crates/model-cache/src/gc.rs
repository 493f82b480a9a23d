//! Keeping a cache within its limits: what is unused, superseded, over the quota or left behind goes.
//!
//! [`plan_gc`] decides, from a scan and a policy alone; [`Cache::gc`] carries it out, looking at every
//! hold again before each removal. What is leased, pinned or being downloaded never goes, nor what is
//! younger than the grace period. Where readers of read-only mounts have no folder for their leases, the
//! commit that was pinned before the pinned one stays as well: they may still run on it.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use speech_flow_model_types::{ByteSize, RepoId};

use crate::Cache;
use crate::clear::Hold;
use crate::clear::removal::{Outcome, Removal};
use crate::error::CacheError;
use crate::owner::Liveness;
use crate::scan::{CacheReport, Orphan, OrphanKind};

mod plan;

pub use plan::{GcItem, GcPlan, KeepReason, Kept, PlannedRemoval, RemoveReason, plan_gc};

/// What is younger than this stays, unless a policy says otherwise.
pub const DEFAULT_GRACE_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// A download of the Python client that has not grown for so long is taken for left behind.
pub const DEFAULT_INCOMPLETE_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What a cache may hold. Without any limit only what is left behind goes.
#[derive(Debug, Clone)]
pub struct GcPolicy {
    /// Bytes that the cache may take; the least recently used revisions go first.
    pub max_size: Option<ByteSize>,
    /// How many revisions of each repository stay: those with a ref first, then the latest used.
    pub keep_revisions: Option<usize>,
    /// A revision that nobody used for so long goes.
    pub unused_for: Option<Duration>,
    /// Whatever was used, fetched or written within this time stays.
    pub grace_period: Duration,
    /// When a download of the Python client counts as left behind.
    pub incomplete_after: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
    /// The time to measure ages of revisions by; the volume's own when not given.
    pub now: Option<Timestamp>,
}

impl Default for GcPolicy {
    fn default() -> Self {
        Self {
            max_size: None,
            keep_revisions: None,
            unused_for: None,
            grace_period: DEFAULT_GRACE_PERIOD,
            incomplete_after: DEFAULT_INCOMPLETE_AFTER,
            dry_run: false,
            now: None,
        }
    }
}

/// What a clean-up did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct GcReport {
    /// Whether nothing was touched.
    pub dry_run: bool,
    /// Bytes that the volume got back, or would get back.
    pub freed_bytes: u64,
    /// Size of the cache before.
    pub size_before: u64,
    /// Size of the cache after.
    pub size_after: u64,
    /// What went, in order.
    pub removed: Vec<PlannedRemoval>,
    /// What stays, and why.
    pub kept: Vec<Kept>,
    /// Leases of dead owners that were removed.
    pub dead_leases_removed: usize,
}

impl Cache {
    /// Cleans up by a policy.
    ///
    /// # Errors
    /// [`CacheError::ReadOnly`] on a read-only cache, unless it is a dry run; what the volume says
    /// otherwise. What was removed before the error stays removed, and the call can be repeated.
    pub fn gc(&self, policy: &GcPolicy) -> Result<GcReport, CacheError> {
        if !policy.dry_run {
            self.ensure_writable(self.layout().root())?;
        }
        let dead_leases_removed = if policy.dry_run { 0 } else { self.remove_dead_leases()? };
        let report = self.scan()?;
        let plan = plan_gc(&report, policy);
        let mut done = GcReport {
            dry_run: policy.dry_run,
            freed_bytes: 0,
            size_before: report.size_on_disk,
            size_after: report.size_on_disk,
            removed: Vec::new(),
            kept: plan.keep,
            dead_leases_removed,
        };
        for removal in plan.remove {
            let freed = if policy.dry_run { Ok(Some(removal.bytes)) } else { self.carry_out(&report, &removal.item) };
            match freed.map_err(Step::Failed).and_then(|freed| freed.ok_or(Step::Stays)) {
                Ok(bytes) => {
                    done.freed_bytes += bytes;
                    done.removed.push(PlannedRemoval { bytes, ..removal });
                }
                Err(Step::Stays) => {
                    done.kept.push(Kept {
                        item: removal.item,
                        bytes: removal.bytes,
                        reason: KeepReason::HeldMeanwhile,
                    });
                }
                Err(Step::Failed(error)) => return Err(error),
            }
        }
        done.size_after = done.size_before.saturating_sub(done.freed_bytes);
        Ok(done)
    }

    /// Removes one item after another look; `None` when it stays.
    fn carry_out(&self, report: &CacheReport, item: &GcItem) -> Result<Option<u64>, CacheError> {
        match item {
            GcItem::Revision { repo, commit } => {
                let removal = Removal::new(self, repo);
                let outcome = removal.revision(commit)?;
                removal.tidy();
                Ok(match outcome {
                    Outcome::Removed { freed_bytes } => Some(freed_bytes),
                    Outcome::Held(Hold::Leased { .. } | Hold::Pinned | Hold::Downloading { .. }) => None,
                    Outcome::Absent => None,
                })
            }
            GcItem::Partial { repo, path } => {
                let now = self.scan_one(repo)?;
                let dead =
                    |partial: &&crate::scan::CachedPartial| partial.path == *path && partial.liveness == Liveness::Dead;
                let removal = Removal::new(self, repo);
                let freed = now.partials.iter().find(dead).map(|partial| removal.partial(&partial.path)).transpose()?;
                removal.tidy();
                Ok(freed.flatten())
            }
            GcItem::Orphan { repo: Some(repo), kind, path } => {
                let Some(before) = find_orphan(report, repo, path) else { return Ok(None) };
                let now = self.scan_one(repo)?;
                let removal = Removal::new(self, repo);
                // What grew or was touched since the plan is somebody's.
                let same = |orphan: &&Orphan| {
                    orphan.path == *path
                        && orphan.kind == *kind
                        && orphan.bytes == before.bytes
                        && orphan.age_seconds >= before.age_seconds
                };
                let freed = now.orphans.iter().find(same).map(|orphan| removal.orphan(orphan)).transpose()?;
                removal.tidy();
                Ok(freed.flatten())
            }
            GcItem::Orphan { repo: None, path, .. } => self.sweep_shared(path),
        }
    }

    fn sweep_shared(&self, payload: &std::path::Path) -> Result<Option<u64>, CacheError> {
        let Some(store) = crate::shared_blobs::SharedStore::open(self.layout().root()) else { return Ok(None) };
        match store.sweep(payload) {
            Ok(0) => Ok(None),
            Ok(freed) => Ok(Some(freed)),
            Err(error) => {
                tracing::debug!(path = %payload.display(), %error, "a shared payload is left in place");
                Ok(None)
            }
        }
    }
}

enum Step {
    Stays,
    Failed(CacheError),
}

fn find_orphan<'a>(report: &'a CacheReport, repo: &RepoId, path: &std::path::Path) -> Option<&'a Orphan> {
    let of_repo = report.repos.iter().find(|cached| cached.repo == *repo)?;
    of_repo.orphans.iter().find(|orphan| orphan.path == path && orphan.kind != OrphanKind::SharedPayload)
}
