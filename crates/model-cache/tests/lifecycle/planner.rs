use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use speech_flow_model_cache::{
    CacheReport, CachedFile, CachedPartial, CachedRepo, CachedRevision, Completeness, Content, Download, GcItem,
    GcPlan, GcPolicy, LeaseInfo, Liveness, Orphan, OrphanKind, PinRole, plan_gc,
};
use speech_flow_model_types::{ByteSize, CommitHash, Digest};

use crate::fixture::repo;

const NOW: i64 = 1_800_000_000;

#[derive(Debug, Clone)]
struct Revision {
    age: u64,
    files: Vec<u64>,
    hold: u8,
    has_ref: bool,
}

fn revision() -> impl Strategy<Value = Revision> {
    (0..1000_u64, prop::collection::vec(0..12_u64, 0..5), 0..9_u8, any::<bool>())
        .prop_map(|(age, files, hold, has_ref)| Revision { age, files, hold, has_ref })
}

fn at(age: u64) -> Timestamp {
    Timestamp::from_second(NOW - age as i64).unwrap()
}

fn commit(number: usize) -> CommitHash {
    format!("{number:040x}").parse().unwrap()
}

/// A file's size follows from its number, so equal numbers are one file.
fn size(number: u64) -> u64 {
    number * 7 + 1
}

fn report(repos: &[Vec<Revision>], partials: &[(u64, bool)], orphans: &[u64], visible: bool) -> CacheReport {
    let mut files = HashSet::new();
    let mut cached = Vec::new();
    for (repo_index, revisions) in repos.iter().enumerate() {
        let name = repo(&format!("o/{repo_index}"));
        let revisions = revisions.iter().enumerate().map(|(index, revision)| {
            files.extend(revision.files.iter().copied());
            let content = |number: &u64| CachedFile {
                path: format!("f{number}").parse().unwrap(),
                size: Some(size(*number)),
                content: Some(Content { identity: (1, *number), size: size(*number), named_outside: false }),
            };
            let lease = LeaseInfo {
                repo: name.clone(),
                commit: commit(index),
                owner: None,
                since: None,
                liveness: Liveness::Unknown,
                seen_seconds_ago: None,
            };
            let distinct: HashSet<u64> = revision.files.iter().copied().collect();
            CachedRevision {
                commit: commit(index),
                refs: if revision.has_ref { vec!["main".parse().unwrap()] } else { vec![] },
                path: PathBuf::from("/snapshot"),
                files: revision.files.iter().map(content).collect(),
                size_on_disk: distinct.iter().map(|number| size(*number)).sum(),
                size_unique: 0,
                last_used: None,
                last_activity: at(revision.age),
                pinned: match revision.hold {
                    1 => Some(PinRole::Pinned),
                    2 => Some(PinRole::Previous),
                    _ => None,
                },
                leases: if revision.hold == 3 { vec![lease] } else { vec![] },
                downloading: (revision.hold == 4).then(|| Download { path: PathBuf::new(), owner: None }),
                completeness: Completeness::Unknown,
            }
        });
        cached.push(CachedRepo {
            path: PathBuf::from("/repo"),
            size_on_disk: 0,
            revisions: revisions.collect(),
            partials: vec![],
            orphans: vec![],
            problems: vec![],
            repo: name,
        });
    }
    if let Some(first) = cached.first_mut() {
        for (index, (age_seconds, dead)) in partials.iter().enumerate() {
            let liveness = if *dead { Liveness::Dead } else { Liveness::Unknown };
            let (digest, path) = (Digest::GitSha1([0; 20]), PathBuf::from(format!("/partial/{index}")));
            first.partials.push(CachedPartial {
                digest,
                path,
                bytes: 5,
                owner: None,
                liveness,
                age_seconds: *age_seconds,
            });
        }
        for (index, age_seconds) in orphans.iter().enumerate() {
            let path = PathBuf::from(format!("/orphan/{index}"));
            first.orphans.push(Orphan { kind: OrphanKind::Blob, path, bytes: 3, age_seconds: *age_seconds });
        }
    }
    let unfinished = if cached.is_empty() { 0 } else { partials.len() as u64 * 5 + orphans.len() as u64 * 3 };
    CacheReport {
        root: PathBuf::from("/hub"),
        taken_at: at(0),
        size_on_disk: files.iter().map(|number| size(*number)).sum::<u64>() + unfinished,
        repos: cached,
        orphans: vec![],
        reader_leases_visible: visible,
        problems: vec![],
    }
}

fn removed_revisions(plan: &GcPlan) -> HashSet<(String, CommitHash)> {
    let revision = |item: &GcItem| match item {
        GcItem::Revision { repo, commit } => Some((repo.to_string(), commit.clone())),
        _ => None,
    };
    plan.remove.iter().filter_map(|removal| revision(&removal.item)).collect()
}

proptest! {
    #[test]
    fn a_plan_keeps_what_is_held_and_reaches_the_size_where_it_can(
        repos in prop::collection::vec(prop::collection::vec(revision(), 0..6), 0..4),
        partials in prop::collection::vec((0..1000_u64, any::<bool>()), 0..4),
        orphans in prop::collection::vec(0..1000_u64, 0..4),
        visible in any::<bool>(),
        grace in 0..600_u64,
        max_size in prop::option::of(0..300_u64),
        keep_revisions in prop::option::of(0..4_usize),
        unused_for in prop::option::of(0..1000_u64),
    ) {
        let report = report(&repos, &partials, &orphans, visible);
        let policy = GcPolicy {
            max_size: max_size.map(ByteSize),
            keep_revisions,
            unused_for: unused_for.map(Duration::from_secs),
            grace_period: Duration::from_secs(grace),
            ..GcPolicy::default()
        };
        let plan = plan_gc(&report, &policy);
        let removed = removed_revisions(&plan);

        // Everything is decided exactly once.
        let items = report.repos.iter().map(|r| r.revisions.len() + r.partials.len() + r.orphans.len()).sum::<usize>();
        prop_assert_eq!(plan.remove.len() + plan.keep.len(), items);

        // Nothing that is held or young goes.
        let mut left: HashMap<u64, u64> = HashMap::new();
        for cached in &report.repos {
            for revision in &cached.revisions {
                let gone = removed.contains(&(cached.repo.to_string(), revision.commit.clone()));
                let held = !revision.leases.is_empty()
                    || revision.pinned == Some(PinRole::Pinned)
                    || revision.downloading.is_some()
                    || (revision.pinned == Some(PinRole::Previous) && !visible);
                let young = revision.last_activity > at(grace);
                prop_assert!(!(gone && (held || young)), "{:?} went", revision);
                if !gone {
                    left.extend(revision.files.iter().filter_map(|f| f.content).map(|c| (c.identity.1, c.size)));
                }
            }
        }
        for removal in &plan.remove {
            if let GcItem::Partial { path, .. } = &removal.item {
                let partial = report.repos[0].partials.iter().find(|partial| partial.path == *path).unwrap();
                prop_assert!(partial.liveness == Liveness::Dead && partial.age_seconds >= grace);
            }
        }

        // The sizes are those of the files that are left, each counted once.
        let freed: u64 = plan.remove.iter().map(|removal| removal.bytes).sum();
        prop_assert_eq!(plan.size_before - freed, plan.size_after);
        let unfinished: u64 = plan.keep.iter()
            .filter(|kept| !matches!(kept.item, GcItem::Revision { .. }))
            .map(|kept| kept.bytes)
            .sum();
        prop_assert_eq!(plan.size_after, left.values().sum::<u64>() + unfinished);

        // It fits, or only what is protected is left.
        if let Some(limit) = max_size {
            let all_protected = plan.keep.iter().all(|kept| kept.reason.is_protection());
            prop_assert!(plan.size_after <= limit || all_protected);
        }
        // Without a limit no revision goes.
        if max_size.is_none() && keep_revisions.is_none() && unused_for.is_none() {
            prop_assert!(removed.is_empty());
        }
    }

    #[test]
    fn of_two_that_may_go_for_size_the_older_goes_first(
        revisions in prop::collection::vec(revision(), 2..8),
        max_size in 0..200_u64,
    ) {
        let report = report(&[revisions], &[], &[], true);
        let policy = GcPolicy {
            max_size: Some(ByteSize(max_size)), grace_period: Duration::ZERO, ..GcPolicy::default()
        };
        let removed = removed_revisions(&plan_gc(&report, &policy));
        let cached = &report.repos[0];
        let free = |revision: &&CachedRevision| {
            revision.leases.is_empty() && revision.pinned != Some(PinRole::Pinned) && revision.downloading.is_none()
        };
        let gone = |revision: &CachedRevision| removed.contains(&(cached.repo.to_string(), revision.commit.clone()));
        let oldest_kept = cached.revisions.iter().filter(free).filter(|r| !gone(r)).map(|r| r.last_activity).min();
        let youngest_gone = cached.revisions.iter().filter(|r| gone(r)).map(|r| r.last_activity).max();
        if let (Some(kept), Some(gone)) = (oldest_kept, youngest_gone) {
            prop_assert!(gone <= kept);
        }
    }
}
