use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use speech_flow_model_cache::{Access, Cache, CacheConfig, CacheError, ClearTarget, Hold, Liveness, OwnerId};

use crate::fixture::{Fixture, OtherProcess, SILENT, commit, make_older, repo, write};

#[test]
fn a_lease_protects_until_it_is_dropped() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}")], &["main"]);
    let cache = fixture.cache();
    let lease = cache.lease(&repo("o/a"), &commit('1')).unwrap();
    assert!(lease.is_recorded() && lease.is_held());
    let seen = cache.leases().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].owner.as_ref(), seen[0].liveness), (Some(OwnerId::this_process()), Liveness::Alive));

    let target = [ClearTarget::Revision(repo("o/a"), commit('1'))];
    let report = cache.clear(&target).unwrap();
    assert!(report.removed.is_empty());
    assert!(matches!(&report.refused[0].hold, Hold::Leased { lease } if lease.owner == seen[0].owner));
    assert!(fixture.snapshot("o/a", '1').join("config.json").exists());
    assert_eq!(cache.read_ref(&repo("o/a"), &"main".parse().unwrap()), Some(commit('1')));

    drop(lease);
    assert_eq!(cache.leases().unwrap(), []);
    assert_eq!(cache.clear(&target).unwrap().freed_bytes, 2);
}

#[test]
fn there_is_no_lease_on_what_is_not_there() {
    let fixture = Fixture::new();
    let cache = fixture.cache();
    let refused = cache.lease(&repo("o/a"), &commit('1'));
    assert!(matches!(refused, Err(CacheError::SnapshotGone { .. })));
    assert_eq!(fs::read_dir(fixture.state().join("leases")).unwrap().count(), 0, "the lease was given back");
}

#[test]
fn a_read_only_cache_without_a_folder_for_leases_is_not_written_to() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}")], &["main"]);
    let before = fixture.listing();
    let cache = fixture.read_only();
    let lease = cache.lease(&repo("o/a"), &commit('1')).unwrap();
    assert!(!lease.is_recorded() && !lease.is_held());
    cache.record_use(&repo("o/a"), &commit('1'));
    cache.scan().unwrap();
    drop(lease);
    assert_eq!(fixture.listing(), before);
}

#[test]
fn a_reader_of_a_read_only_mount_is_seen_through_the_shared_folder() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}")], &["main"]);
    let lease_dir = Some(fixture.lease_dir());
    let reader = CacheConfig { access: Access::ReadOnly, lease_dir: lease_dir.clone(), ..fixture.config() };
    let lease = Cache::open(reader).unwrap().lease(&repo("o/a"), &commit('1')).unwrap();
    assert!(lease.is_held());
    let cleaner = Cache::open(CacheConfig { lease_dir, ..fixture.config() }).unwrap();
    let report = cleaner.clear(&[ClearTarget::Repo(repo("o/a"))]).unwrap();
    assert_eq!((report.removed.len(), report.refused.len()), (0, 1));
    drop(lease);
    assert_eq!(cleaner.clear(&[ClearTarget::Repo(repo("o/a"))]).unwrap().removed.len(), 1);
}

#[test]
fn the_lease_of_a_killed_process_expires_at_once() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}")], &["main"]);
    let mut other = OtherProcess::start();
    let path = other.lease(&fixture.state().join("leases"), "o/a", '1');
    // However old its heartbeat: the process table knows better.
    make_older(&path, SILENT);
    let cache = fixture.cache();
    assert_eq!(cache.leases().unwrap()[0].owner.as_ref(), Some(&other.owner));
    assert!(cache.clear(&[ClearTarget::Repo(repo("o/a"))]).unwrap().removed.is_empty());
    other.kill();
    assert_eq!(cache.leases().unwrap(), []);
    assert_eq!(cache.clear(&[ClearTarget::Repo(repo("o/a"))]).unwrap().removed.len(), 1);
    assert!(!path.exists());
}

#[test]
fn a_lease_from_another_machine_expires_with_its_heartbeat() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}")], &["main"]);
    let mut other = OtherProcess::start();
    other.owner.host = "another".to_owned();
    let path = other.lease(&fixture.state().join("leases"), "o/a", '1');
    other.kill();
    let cache = fixture.cache();
    assert_eq!(cache.leases().unwrap().len(), 1);
    make_older(&path, SILENT);
    assert_eq!(cache.leases().unwrap(), []);
}

#[test]
fn a_damaged_lease_counts_as_long_as_it_is_fresh() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}")], &["main"]);
    let path = fixture.state().join("leases").join(format!("models--o--a.{}.0-0.json", commit('1')));
    write(&path, b"{\"owner\":");
    let cache = fixture.cache();
    assert_eq!(cache.leases().unwrap()[0].owner, None);
    assert!(cache.clear(&[ClearTarget::Repo(repo("o/a"))]).unwrap().removed.is_empty());
    make_older(&path, SILENT);
    assert_eq!(cache.leases().unwrap(), []);
}

#[test]
fn a_process_notices_that_its_lease_was_taken() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}")], &["main"]);
    let lease = fixture.cache().lease(&repo("o/a"), &commit('1')).unwrap();
    for entry in fs::read_dir(fixture.state().join("leases")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert!(lease.is_recorded() && !lease.is_held());
}

#[test]
fn whoever_got_a_lease_can_read_while_a_cleaner_tries_all_the_time() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}"), ("a/model.bin", b"weights")], &["main"]);
    let cache = fixture.cache();
    let done = AtomicBool::new(false);
    /// Ends the cleaner, also when the reader fails.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let cleaned = std::thread::scope(|scope| {
        let cleaner = scope.spawn(|| {
            let mut cleaned = 0;
            while !done.load(Ordering::Relaxed) {
                let report = cache.clear(&[ClearTarget::Revision(repo("o/a"), commit('1'))]).unwrap();
                if !report.removed.is_empty() {
                    cleaned += 1;
                    fixture.revision("o/a", '1', &[("config.json", b"{}"), ("a/model.bin", b"weights")], &["main"]);
                }
            }
            cleaned
        });
        let finished = Done(&done);
        let mut read = 0;
        while read < 100 {
            match cache.lease(&repo("o/a"), &commit('1')) {
                Ok(lease) => {
                    // The writer in this test builds the snapshot file by file: wait until it is whole.
                    let path = fixture.snapshot("o/a", '1');
                    if path.join("a/model.bin").exists() {
                        for _ in 0..20 {
                            assert_eq!(fs::read(path.join("config.json")).unwrap(), b"{}");
                            assert_eq!(fs::read(path.join("a/model.bin")).unwrap(), b"weights");
                        }
                        read += 1;
                    }
                    drop(lease);
                }
                Err(CacheError::SnapshotGone { .. }) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
        drop(finished);
        cleaner.join().unwrap()
    });
    assert!(cleaned > 0, "the cleaner never won: the test shows nothing");
}
