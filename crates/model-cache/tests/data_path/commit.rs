//! What a reader of the cache sees.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use speech_flow_model_cache::{CacheError, SnapshotFile, Stage, Symlinks};
use speech_flow_model_types::plan::{FileState, StoreView as _};
use speech_flow_model_types::{RemoteFile, RepoId};

use crate::{BIG, Kit, commit_hash, content, deliver, git_file, lfs_file, repo};

fn state(kit: &Kit, file: &RemoteFile) -> FileState {
    kit.cache.view(&repo(), &commit_hash()).state(file)
}

#[tokio::test]
async fn the_view_tells_each_state_of_a_file() {
    let bytes = content(BIG);
    let file = lfs_file("a/model.bin", &bytes);
    let kit = Kit::new();
    assert_eq!(state(&kit, &file), FileState::Absent);
    let staging = kit.staging(&file);
    staging.write(0, bytes::Bytes::copy_from_slice(&bytes[..300_000])).await.expect("writes");
    assert_eq!(state(&kit, &file), FileState::Absent, "a running download is not ours to count on");
    drop(staging);
    assert_eq!(state(&kit, &file), FileState::Partial { bytes_present: 300_000 });
    deliver(&kit.cache, kit.staging(&file), &bytes).await;
    assert_eq!(state(&kit, &file), FileState::Linked);
    fs::remove_file(kit.cache.layout().snapshot_file(&repo(), &commit_hash(), &file.path)).expect("removes");
    assert_eq!(state(&kit, &file), FileState::Blob);
}

#[tokio::test]
async fn a_snapshot_entry_is_a_relative_link_and_all_modes_follow_the_umask() {
    let bytes = b"{}";
    let file = git_file("a/b/config.json", bytes);
    let kit = Kit::new();
    deliver(&kit.cache, kit.staging(&file), bytes).await;
    kit.cache.write_tree(&repo(), &commit_hash(), std::slice::from_ref(&file)).expect("writes");
    kit.cache.write_ref(&repo(), &"refs/pr/1".parse().expect("valid"), &commit_hash()).expect("writes");
    kit.cache.write_no_exist(&repo(), &commit_hash(), &"x/y.json".parse().expect("valid")).expect("writes");
    let entry = kit.cache.snapshot_path(&repo(), &commit_hash()).join("a/b/config.json");
    let target = fs::read_link(&entry).expect("a link");
    assert_eq!(target, Path::new(&format!("../../../../blobs/{}", file.digest)));
    let plain = kit.path("plain");
    fs::write(&plain, b"").expect("writes");
    let mode = |path: &Path| fs::metadata(path).expect("exists").permissions().mode();
    let layout = kit.cache.layout();
    for path in [kit.blob(&file), layout.tree(&repo(), &commit_hash()), layout.cachedir_tag()] {
        assert_eq!(mode(&path), mode(&plain), "{}", path.display());
    }
    assert_eq!(kit.cache.read_tree(&repo(), &commit_hash()).expect("there"), std::slice::from_ref(&file));
    assert_eq!(kit.cache.read_ref(&repo(), &"refs/pr/1".parse().expect("valid")), Some(commit_hash()));
    assert!(kit.cache.is_known_missing(&repo(), &commit_hash(), &"x/y.json".parse().expect("valid")));
    let listed = kit.cache.snapshot_files(&repo(), &commit_hash());
    let expected = SnapshotFile { path: file.path.clone(), size: Some(2), digest: Some(file.digest) };
    assert_eq!(listed, [expected]);
    assert!(kit.partials().is_empty());
}

#[tokio::test]
async fn wrong_and_broken_entries_are_replaced() {
    let bytes = b"{}";
    let file = git_file("config.json", bytes);
    let kit = Kit::new();
    deliver(&kit.cache, kit.staging(&file), bytes).await;
    let entry = kit.cache.layout().snapshot_file(&repo(), &commit_hash(), &file.path);
    let outside = kit.path("outside");
    fs::write(&outside, b"[]").expect("writes");
    let other = kit.cache.layout().blobs(&repo()).join("0".repeat(40));
    fs::write(&other, b"[]").expect("writes");
    type Spoil<'a> = Box<dyn Fn() + 'a>;
    let spoils: [(&str, Spoil); 5] = [
        ("broken", Box::new(|| symlink("../../blobs/nothing", &entry).expect("links"))),
        ("out of the cache", Box::new(|| symlink(&outside, &entry).expect("links"))),
        ("another blob", Box::new(|| symlink(format!("../../blobs/{}", "0".repeat(40)), &entry).expect("links"))),
        ("short file", Box::new(|| fs::write(&entry, b"x").expect("writes"))),
        ("empty folder", Box::new(|| fs::create_dir(&entry).expect("makes"))),
    ];
    for (name, spoil) in spoils {
        fs::remove_file(&entry).expect("removes");
        spoil();
        assert_eq!(state(&kit, &file), FileState::Blob, "{name}");
        kit.cache.link(&repo(), &commit_hash(), [&file]).expect(name);
        assert_eq!(state(&kit, &file), FileState::Linked, "{name}");
        assert_eq!(fs::read(&entry).expect("reads"), bytes, "{name}");
    }
    assert_eq!(fs::read(&outside).expect("reads"), b"[]", "a link was written through");
}

#[tokio::test]
async fn without_symlinks_a_snapshot_holds_plain_files() {
    let bytes = content(BIG);
    let file = lfs_file("a/model.bin", &bytes);
    let kit = Kit::with(|config| config.symlinks = Symlinks::Never);
    deliver(&kit.cache, kit.staging(&file), &bytes).await;
    let entry = kit.cache.layout().snapshot_file(&repo(), &commit_hash(), &file.path);
    assert!(fs::symlink_metadata(&entry).expect("exists").is_file());
    assert_eq!(fs::read(&entry).expect("reads"), bytes);
    assert_eq!(state(&kit, &file), FileState::Linked);
    // The Python client moves the blob away in this mode: the file alone is enough.
    fs::remove_file(kit.blob(&file)).expect("removes");
    assert_eq!(state(&kit, &file), FileState::Linked);
}

#[test]
fn a_blob_in_the_shared_store_is_a_hit_and_one_outside_the_cache_is_not() {
    let bytes = b"payload";
    let file = lfs_file("model.bin", bytes);
    let kit = Kit::new();
    let blobs = kit.cache.layout().blobs(&repo());
    let store = kit.cache.layout().shared_blobs().join("ab");
    fs::create_dir_all(&blobs).expect("makes");
    fs::create_dir_all(&store).expect("makes");
    let name = "ab".repeat(32);
    fs::write(store.join(&name), bytes).expect("writes");
    symlink(format!("../../blobs/ab/{name}"), kit.blob(&file)).expect("links");
    assert!(matches!(kit.cache.stage(&repo(), &file).expect("answers"), Stage::Present));
    kit.cache.link(&repo(), &commit_hash(), [&file]).expect("links");
    assert_eq!(state(&kit, &file), FileState::Linked);
    let entry = kit.cache.layout().snapshot_file(&repo(), &commit_hash(), &file.path);
    assert_eq!(fs::read(&entry).expect("reads"), bytes);
    let entry = kit.cache.quarantine_file(&repo(), &commit_hash(), &file, None, "rotten").expect("quarantines");
    assert!(entry.join("reason.json").exists() && !kit.blob(&file).exists());
    assert!(store.join(&name).exists(), "the shared store is not ours to empty");

    fs::write(kit.path("outside"), bytes).expect("writes");
    symlink(kit.path("outside"), kit.blob(&file)).expect("links");
    assert_eq!(state(&kit, &file), FileState::Absent);
}

#[tokio::test]
async fn a_corrupt_blob_is_quarantined_and_then_fetched_anew() {
    let bytes = content(1000);
    let file = lfs_file("model.bin", &bytes);
    for symlinks in [Symlinks::Auto, Symlinks::Never] {
        let kit = Kit::with(|config| config.symlinks = symlinks);
        deliver(&kit.cache, kit.staging(&file), &bytes).await;
        fs::write(kit.blob(&file), vec![0; 1000]).expect("rots");
        let entry = kit.cache.quarantine_file(&repo(), &commit_hash(), &file, None, "rotten").expect("quarantines");
        assert_eq!(fs::read(entry.join("data")).expect("kept"), vec![0; 1000]);
        assert_eq!(state(&kit, &file), FileState::Absent, "{symlinks:?}");
        deliver(&kit.cache, kit.staging(&file), &bytes).await;
        let seen = kit.cache.layout().snapshot_file(&repo(), &commit_hash(), &file.path);
        assert_eq!(fs::read(seen).expect("reads"), bytes, "{symlinks:?}");
    }
}

#[tokio::test]
async fn corrupt_content_goes_from_every_snapshot_that_shares_it() {
    let bytes = content(1000);
    let file = lfs_file("a/model.bin", &bytes);
    let kit = Kit::with(|config| config.symlinks = Symlinks::Never);
    deliver(&kit.cache, kit.staging(&file), &bytes).await;
    let other = "d".repeat(40).parse().expect("valid");
    kit.cache.link(&repo(), &other, [&file]).expect("links");
    fs::write(kit.blob(&file), vec![0; 1000]).expect("rots");
    kit.cache.quarantine_file(&repo(), &commit_hash(), &file, None, "rotten").expect("quarantines");
    assert_eq!(kit.cache.view(&repo(), &other).state(&file), FileState::Absent);
}

#[tokio::test]
async fn a_corrupt_copy_does_not_cost_its_sound_blob() {
    let bytes = content(1000);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::with(|config| config.symlinks = Symlinks::Never);
    deliver(&kit.cache, kit.staging(&file), &bytes).await;
    let entry = kit.cache.layout().snapshot_file(&repo(), &commit_hash(), &file.path);
    fs::remove_file(&entry).expect("removes");
    fs::write(&entry, vec![0; 1000]).expect("a copy, as on a volume without hard links");
    let put_away = kit.cache.quarantine_file(&repo(), &commit_hash(), &file, None, "rotten").expect("quarantines");
    assert_eq!(fs::read(put_away.join("data")).expect("kept"), vec![0; 1000]);
    assert_eq!(state(&kit, &file), FileState::Blob);
    assert_eq!(fs::read(kit.blob(&file)).expect("reads"), bytes);
}

#[test]
fn a_link_without_a_blob_is_refused() {
    let kit = Kit::new();
    let refused = kit.cache.link(&repo(), &commit_hash(), [&git_file("config.json", b"{}")]);
    assert!(matches!(refused, Err(CacheError::BlobMissing { .. })));
}

#[test]
fn untrusted_refs_are_read_with_care() {
    let kit = Kit::new();
    let refs = kit.cache.layout().refs(&repo());
    fs::create_dir_all(&refs).expect("makes");
    let read = |content: &[u8]| {
        fs::write(refs.join("main"), content).expect("writes");
        kit.cache.read_ref(&repo(), &"main".parse().expect("valid"))
    };
    let commit = commit_hash();
    assert_eq!(read(format!(" {commit}\n").as_bytes()), Some(commit));
    for bad in [&b"../../x"[..], b"", &[0xff; 40], &[b'c'; 4000]] {
        assert_eq!(read(bad), None);
    }
    let absent: RepoId = "a/b".parse().expect("valid");
    assert_eq!(kit.cache.read_ref(&absent, &"main".parse().expect("valid")), None);
}
