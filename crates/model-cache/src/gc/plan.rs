//! The decision what goes and what stays: pure, from a report and a policy.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use speech_flow_model_types::{CommitHash, RepoId};

use super::GcPolicy;
use crate::owner::{Liveness, SILENT_AFTER};
use crate::pins::PinRole;
use crate::scan::{CacheReport, CachedRevision, Orphan, OrphanKind};
use crate::state_files::{as_text, option_as_text};

/// What goes and what stays.
#[derive(Debug, Clone, Serialize)]
pub struct GcPlan {
    /// What goes, in order: first what is left behind, then the least recently used.
    pub remove: Vec<PlannedRemoval>,
    /// What stays.
    pub keep: Vec<Kept>,
    /// Size of the cache before.
    pub size_before: u64,
    /// Size of the cache when all of it was done.
    pub size_after: u64,
}

/// Something that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedRemoval {
    /// What.
    #[serde(flatten)]
    pub item: GcItem,
    /// Bytes that it frees after what goes before it.
    pub bytes: u64,
    /// Why.
    pub reason: RemoveReason,
}

/// Something that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// What.
    #[serde(flatten)]
    pub item: GcItem,
    /// Bytes that it takes.
    pub bytes: u64,
    /// Why.
    pub reason: KeepReason,
}

/// What a clean-up looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "item")]
pub enum GcItem {
    /// A snapshot with the blobs that only it names.
    Revision {
        /// Its repository.
        #[serde(with = "as_text")]
        repo: RepoId,
        /// Its commit.
        #[serde(with = "as_text")]
        commit: CommitHash,
    },
    /// A download of ours that was not finished.
    Partial {
        /// Its repository.
        #[serde(with = "as_text")]
        repo: RepoId,
        /// Its folder.
        path: PathBuf,
    },
    /// A file that no snapshot names.
    Orphan {
        /// Its repository; `None` in the shared store.
        #[serde(with = "option_as_text")]
        repo: Option<RepoId>,
        /// What it is.
        kind: OrphanKind,
        /// Where it stands.
        path: PathBuf,
    },
}

/// Why something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemoveReason {
    /// Nobody used it for the time that the policy says.
    Unused,
    /// Its repository has more revisions than the policy keeps.
    TooManyRevisions,
    /// The cache is larger than the policy allows.
    OverSize,
    /// Its writer is dead.
    DeadDownload,
    /// Nothing names it.
    Unnamed,
    /// It has not grown for long.
    Abandoned,
}

/// Why something stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeepReason {
    /// Someone uses it.
    Leased,
    /// It is pinned.
    Pinned,
    /// It was pinned before, and readers may use it without being seen.
    PinnedBefore,
    /// It is being downloaded.
    Downloading,
    /// It is younger than the grace period.
    Young,
    /// No limit asks for its removal.
    WithinLimits,
    /// Someone came to hold it between plan and removal.
    HeldMeanwhile,
}

impl KeepReason {
    /// Whether no limit, however tight, removes it.
    pub fn is_protection(self) -> bool {
        self != Self::WithinLimits
    }
}

/// Decides what goes. Pure: the same report and policy give the same plan.
pub fn plan_gc(report: &CacheReport, policy: &GcPolicy) -> GcPlan {
    let mut planner = Planner {
        report,
        policy,
        now: policy.now.unwrap_or(report.taken_at),
        users: users(report),
        gone: BTreeSet::new(),
        plan: GcPlan {
            remove: Vec::new(),
            keep: Vec::new(),
            size_before: report.size_on_disk,
            size_after: report.size_on_disk,
        },
    };
    planner.unfinished();
    planner.revisions();
    planner.plan
}

/// Where a revision stands in the report.
type Place = (usize, usize);

struct Planner<'a> {
    report: &'a CacheReport,
    policy: &'a GcPolicy,
    now: Timestamp,
    /// How many revisions use a file, by its identity.
    users: HashMap<(u64, u64), usize>,
    gone: BTreeSet<Place>,
    plan: GcPlan,
}

fn users(report: &CacheReport) -> HashMap<(u64, u64), usize> {
    let mut users = HashMap::new();
    for revision in report.repos.iter().flat_map(|repo| &repo.revisions) {
        for (identity, _) in contents(revision) {
            *users.entry(identity).or_default() += 1;
        }
    }
    users
}

/// The distinct files of a revision, with the bytes that each frees with its last user.
fn contents(revision: &CachedRevision) -> HashMap<(u64, u64), u64> {
    let contents = revision.files.iter().filter_map(|file| file.content);
    contents.map(|content| (content.identity, if content.named_outside { 0 } else { content.size })).collect()
}

impl Planner<'_> {
    fn unfinished(&mut self) {
        let report = self.report;
        let grace = self.policy.grace_period;
        for repo in &report.repos {
            for partial in &repo.partials {
                let item = GcItem::Partial { repo: repo.repo.clone(), path: partial.path.clone() };
                let decision = match partial.liveness {
                    Liveness::Alive | Liveness::Unknown => Err(KeepReason::Downloading),
                    Liveness::Dead if is_young(partial.age_seconds, grace) => Err(KeepReason::Young),
                    Liveness::Dead => Ok(RemoveReason::DeadDownload),
                };
                self.decide(item, partial.bytes, decision);
            }
        }
        let of_repos = report.repos.iter().flat_map(|repo| repo.orphans.iter().map(move |o| (Some(repo), o)));
        for (repo, orphan) in of_repos.chain(report.orphans.iter().map(|orphan| (None, orphan))) {
            let name = repo.map(|repo| repo.repo.clone());
            let item = GcItem::Orphan { repo: name, kind: orphan.kind, path: orphan.path.clone() };
            // No snapshot names the files of a running download before all are there.
            let awaited =
                orphan.kind == OrphanKind::Blob && repo.is_some_and(|repo| !repo.running_downloads().is_empty());
            let decision = if awaited { Err(KeepReason::Downloading) } else { self.orphan(orphan) };
            self.decide(item, orphan.bytes, decision);
        }
    }

    fn orphan(&self, orphan: &Orphan) -> Result<RemoveReason, KeepReason> {
        let age = orphan.age_seconds;
        match orphan.kind {
            OrphanKind::PythonIncomplete if is_young(age, SILENT_AFTER) => Err(KeepReason::Downloading),
            OrphanKind::PythonIncomplete if is_young(age, self.policy.incomplete_after.max(SILENT_AFTER)) => {
                Err(KeepReason::Young)
            }
            OrphanKind::PythonIncomplete => Ok(RemoveReason::Abandoned),
            // A cleaner at work needs seconds; nobody else waits for what it put aside.
            OrphanKind::Going if is_young(age, SILENT_AFTER) => Err(KeepReason::Young),
            OrphanKind::Going => Ok(RemoveReason::Unnamed),
            _ if is_young(age, self.policy.grace_period.max(SILENT_AFTER)) => Err(KeepReason::Young),
            _ => Ok(RemoveReason::Unnamed),
        }
    }

    fn decide(&mut self, item: GcItem, bytes: u64, decision: Result<RemoveReason, KeepReason>) {
        match decision {
            Ok(reason) => {
                self.plan.size_after = self.plan.size_after.saturating_sub(bytes);
                self.plan.remove.push(PlannedRemoval { item, bytes, reason });
            }
            Err(reason) => self.plan.keep.push(Kept { item, bytes, reason }),
        }
    }

    fn revisions(&mut self) {
        let mut candidates = Vec::new();
        for (repo_index, repo) in self.report.repos.iter().enumerate() {
            for (index, revision) in repo.revisions.iter().enumerate() {
                match self.protection(revision) {
                    Some(reason) => self.keep((repo_index, index), reason),
                    None => candidates.push((repo_index, index)),
                }
            }
        }
        // The least recently used first; ties by name, so that the plan does not depend on chance.
        candidates.sort_by_key(|&place| (self.revision(place).last_activity, place));
        let superseded = self.superseded();
        for &place in &candidates {
            let age = self.age(self.revision(place));
            if self.policy.unused_for.is_some_and(|limit| age >= limit) {
                self.remove(place, RemoveReason::Unused);
            } else if superseded.contains(&place) {
                self.remove(place, RemoveReason::TooManyRevisions);
            }
        }
        for &place in &candidates {
            let over = self.policy.max_size.is_some_and(|limit| self.plan.size_after > limit.0);
            if over && !self.gone.contains(&place) {
                self.remove(place, RemoveReason::OverSize);
            }
        }
        for place in candidates {
            if !self.gone.contains(&place) {
                self.keep(place, KeepReason::WithinLimits);
            }
        }
    }

    fn protection(&self, revision: &CachedRevision) -> Option<KeepReason> {
        if !revision.leases.is_empty() {
            Some(KeepReason::Leased)
        } else if revision.pinned == Some(PinRole::Pinned) {
            Some(KeepReason::Pinned)
        } else if revision.downloading.is_some() {
            Some(KeepReason::Downloading)
        } else if revision.pinned == Some(PinRole::Previous) && !self.report.reader_leases_visible {
            Some(KeepReason::PinnedBefore)
        } else if self.age(revision) < self.policy.grace_period {
            Some(KeepReason::Young)
        } else {
            None
        }
    }

    /// Time since the last sign of interest; none where that lies in the future.
    fn age(&self, revision: &CachedRevision) -> Duration {
        Duration::try_from(self.now.duration_since(revision.last_activity)).unwrap_or_default()
    }

    /// The revisions of each repository beyond those that the policy keeps, protected ones included.
    fn superseded(&self) -> BTreeSet<Place> {
        let Some(keep) = self.policy.keep_revisions else { return BTreeSet::new() };
        let mut superseded = BTreeSet::new();
        for (repo_index, repo) in self.report.repos.iter().enumerate() {
            let mut order: Vec<usize> = (0..repo.revisions.len()).collect();
            order.sort_by_key(|&index| {
                let revision = &repo.revisions[index];
                (revision.refs.is_empty(), std::cmp::Reverse(revision.last_activity), index)
            });
            superseded.extend(order.into_iter().skip(keep).map(|index| (repo_index, index)));
        }
        superseded
    }

    fn revision(&self, (repo, revision): Place) -> &CachedRevision {
        &self.report.repos[repo].revisions[revision]
    }

    fn item(&self, place: Place) -> GcItem {
        let repo = self.report.repos[place.0].repo.clone();
        GcItem::Revision { repo, commit: self.revision(place).commit.clone() }
    }

    fn keep(&mut self, place: Place, reason: KeepReason) {
        let (item, bytes) = (self.item(place), self.revision(place).size_on_disk);
        self.plan.keep.push(Kept { item, bytes, reason });
    }

    fn remove(&mut self, place: Place, reason: RemoveReason) {
        let mut bytes = 0;
        for (identity, size) in contents(self.revision(place)) {
            // A file goes with the last revision that uses it.
            if let Some(users) = self.users.get_mut(&identity) {
                *users -= 1;
                bytes += if *users == 0 { size } else { 0 };
            }
        }
        self.gone.insert(place);
        let item = self.item(place);
        self.decide(item, bytes, Ok(reason));
    }
}

fn is_young(age_seconds: u64, limit: Duration) -> bool {
    Duration::from_secs(age_seconds) < limit
}
