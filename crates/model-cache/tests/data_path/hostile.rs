//! What another user of the volume may plant in the way of a download.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use speech_flow_model_cache::{CacheError, SILENT_AFTER, verify};
use speech_flow_model_types::{Digest, RemoteFile};

use crate::{BIG, Kit, commit_hash, content, deliver, fill, lfs_file, repo};

fn old(path: &Path) {
    let time = SystemTime::now() - SILENT_AFTER * 2;
    fs::File::open(path).expect("opens").set_modified(time).expect("sets");
}

/// Somebody's folder outside the cache.
fn treasure(kit: &Kit) -> PathBuf {
    let folder = kit.path("treasure");
    fs::create_dir_all(folder.join(".settings")).expect("makes");
    fs::write(folder.join("model.bin"), "mine").expect("writes");
    old(&folder.join(".settings"));
    folder
}

fn plant(place: PathBuf, target: &Path) {
    fs::create_dir_all(place.parent().expect("has one")).expect("makes");
    symlink(target, place).expect("links");
}

#[tokio::test]
async fn leftovers_behind_a_link_are_not_removed() {
    let kit = Kit::new();
    let treasure = treasure(&kit);
    plant(kit.cache.layout().partials(&repo()), &treasure);
    let big = content(BIG);
    let refused = kit.cache.stage(&repo(), &lfs_file("model.bin", &big)).expect_err("the folder is a link");
    assert!(matches!(refused, CacheError::Io { .. }), "{refused}");
    assert!(treasure.join(".settings").exists(), "somebody's folder was removed");
    assert_eq!(fs::read_dir(&treasure).expect("reads").count(), 2);
}

#[tokio::test]
async fn a_snapshot_that_leads_elsewhere_is_not_written_to() {
    let kit = Kit::new();
    let treasure = treasure(&kit);
    let small = content(100);
    let file = lfs_file("model.bin", &small);
    plant(kit.cache.layout().snapshot(&repo(), &commit_hash()), &treasure);
    let staging = kit.staging(&file);
    fill(&staging, &small, 50).await;
    let staged = staging.finish().await.expect("finishes");
    kit.cache.commit_blob(verify(staged, &file).expect("sound")).expect("commits");
    kit.cache.link(&repo(), &commit_hash(), [&file]).expect_err("the snapshot is a link");
    assert_eq!(fs::read(treasure.join("model.bin")).expect("reads"), b"mine");
}

#[test]
fn refs_that_lead_elsewhere_are_not_written_to() {
    let kit = Kit::new();
    let heads = kit.path("heads");
    fs::create_dir_all(&heads).expect("makes");
    fs::write(heads.join("main"), "mine").expect("writes");
    plant(kit.cache.layout().refs(&repo()), &heads);
    let main = "main".parse().expect("valid");
    kit.cache.write_ref(&repo(), &main, &commit_hash()).expect_err("the folder is a link");
    assert_eq!(fs::read(heads.join("main")).expect("reads"), b"mine");
}

#[tokio::test]
async fn a_cache_and_a_repository_that_are_links_are_used() {
    let kit = Kit::new();
    let elsewhere = kit.path("other-disk");
    fs::create_dir_all(elsewhere.join("repo")).expect("makes");
    plant(kit.cache.layout().root().to_owned(), &elsewhere);
    plant(kit.cache.layout().repo(&repo()), &elsewhere.join("repo"));
    let small = content(100);
    let file = lfs_file("model.bin", &small);
    deliver(&kit.cache, kit.staging(&file), &small).await;
    assert!(kit.cache.is_linked(&repo(), &commit_hash(), &file));
}

#[tokio::test]
async fn a_link_in_place_of_a_partials_data_is_not_written_through() {
    let kit = Kit::new();
    let big = content(BIG);
    let file = lfs_file("model.bin", &big);
    let staging = kit.staging(&file);
    staging.write(0, Bytes::copy_from_slice(&big[..BIG / 2])).await.expect("writes");
    drop(staging);
    let data = kit.partials().pop().expect("a partial is left").join("data");
    let victim = kit.path("victim");
    let mine = vec![7; BIG];
    fs::write(&victim, &mine).expect("writes");
    fs::remove_file(&data).expect("removes");
    plant(data, &victim);
    let staging = kit.staging(&file);
    assert_eq!(staging.resumed_bytes(), 0, "somebody's file was taken for what had arrived");
    deliver(&kit.cache, staging, &big).await;
    assert!(fs::read(&victim).expect("reads") == mine, "somebody's file was written over");
}

#[test]
fn lengths_that_cannot_be_added_up_do_not_fit() {
    let kit = Kit::new();
    let huge = |mark: u8| RemoteFile { size: u64::MAX, digest: Digest::Sha256([mark; 32]), ..lfs_file("m", b"") };
    for files in [vec![huge(1)], vec![huge(1), huge(2)]] {
        let refused = kit.cache.reserve(&repo(), &files).expect_err("cannot fit");
        assert!(matches!(refused, CacheError::NoSpace { .. }), "{refused}");
    }
}
