//! Locks save work; without them everything is still right.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use speech_flow_model_cache::{Access, CacheError, Stage};

use crate::{BIG, Kit, commit_hash, content, deliver, entries, lfs_file, open, ready, repo};

#[tokio::test]
async fn a_second_download_waits_and_then_finds_the_blob() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    let first = kit.staging(&file);
    assert!(first.is_locked());
    let Stage::Busy(busy) = kit.other().stage(&repo(), &file).expect("stages") else { panic!("must wait") };
    let Stage::Busy(busy) = busy.try_again().expect("looks") else { panic!("must wait on") };
    deliver(&kit.cache, first, &bytes).await;
    assert!(matches!(busy.try_again().expect("looks"), Stage::Present));
}

#[tokio::test]
async fn a_waiter_takes_over_what_the_first_one_left() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    let first = kit.staging(&file);
    first.write(0, Bytes::copy_from_slice(&bytes[..500_000])).await.expect("writes");
    let Stage::Busy(busy) = kit.other().stage(&repo(), &file).expect("stages") else { panic!("must wait") };
    drop(first);
    let second = ready(busy.try_again().expect("looks"));
    assert_eq!((second.resumed_bytes(), second.is_locked()), (500_000, true));
    deliver(&kit.cache, second, &bytes).await;
}

#[tokio::test]
async fn a_holder_that_does_nothing_is_passed_by() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    let first = kit.staging(&file);
    let hasty = open(kit.folder.path(), |config| config.stale_lock_after = Duration::from_millis(30));
    let Stage::Busy(mut busy) = hasty.stage(&repo(), &file).expect("stages") else { panic!("must wait") };
    // The Python client's download counts as progress as well.
    let incomplete = kit.cache.layout().blobs(&repo()).join(format!("{}.0a1b2c3d.incomplete", file.digest));
    fs::create_dir_all(incomplete.parent().expect("has one")).expect("makes");
    for step in 1..4 {
        fs::write(&incomplete, vec![0; step]).expect("writes");
        tokio::time::sleep(Duration::from_millis(40)).await;
        let Stage::Busy(still) = busy.try_again().expect("looks") else { panic!("it grew") };
        assert!(still.still_for() < Duration::from_millis(30));
        busy = still;
    }
    tokio::time::sleep(Duration::from_millis(40)).await;
    let second = ready(busy.try_again().expect("looks"));
    assert!(!second.is_locked());
    deliver(&kit.cache, second, &bytes).await;
    // The first one ends right as well.
    deliver(&kit.cache, first, &bytes).await;
    assert_eq!(fs::read(kit.blob(&file)).expect("reads"), bytes);
}

fn race(locks_work: bool) {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    if !locks_work {
        fs::create_dir_all(kit.cache.layout().root()).expect("makes");
        fs::write(kit.cache.layout().locks(), b"no folder").expect("writes");
    }
    let downloads = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let cache = kit.other();
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
                let mut stage = cache.stage(&repo(), &file).expect("stages");
                loop {
                    match stage {
                        Stage::Present => break cache.link(&repo(), &commit_hash(), [&file]).expect("links"),
                        Stage::Busy(busy) => {
                            std::thread::sleep(Duration::from_millis(2));
                            stage = busy.try_again().expect("looks");
                        }
                        Stage::Ready(staging) => {
                            downloads.fetch_add(1, Ordering::Relaxed);
                            break runtime.block_on(deliver(&cache, staging, &bytes));
                        }
                    }
                }
            });
        }
    });
    let downloads = downloads.into_inner();
    assert!(if locks_work { downloads == 1 } else { downloads >= 1 }, "{downloads} downloads");
    assert!(kit.cache.is_linked(&repo(), &commit_hash(), &file));
    assert_eq!(fs::read(kit.blob(&file)).expect("reads"), bytes);
    assert!(kit.partials().is_empty());
    assert_eq!(entries(&kit.cache.layout().blobs(&repo())).len(), 1);
}

#[test]
fn eight_downloads_with_locks_fetch_once() {
    race(true);
}

#[test]
fn eight_downloads_without_locks_all_end_right() {
    race(false);
}

#[tokio::test]
async fn a_read_only_cache_answers_and_is_never_written_to() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    deliver(&kit.cache, kit.staging(&file), &bytes).await;
    let before = listing(&kit);
    let cache = open(kit.folder.path(), |config| config.access = Access::ReadOnly);
    assert!(matches!(cache.stage(&repo(), &file).expect("answers"), Stage::Present));
    let other = lfs_file("other.bin", b"other");
    let main = "main".parse().expect("valid");
    for refused in [
        cache.stage(&repo(), &other).map(drop),
        cache.write_ref(&repo(), &main, &commit_hash()),
        cache.write_tree(&repo(), &commit_hash(), std::slice::from_ref(&file)),
        cache.reserve(&repo(), [&other]).map(drop),
        cache.link(&repo(), &"d".repeat(40).parse().expect("valid"), [&file]),
    ] {
        assert!(matches!(refused, Err(CacheError::ReadOnly { .. })), "{refused:?}");
    }
    assert_eq!(listing(&kit), before);
}

fn listing(kit: &Kit) -> Vec<std::path::PathBuf> {
    let mut all = vec![kit.folder.path().to_owned()];
    let mut at = 0;
    while let Some(folder) = all.get(at).cloned() {
        at += 1;
        if !folder.is_symlink() {
            all.extend(entries(&folder));
        }
    }
    all.sort();
    all
}
