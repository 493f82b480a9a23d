use std::time::Duration;

use speech_flow_model_cache::{GcItem, GcPolicy, GcReport, KeepReason, OrphanKind, RemoveReason};
use speech_flow_model_types::ByteSize;

use crate::fixture::{DAY, Fixture, OtherProcess, SILENT, commit, make_older, repo, strict, write};

fn removed(report: &GcReport) -> Vec<(String, RemoveReason)> {
    let commit_of = |item: &GcItem| match item {
        GcItem::Revision { commit, .. } => commit.as_str()[..1].to_owned(),
        GcItem::Partial { .. } => "partial".to_owned(),
        GcItem::Orphan { kind, .. } => format!("{kind:?}"),
    };
    report.removed.iter().map(|removal| (commit_of(&removal.item), removal.reason)).collect()
}

/// Three revisions of 10 bytes each; the first was used last.
fn three_revisions(fixture: &Fixture) {
    for (digit, days) in [('1', 10), ('2', 30), ('3', 20)] {
        let content = [digit as u8; 10];
        fixture.revision("o/a", digit, &[("model.bin", &content)], &[]);
        make_older(&fixture.snapshot("o/a", digit), DAY * 100);
        let mark = fixture.state().join("usage/models--o--a").join(format!("{}.used", commit(digit)));
        write(&mark, b"");
        make_older(&mark, DAY * days);
    }
}

#[test]
fn the_least_recently_used_go_until_the_size_fits() {
    let fixture = Fixture::new();
    three_revisions(&fixture);
    let policy = GcPolicy { max_size: Some(ByteSize(15)), ..GcPolicy::default() };
    let report = fixture.cache().gc(&policy).unwrap();
    let over = RemoveReason::OverSize;
    assert_eq!(removed(&report), [("2".to_owned(), over), ("3".to_owned(), over)]);
    assert_eq!((report.freed_bytes, report.size_before, report.size_after), (20, 30, 10));
    assert_eq!(fixture.cache().scan().unwrap().size_on_disk, 10);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["removed"][0]["item"], "revision");
    assert_eq!(json["removed"][0]["reason"], "over-size");
    assert_eq!(json["kept"][0]["reason"], "within-limits");
}

#[test]
fn what_nobody_used_for_long_goes() {
    let fixture = Fixture::new();
    three_revisions(&fixture);
    let policy = GcPolicy { unused_for: Some(DAY * 25), ..GcPolicy::default() };
    assert_eq!(removed(&fixture.cache().gc(&policy).unwrap()), [("2".to_owned(), RemoveReason::Unused)]);
}

#[test]
fn revisions_beyond_the_number_to_keep_go_but_a_ref_keeps_its_own() {
    let fixture = Fixture::new();
    three_revisions(&fixture);
    write(&fixture.repo("o/a").join("refs/main"), commit('2').as_str().as_bytes());
    let policy = GcPolicy { keep_revisions: Some(2), ..GcPolicy::default() };
    assert_eq!(removed(&fixture.cache().gc(&policy).unwrap()), [("3".to_owned(), RemoveReason::TooManyRevisions)]);
}

#[test]
fn what_is_young_or_leased_stays_whatever_the_size() {
    let fixture = Fixture::new();
    three_revisions(&fixture);
    let other = OtherProcess::start();
    other.lease(&fixture.state().join("leases"), "o/a", '2');
    let mark = fixture.state().join("usage/models--o--a").join(format!("{}.used", commit('3')));
    make_older(&mark, DAY / 2);
    let policy = GcPolicy { max_size: Some(ByteSize(0)), ..GcPolicy::default() };
    let report = fixture.cache().gc(&policy).unwrap();
    assert_eq!(removed(&report), [("1".to_owned(), RemoveReason::OverSize)]);
    let reasons: Vec<_> = report.kept.iter().map(|kept| kept.reason).collect();
    assert_eq!(reasons, [KeepReason::Leased, KeepReason::Young]);
}

#[test]
fn a_dry_run_says_the_same_and_touches_nothing() {
    let fixture = Fixture::new();
    three_revisions(&fixture);
    let before = fixture.listing();
    let policy = GcPolicy { max_size: Some(ByteSize(15)), dry_run: true, ..GcPolicy::default() };
    let planned = fixture.cache().gc(&policy).unwrap();
    assert_eq!(fixture.listing(), before);
    let done = fixture.cache().gc(&GcPolicy { dry_run: false, ..policy }).unwrap();
    assert_eq!((planned.removed, planned.freed_bytes), (done.removed, done.freed_bytes));
}

#[test]
fn a_dead_partial_goes_after_the_grace_period_and_a_live_one_never() {
    let fixture = Fixture::new();
    let mut other = OtherProcess::start();
    let partial = fixture.partial("o/a", &other.owner, b"part", DAY * 2);
    let cache = fixture.cache();
    assert_eq!(removed(&cache.gc(&strict()).unwrap()), []);
    other.kill();
    let patient = GcPolicy { grace_period: DAY * 3, ..GcPolicy::default() };
    assert_eq!(removed(&cache.gc(&patient).unwrap()), []);
    assert!(partial.exists());
    let report = cache.gc(&GcPolicy::default()).unwrap();
    assert_eq!(removed(&report), [("partial".to_owned(), RemoveReason::DeadDownload)]);
    assert!(report.freed_bytes >= 4);
    assert!(!fixture.repo("o/a").exists());
}

#[test]
fn python_downloads_go_only_when_they_have_not_grown_for_long() {
    let fixture = Fixture::new();
    let path = fixture.repo("o/a").join("blobs").join(format!("{}.0a1b2c3d.incomplete", "e".repeat(64)));
    write(&path, b"part");
    let cache = fixture.cache();
    let patience = Duration::from_secs(3600);
    for (age, stays) in [(Duration::ZERO, true), (SILENT, true), (patience * 2, false)] {
        make_older(&path, age);
        cache.gc(&GcPolicy { incomplete_after: patience, ..strict() }).unwrap();
        assert_eq!(path.exists(), stays, "{age:?} old");
    }
}

#[test]
fn unnamed_blobs_go_after_the_grace_period_and_unused_payloads_too() {
    let fixture = Fixture::new();
    let orphan = fixture.blob("o/a", b"nobody names me");
    write(&orphan, b"nobody names me");
    let payload = fixture.shared_blob("o/b", '1', "model.bin", b"payload");
    // The Python client was killed between unlink and sweep.
    std::fs::remove_dir_all(fixture.repo("o/b")).unwrap();
    let cache = fixture.cache();
    assert_eq!(removed(&cache.gc(&GcPolicy::default()).unwrap()), []);
    make_older(&orphan, DAY * 2);
    make_older(&payload, DAY * 2);
    let report = cache.gc(&GcPolicy::default()).unwrap();
    let unnamed = RemoveReason::Unnamed;
    let expected = [OrphanKind::Blob, OrphanKind::SharedPayload].map(|kind| (format!("{kind:?}"), unnamed));
    assert_eq!(removed(&report), expected);
    assert_eq!(report.freed_bytes, 15 + 7);
    assert!(!payload.exists() && !orphan.exists());
}

#[test]
fn leases_of_dead_owners_are_removed() {
    let fixture = Fixture::new();
    let mut other = OtherProcess::start();
    let path = other.lease(&fixture.state().join("leases"), "o/a", '1');
    other.kill();
    let report = fixture.cache().gc(&GcPolicy::default()).unwrap();
    assert_eq!((report.dead_leases_removed, path.exists()), (1, false));
    assert!(fixture.cache().clear(&[speech_flow_model_cache::ClearTarget::Repo(repo("o/a"))]).is_ok());
}
