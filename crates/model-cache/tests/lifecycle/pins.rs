use std::time::Duration;

use jiff::Timestamp;
use speech_flow_model_cache::{
    Cache, CacheConfig, CacheError, ClearTarget, Completeness, Hold, ModelRecord, RecordedFile,
};
use speech_flow_model_types::{ByteSize, Digest, Revision, file_set_digest};

use crate::fixture::{Fixture, commit, repo, strict, write};

#[test]
fn a_pinned_commit_stays_until_it_is_unpinned() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}")], &["main"]);
    let cache = fixture.cache();
    let pin = cache.pin(&repo("o/a"), &Revision::main(), &commit('1')).unwrap();
    assert_eq!(cache.pins().unwrap(), std::slice::from_ref(&pin));
    let target = [ClearTarget::Repo(repo("o/a"))];
    assert_eq!(cache.clear(&target).unwrap().refused[0].hold, Hold::Pinned);
    assert_eq!(cache.unpin(&repo("o/a"), Some(&Revision::main())).unwrap(), [pin]);
    assert_eq!(cache.clear(&target).unwrap().removed.len(), 1);
    assert_eq!(cache.unpin(&repo("o/a"), None).unwrap(), []);
}

#[test]
fn the_commit_pinned_before_is_remembered_and_kept_for_unseen_readers() {
    let fixture = Fixture::new();
    for digit in ['1', '2', '3'] {
        fixture.revision("o/a", digit, &[("config.json", &[digit as u8])], &[]);
    }
    let cache = fixture.cache();
    let revision: Revision = "refs/pr/1".parse().unwrap();
    for digit in ['1', '2', '3', '3'] {
        cache.pin(&repo("o/a"), &revision, &commit(digit)).unwrap();
    }
    assert_eq!(cache.pins().unwrap()[0].previous, Some(commit('2')));
    let policy = speech_flow_model_cache::GcPolicy { max_size: Some(ByteSize(0)), ..strict() };
    cache.gc(&policy).unwrap();
    let left = |digit| fixture.snapshot("o/a", digit).exists();
    assert_eq!((left('1'), left('2'), left('3')), (false, true, true));
    let seen = Cache::open(CacheConfig { lease_dir: Some(fixture.lease_dir()), ..fixture.config() }).unwrap();
    seen.gc(&policy).unwrap();
    assert_eq!((left('2'), left('3')), (false, true));
}

#[test]
fn a_damaged_pin_protects_its_repository_and_is_reported() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}")], &[]);
    fixture.revision("o/b", '1', &[("config.json", b"{}")], &[]);
    write(&fixture.state().join("pins/models--o--a/main.json"), b"not json");
    let cache = fixture.cache();
    assert!(matches!(cache.pins(), Err(CacheError::RecordUnreadable { .. })));
    let targets = [ClearTarget::Repo(repo("o/a")), ClearTarget::Repo(repo("o/b"))];
    let report = cache.clear(&targets).unwrap();
    assert_eq!((report.refused[0].repo.as_str(), report.removed[0].repo.as_str()), ("o/a", "o/b"));
    assert_eq!(cache.scan().unwrap().problems.len(), 1);
}

fn record(fetched_at: Timestamp) -> ModelRecord {
    let content = Digest::GitSha1([7; 20]);
    let file = RecordedFile { path: "config.json".parse().unwrap(), size: 2, digest: content };
    ModelRecord {
        name: "tiny".to_owned(),
        repo: repo("o/a"),
        revision: Revision::main(),
        commit: commit('1'),
        digest: file_set_digest([(&file.path, file.size, &file.digest)]),
        files: vec![file],
        license: Some("mit".to_owned()),
        base_model: None,
        source: Some("https://hub.example".to_owned()),
        fetched_at,
    }
}

#[test]
fn what_was_fetched_is_read_back_and_decides_what_complete_means() {
    let fixture = Fixture::new();
    // The commit has a second file that nobody asked for.
    fixture.revision("o/a", '1', &[("config.json", b"{}"), ("other.bin", b"x")], &["main"]);
    std::fs::remove_file(fixture.snapshot("o/a", '1').join("other.bin")).unwrap();
    let cache = fixture.cache();
    let completeness = || cache.scan().unwrap().repos[0].revisions[0].completeness.clone();
    assert_eq!(completeness(), Completeness::Incomplete { missing: vec!["other.bin".parse().unwrap()] });
    let written = record(Timestamp::now());
    cache.record_fetch(&written).unwrap();
    assert_eq!(cache.read_record(&repo("o/a"), &commit('1')).unwrap(), Some(written));
    assert_eq!(completeness(), Completeness::Complete);
    let age = cache.last_used(&repo("o/a"), &commit('1')).unwrap().elapsed().unwrap_or_default();
    assert!(age < Duration::from_secs(60));
}

#[test]
fn nothing_is_recorded_on_a_read_only_cache() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}")], &["main"]);
    let before = fixture.listing();
    let cache = fixture.read_only();
    cache.record_fetch(&record(Timestamp::now())).unwrap();
    assert!(matches!(cache.pin(&repo("o/a"), &Revision::main(), &commit('1')), Err(CacheError::ReadOnly { .. })));
    assert!(matches!(cache.unpin(&repo("o/a"), None), Err(CacheError::ReadOnly { .. })));
    assert!(matches!(cache.clear(&[ClearTarget::Repo(repo("o/a"))]), Err(CacheError::ReadOnly { .. })));
    assert!(matches!(cache.gc(&strict()), Err(CacheError::ReadOnly { .. })));
    assert_eq!(fixture.listing(), before);
}
