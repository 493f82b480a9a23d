//! Bytes in any order become the file, and wrong bytes never do.

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use speech_flow_model_cache::{CacheError, QuarantineReason, WriteBudget, verify};
use speech_flow_model_types::RemoteFile;

use crate::{BIG, Kit, SEGMENT, content, deliver, entries, fill, git_file, lfs_file, repo};

async fn check_delivery(file: &RemoteFile, bytes: &[u8]) {
    let kit = Kit::new();
    let staging = kit.staging(file);
    deliver(&kit.cache, staging, bytes).await;
    assert_eq!(fs::read(kit.blob(file)).expect("reads"), bytes, "{file:?}");
    assert_eq!(kit.partials(), Vec::<std::path::PathBuf>::new(), "something was left: {file:?}");
}

#[tokio::test]
async fn files_of_every_length_and_hash_arrive_whole() {
    for len in [0, 1, 70_000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, BIG] {
        let bytes = content(len);
        check_delivery(&lfs_file("model.bin", &bytes), &bytes).await;
        check_delivery(&git_file("onnx/model.json", &bytes), &bytes).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_arrival_does_not_matter(seed in any::<u64>(), piece in 10_000_u64..200_000, lanes in 1_usize..6) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("runtime");
        runtime.block_on(async {
            let bytes = content(BIG);
            let file = lfs_file("model.bin", &bytes);
            let kit = Kit::new();
            let staging = kit.staging(&file);
            let mut pieces = staging.missing().segments(piece);
            let mut state = seed;
            pieces.sort_by_cached_key(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state >> 33
            });
            let staging = Arc::new(*staging);
            let mut running = tokio::task::JoinSet::new();
            for lane in 0..lanes {
                let pieces: Vec<_> = pieces.iter().skip(lane).step_by(lanes).cloned().collect();
                let (bytes, staging) = (Bytes::copy_from_slice(&bytes), Arc::clone(&staging));
                running.spawn(async move {
                    for range in pieces {
                        let part = bytes.slice(range.start as usize..range.end as usize);
                        staging.write(range.start, part).await.expect("writes");
                    }
                });
            }
            running.join_all().await;
            let staging = Arc::into_inner(staging).expect("all lanes ended");
            let staged = staging.finish().await.expect("finishes");
            assert_eq!(staged.digest(), file.digest);
            assert_eq!(fs::read(staged.path()).expect("reads"), bytes);
        });
    }
}

#[tokio::test]
async fn a_tiny_budget_bounds_memory_without_standing_still() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::with(|config| config.write_budget = WriteBudget::new(1));
    let staging = kit.staging(&file);
    staging.write(0, Bytes::from(bytes)).await.expect("one call larger than every budget");
    assert_eq!(staging.finish().await.expect("finishes").digest(), file.digest);
}

#[tokio::test]
async fn one_wrong_byte_is_never_visible_and_is_quarantined_with_its_reason() {
    for len in [100, BIG] {
        let mut bytes = content(len);
        let file = lfs_file("model.bin", &bytes);
        bytes[len / 2] ^= 1;
        let kit = Kit::new();
        let staging = kit.staging(&file);
        fill(&staging, &bytes, SEGMENT).await;
        let mismatch = verify(staging.finish().await.expect("finishes"), &file).expect_err("wrong");
        assert_eq!(mismatch.head(), &bytes[..len.min(512)]);
        assert_eq!(mismatch.actual, lfs_file("x", &bytes).digest);
        let entry = kit.cache.quarantine(mismatch, "one byte differs").expect("quarantines");
        let reason: QuarantineReason =
            serde_json::from_slice(&fs::read(entry.join("reason.json")).expect("reads")).expect("parses");
        assert_eq!((reason.file.as_str(), reason.expected, reason.data_kept), ("model.bin", file.digest, true));
        assert_eq!(fs::read(entry.join("data")).expect("reads"), bytes);
        assert!(!kit.blob(&file).exists());
        assert!(kit.partials().is_empty());
        assert_eq!(kit.staging(&file).resumed_bytes(), 0, "wrong bytes were resumed");
    }
}

#[tokio::test]
async fn a_mismatch_that_is_dropped_is_deleted() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", b"another");
    let file = RemoteFile { size: BIG as u64, ..file };
    let kit = Kit::new();
    let staging = kit.staging(&file);
    fill(&staging, &bytes, SEGMENT).await;
    drop(verify(staging.finish().await.expect("finishes"), &file).expect_err("wrong"));
    assert!(kit.partials().is_empty() && entries(&kit.cache.layout().quarantine()).is_empty());
}

#[tokio::test]
async fn bytes_that_are_there_cannot_be_overwritten_unhashed() {
    for len in [1000, BIG] {
        let bytes = content(len);
        let file = lfs_file("model.bin", &bytes);
        let kit = Kit::new();
        let staging = kit.staging(&file);
        staging.write(0, Bytes::copy_from_slice(&bytes[..len / 2])).await.expect("writes");
        staging.write(0, Bytes::from(vec![0; len / 4])).await.expect("ignored");
        staging.write(10, Bytes::copy_from_slice(&bytes[10..])).await.expect("its new part is taken");
        let staged = staging.finish().await.expect("finishes");
        assert_eq!(fs::read(staged.path()).expect("reads"), bytes);
        verify(staged, &file).expect("sound");
    }
}

#[tokio::test]
async fn a_restart_forgets_every_byte() {
    for len in [1000, BIG] {
        let bytes = content(len);
        let file = lfs_file("model.bin", &bytes);
        let kit = Kit::new();
        let staging = kit.staging(&file);
        staging.write(0, Bytes::from(vec![7; len * 3 / 4])).await.expect("writes");
        staging.restart().await.expect("restarts");
        assert_eq!(staging.missing().len(), len as u64);
        deliver(&kit.cache, staging, &bytes).await;
        assert_eq!(fs::read(kit.blob(&file)).expect("reads"), bytes);
    }
}

#[tokio::test]
async fn too_many_bytes_and_too_few_are_errors() {
    for len in [1000, BIG] {
        let bytes = content(len);
        let file = lfs_file("model.bin", &bytes);
        let kit = Kit::new();
        let staging = kit.staging(&file);
        let past = staging.write(len as u64 - 1, Bytes::from_static(b"ab")).await;
        assert!(matches!(past, Err(CacheError::PastTheEnd { end, .. }) if end == len as u64 + 1));
        staging.write(1, Bytes::copy_from_slice(&bytes[1..])).await.expect("writes");
        let short = staging.finish().await;
        assert!(matches!(short, Err(CacheError::Incomplete { missing: 1, .. })));
        assert!(!kit.blob(&file).exists());
    }
}

#[tokio::test]
async fn a_taken_partial_stops_its_old_writer() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    let staging = kit.staging(&file);
    fill(&staging, &bytes[..], SEGMENT).await;
    let partial = kit.partials().pop().expect("one");
    fs::rename(&partial, kit.path("taken")).expect("renames");
    assert!(matches!(staging.finish().await, Err(CacheError::PartialLost { .. })));
    assert!(kit.path("taken/data").exists(), "the old writer removed what is not its own");
    assert!(!kit.cache.has_blob(&repo(), &file));
}
