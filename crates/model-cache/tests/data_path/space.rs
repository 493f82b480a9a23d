//! No plan starts that cannot end, and a volume that fills up leaves a clean state.

use std::fs;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use speech_flow_model_cache::{CacheError, HEADROOM_BYTES, OwnerId, Stage, Writability, space};
use speech_flow_model_types::{Digest, RemoteFile};

use crate::{BIG, Kit, content, deliver, entries, lfs_file, open, repo};

fn huge(size: u64, mark: u8) -> RemoteFile {
    RemoteFile { size, digest: Digest::Sha256([mark; 32]), ..lfs_file("model.bin", b"") }
}

fn free(kit: &Kit) -> u64 {
    space(kit.folder.path()).expect("answers").expect("known").free
}

#[test]
fn plans_that_fit_alone_but_not_together_are_refused() {
    let kit = Kit::new();
    let size = free(&kit) / 10 * 6;
    let first = kit.cache.reserve(&repo(), [&huge(size, 1)]).expect("fits alone");
    let refused = kit.other().reserve(&repo(), [&huge(size, 2)]).expect_err("does not fit beside");
    let CacheError::NoSpace { needed, reserved_by_others, .. } = refused else { panic!("{refused}") };
    assert_eq!((needed, reserved_by_others), (size + HEADROOM_BYTES, size));
    assert_eq!(entries(&kit.cache.layout().reservations()).len(), 1, "a refused plan leaves no record");
    let same = kit.other().reserve(&repo(), [&huge(size, 1)]).expect("one blob takes its room once");
    drop((first, same));
    drop(kit.other().reserve(&repo(), [&huge(size, 2)]).expect("the room was given back"));
    assert!(entries(&kit.cache.layout().reservations()).is_empty());
}

#[test]
fn a_plan_larger_than_the_volume_is_refused_at_once_with_a_hint() {
    let kit = Kit::new();
    let refused = kit.cache.reserve(&repo(), [&huge(u64::MAX / 2, 1)]).expect_err("cannot fit");
    assert!(matches!(refused, CacheError::NoSpace { .. }) && refused.hint().is_some());
    assert!(!kit.cache.layout().root().exists(), "something was written first");
}

#[test]
fn a_dead_plan_holds_nothing() {
    let kit = Kit::new();
    let size = free(&kit) / 10 * 6;
    let first = kit.cache.reserve(&repo(), [&huge(size, 1)]).expect("fits");
    let record = entries(&kit.cache.layout().reservations()).pop().expect("one");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&record).expect("reads")).expect("parses");
    let dead = OwnerId { pid: 5_000_000, id: "00000000deadbeef".to_owned(), ..OwnerId::this_process().clone() };
    json["owner"] = serde_json::to_value(dead).expect("serializes");
    fs::write(&record, json.to_string()).expect("writes");
    let _second = kit.other().reserve(&repo(), [&huge(size, 2)]).expect("the dead one does not count");
    assert!(!record.exists());
    drop(first);
}

#[test]
fn of_plans_that_ask_at_once_as_many_win_as_fit() {
    for _ in 0..10 {
        let kit = Kit::new();
        let size = free(&kit) / 10 * 4;
        let answers = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..6)
                .map(|mark| {
                    scope.spawn({
                        let kit = &kit;
                        move || kit.other().reserve(&repo(), [&huge(size, mark)])
                    })
                })
                .collect();
            asking.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        });
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2, "{answers:?}");
    }
}

#[tokio::test]
async fn a_download_under_way_counts_itself_down() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    let _staging = kit.staging(&file);
    // Its room is taken already, and so is none to be reserved.
    drop(kit.cache.reserve(&repo(), [&file]).expect("fits"));
    let kept = entries(&kit.cache.layout().reservations());
    assert!(kept.is_empty(), "{kept:?}");
}

/// A volume of 3 MiB; `None`, said aloud, where this user cannot mount one.
struct TinyVolume(tempfile::TempDir);

impl TinyVolume {
    #[expect(clippy::print_stderr, reason = "a skipped test says so aloud")]
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("temp folder");
        let mounted = mount(folder.path()).is_some_and(|status| status.success());
        if !mounted {
            eprintln!("SKIPPED: this user cannot mount a small volume");
        }
        mounted.then_some(Self(folder))
    }
}

#[test]
fn a_read_only_volume_is_seen_without_a_write() {
    let Some(volume) = TinyVolume::mount() else { return };
    let cache = open(volume.0.path(), |_| {});
    assert_eq!(cache.writability(), Writability::Writable);
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(volume.0.path()).status();
    assert!(remounted.is_ok_and(|status| status.success()));
    assert_eq!(cache.writability(), Writability::ReadOnly);
    let refused = cache.stage(&repo(), &lfs_file("model.bin", b"x"));
    assert!(matches!(refused, Err(CacheError::ReadOnly { .. })));
}

fn mount(folder: &Path) -> Option<std::process::ExitStatus> {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(folder);
    Some(command.output().ok()?.status)
}

impl Drop for TinyVolume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_volume_that_fills_up_is_a_clear_error_and_the_rest_goes_on_after_room_was_made() {
    let Some(volume) = TinyVolume::mount() else { return };
    let cache = open(volume.0.path(), |_| {});
    let bytes = content(4 << 20);
    let file = lfs_file("model.bin", &bytes);
    // Allocation shows it before the first byte.
    let refused = cache.stage(&repo(), &file).expect_err("cannot be allocated");
    assert!(matches!(refused, CacheError::VolumeFull { .. }), "{refused:?}");
    assert!(entries(&cache.layout().partials(&repo())).is_empty());
    let refused = cache.reserve(&repo(), [&file]).expect_err("cannot be promised");
    assert!(matches!(refused, CacheError::NoSpace { .. }), "{refused:?}");

    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    fs::write(volume.0.path().join("ballast"), vec![0; (3 << 20) - (512 << 10)]).expect("fits");
    let small = content(900 << 10);
    let small_file = lfs_file("small.bin", &small);
    let Stage::Ready(staging) = cache.stage(&repo(), &small_file).expect("stages") else { panic!("ready") };
    staging.write(0, Bytes::from(small)).await.expect("in memory");
    let refused = staging.finish().await.expect_err("no room");
    assert!(matches!(refused, CacheError::VolumeFull { .. }), "{refused:?}");
    assert!(entries(&cache.layout().partials(&repo())).is_empty());
    fs::remove_file(volume.0.path().join("ballast")).expect("removes");
    let Stage::Ready(staging) = cache.stage(&repo(), &file).expect("stages") else { panic!("ready") };
    deliver(&cache, staging, &bytes).await;
}
