//! A download that ended early goes on where it stopped, and trusts nothing that it cannot check.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use speech_flow_model_cache::{OwnerId, PartialOwner, verify};
use speech_flow_model_types::{RangeSet, RemoteFile};

use crate::{BIG, Kit, SEGMENT, content, deliver, fill, lfs_file, ready, repo};

const HALF: usize = BIG / 2;

/// A download that got half of the file and was dropped; its partial.
async fn half(kit: &Kit, file: &RemoteFile, bytes: &[u8]) -> std::path::PathBuf {
    let staging = kit.staging(file);
    staging.write(0, Bytes::copy_from_slice(&bytes[..HALF])).await.expect("writes");
    drop(staging);
    kit.partials().pop().expect("a partial is left")
}

fn set_owner(partial: &Path, change: impl FnOnce(&mut PartialOwner)) {
    let path = partial.join("owner.json");
    let mut owner: PartialOwner = serde_json::from_slice(&fs::read(&path).expect("reads")).expect("parses");
    change(&mut owner);
    fs::write(&path, serde_json::to_vec(&owner).expect("serializes")).expect("writes");
}

fn dead() -> OwnerId {
    OwnerId { pid: 5_000_000, id: "00000000deadbeef".to_owned(), ..OwnerId::this_process().clone() }
}

#[tokio::test]
async fn a_dropped_download_goes_on_with_every_byte_it_had() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    half(&kit, &file, &bytes).await;
    let staging = kit.staging(&file);
    assert_eq!(staging.resumed_bytes(), HALF as u64);
    assert_eq!(staging.missing(), std::iter::once(HALF as u64..BIG as u64).collect::<RangeSet>());
    assert_eq!(kit.partials().len(), 1, "claimed, not copied");
    deliver(&kit.cache, staging, &bytes).await;
    assert_eq!(fs::read(kit.blob(&file)).expect("reads"), bytes);
}

#[tokio::test]
async fn a_dead_owners_partial_is_claimed_and_a_living_ones_is_not() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    let partial = half(&kit, &file, &bytes).await;
    set_owner(&partial, |record| record.released = false);
    let staging = kit.staging(&file);
    assert_eq!(staging.resumed_bytes(), 0, "a living owner's partial was taken");
    drop(staging);
    set_owner(&partial, |record| record.owner = dead());
    assert_eq!(kit.staging(&file).resumed_bytes(), HALF as u64);
}

#[tokio::test]
async fn of_several_dead_partials_the_fullest_is_kept_and_the_others_go() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    let partial = half(&kit, &file, &bytes).await;
    let fuller = kit.cache.layout().partial(&repo(), &file.digest, "00000000000000aa");
    {
        let other = Kit::new();
        let staging = other.staging(&file);
        staging.write(0, Bytes::copy_from_slice(&bytes[..HALF + 1000])).await.expect("writes");
        drop(staging);
        fs::rename(other.partials().pop().expect("one"), &fuller).expect("same volume");
        set_owner(&fuller, |record| record.id = "00000000000000aa".to_owned());
    }
    let staging = kit.staging(&file);
    assert_eq!(staging.resumed_bytes(), HALF as u64 + 1000);
    assert!(!partial.exists() && !fuller.exists());
    assert_eq!(kit.partials().len(), 1);
}

#[tokio::test]
async fn a_download_that_got_nothing_leaves_nothing() {
    let file = lfs_file("model.bin", &content(BIG));
    let kit = Kit::new();
    drop(kit.staging(&file));
    assert!(kit.partials().is_empty());
}

#[test]
fn what_a_crash_left_half_prepared_goes_when_it_is_old() {
    let file = lfs_file("model.bin", &content(BIG));
    let kit = Kit::new();
    let folder = kit.cache.layout().partials(&repo());
    let old = std::time::SystemTime::now() - Duration::from_secs(1000);
    fs::create_dir_all(folder.join(".stage-folder")).expect("makes");
    fs::File::open(folder.join(".stage-folder")).expect("opens").set_modified(old).expect("sets");
    fs::File::create(folder.join(".clock-old")).expect("makes").set_modified(old).expect("sets");
    fs::write(folder.join(".stage-fresh"), b"").expect("writes");
    let _staging = kit.staging(&file);
    let left: Vec<_> =
        kit.partials().into_iter().filter(|path| path.to_string_lossy().contains("/.partial/.")).collect();
    assert_eq!(left, [folder.join(".stage-fresh")]);
}

/// What a claim has done once its rename is through: the record of `owner` is on its way to its place.
async fn half_claimed(kit: &Kit, file: &RemoteFile, bytes: &[u8], owner: OwnerId) -> std::path::PathBuf {
    const ID: &str = "00000000000000bb";
    let partial = half(kit, file, bytes).await;
    let record = PartialOwner { id: ID.to_owned(), owner, released: false };
    let staged = partial.join(format!(".owner.json.{ID}.tmp"));
    fs::write(staged, serde_json::to_vec(&record).expect("serializes")).expect("writes");
    let renamed = kit.cache.layout().partial(&repo(), &file.digest, ID);
    fs::rename(&partial, &renamed).expect("renames");
    renamed
}

#[tokio::test]
async fn a_claim_in_progress_is_left_alone() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    let claimed = half_claimed(&kit, &file, &bytes, OwnerId::this_process().clone()).await;
    assert_eq!(kit.staging(&file).resumed_bytes(), 0);
    assert!(claimed.exists());
}

#[tokio::test]
async fn a_claim_that_was_killed_in_progress_costs_nothing() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    half_claimed(&kit, &file, &bytes, dead()).await;
    assert_eq!(kit.staging(&file).resumed_bytes(), HALF as u64);
    assert_eq!(kit.partials().len(), 1);
}

#[tokio::test]
async fn a_partial_without_a_record_is_left_alone_until_it_is_old() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    let partial = half(&kit, &file, &bytes).await;
    let renamed = kit.cache.layout().partial(&repo(), &file.digest, "00000000000000bb");
    fs::rename(&partial, &renamed).expect("renames");
    assert_eq!(kit.staging(&file).resumed_bytes(), 0);
    assert!(renamed.exists());
    let old = std::time::SystemTime::now() - Duration::from_secs(1000);
    fs::File::open(&renamed).expect("opens").set_modified(old).expect("sets");
    assert_eq!(kit.staging(&file).resumed_bytes(), HALF as u64);
}

#[tokio::test]
async fn a_recorded_prefix_that_rotted_is_found_and_fetched_again() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    let partial = half(&kit, &file, &bytes).await;
    let mut data = fs::read(partial.join("data")).expect("reads");
    data[1234] ^= 1;
    fs::write(partial.join("data"), data).expect("writes");
    let staging = kit.staging(&file);
    assert_eq!(staging.resumed_bytes(), HALF as u64);
    fill(&staging, &bytes, SEGMENT).await;
    drop(verify(staging.finish().await.expect("finishes"), &file).expect_err("rotten"));
    let staging = kit.staging(&file);
    assert_eq!(staging.resumed_bytes(), 0);
    deliver(&kit.cache, staging, &bytes).await;
}

#[tokio::test]
async fn a_journal_or_data_that_does_not_fit_starts_over() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage); 5] = [
        ("no journal", |partial| fs::remove_file(partial.join("journal")).expect("removes")),
        ("foreign journal", |partial| fs::write(partial.join("journal"), [7; 500]).expect("writes")),
        ("damaged record", |partial| {
            let mut journal = fs::read(partial.join("journal")).expect("reads");
            journal[70] ^= 1;
            fs::write(partial.join("journal"), journal).expect("writes");
        }),
        ("short data", |partial| fs::write(partial.join("data"), b"short").expect("writes")),
        ("no data", |partial| fs::remove_file(partial.join("data")).expect("removes")),
    ];
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    for (name, damage) in cases {
        let kit = Kit::new();
        let partial = half(&kit, &file, &bytes).await;
        damage(&partial);
        let staging = kit.staging(&file);
        assert_eq!(staging.resumed_bytes(), 0, "{name}");
        deliver(&kit.cache, staging, &bytes).await;
        assert!(kit.partials().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_torn_record_costs_only_itself() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    let partial = half(&kit, &file, &bytes).await;
    let journal = partial.join("journal");
    let whole = fs::read(&journal).expect("reads");
    fs::write(&journal, &whole[..whole.len() - 5]).expect("writes");
    let staging = kit.staging(&file);
    let lost = HALF as u64 - staging.resumed_bytes();
    assert!(0 < lost && lost <= 2 * SEGMENT, "lost {lost}");
    deliver(&kit.cache, staging, &bytes).await;
}

/// What a kill leaves at any moment is the folder as it is then: it is copied while the download runs.
#[tokio::test]
async fn at_no_moment_are_more_than_two_segments_unrecorded() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    let staging = kit.staging(&file);
    let partial = kit.partials().pop().expect("one");
    for range in staging.missing().segments(20_000) {
        let part = Bytes::copy_from_slice(&bytes[range.start as usize..range.end as usize]);
        staging.write(range.start, part).await.expect("writes");
        let journal = fs::read(partial.join("journal")).expect("reads");
        let recorded = speech_flow_model_cache::parse_journal(&journal).expect("sound").recorded;
        let unrecorded = staging.bytes_present() - recorded.len();
        assert!(unrecorded <= 2 * SEGMENT, "{unrecorded} bytes would be lost");
        let data = fs::read(partial.join("data")).expect("reads");
        for safe in recorded.iter() {
            let safe = safe.start as usize..safe.end as usize;
            assert_eq!(data[safe.clone()], bytes[safe], "recorded before it was written");
        }
    }
    assert_eq!(ready_digest(staging).await, file.digest);
}

async fn ready_digest(staging: Box<speech_flow_model_cache::Staging>) -> speech_flow_model_types::Digest {
    staging.finish().await.expect("finishes").digest()
}

#[tokio::test]
async fn a_finished_download_that_was_not_committed_is_resumed_whole() {
    let bytes = content(BIG);
    let file = lfs_file("model.bin", &bytes);
    let kit = Kit::new();
    let staging = kit.staging(&file);
    fill(&staging, &bytes, SEGMENT).await;
    drop(staging.finish().await.expect("finishes"));
    let staging = ready(kit.other().stage(&repo(), &file).expect("stages"));
    assert!(staging.missing().is_empty());
    deliver(&kit.cache, staging, &bytes).await;
}
