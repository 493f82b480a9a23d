//! What is on disk and was not fetched by this call: looked at before it is believed.

use std::path::Path;
use std::time::Duration;

use speech_flow_demo_hub::{Action, FaultRule};
use speech_flow_model_manager::{EnsureOptions, Error, LockChoice, LockMode, Outcome, VerifyDepth};

use crate::scene::{LID, Scene, WHISPER};

fn flip_a_byte(path: &Path) {
    let path = path.canonicalize().expect("resolves");
    let mut bytes = std::fs::read(&path).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("writes");
}

/// A client that does not sync leaves such blobs after a power loss: the length is right, the bytes are not.
#[tokio::test]
async fn what_another_client_left_is_hashed_when_the_rest_is_fetched() {
    let scene = Scene::new().await;
    let spec = scene.spec(LID);
    let model = scene.manager.ensure(&spec).await.expect("fetches");
    std::fs::remove_dir_all(scene.folder.path().join(".speech-flow")).expect("another client has no state");
    flip_a_byte(&model.path.join("model.safetensors"));
    let config = model.path.join("config.json");
    std::fs::remove_file(config.canonicalize().expect("resolves")).expect("removes");
    std::fs::remove_file(config).expect("removes");

    let mended = scene.manager.ensure(&spec).await.expect("mends");
    assert_eq!(mended.digest, model.digest);
    let report = scene.manager.verify(&spec, VerifyDepth::Full, &EnsureOptions::default()).await.expect("looks");
    assert!(report.is_good(), "{report:?}");
}

#[tokio::test]
async fn a_listing_on_disk_that_differs_from_the_lock_is_found_out() {
    let scene = Scene::new().await;
    let spec = scene.spec(WHISPER);
    let specs = [spec.clone()];
    let options = EnsureOptions::default();
    let lockfile = scene.manager.lock(&specs, None, LockMode::Keep, &options).await.expect("locks");
    let locked = EnsureOptions { lock: Some(LockChoice { lockfile, strict: true }), ..options };
    let model = scene.manager.ensure_with(&spec, &locked).await.expect("fetches");

    // Sound by itself: listing, blob and link agree. `hello` has this hash in git.
    let (content, digest) = (b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a");
    let repo = model.path.parent().and_then(Path::parent).expect("inside a repository");
    let commit = model.path.file_name().and_then(|name| name.to_str()).expect("a commit");
    let tree = repo.join(format!("trees/{commit}.json"));
    let mut listing: serde_json::Value = serde_json::from_slice(&std::fs::read(&tree).expect("reads")).expect("parses");
    listing["files"]["vocabulary.json"] = serde_json::json!({ "size": content.len(), "blob_id": digest });
    std::fs::write(&tree, listing.to_string()).expect("writes");
    std::fs::write(repo.join("blobs").join(digest), content).expect("writes");
    let entry = model.path.join("vocabulary.json");
    std::fs::remove_file(&entry).expect("removes");
    std::os::unix::fs::symlink(format!("../../blobs/{digest}"), &entry).expect("links");

    let ended = scene.manager.ensure_with(&spec, &locked).await;
    assert!(matches!(ended, Err(Error::LockBroken { .. })), "{:?}", ended.map(|model| model.outcome));
}

#[tokio::test]
async fn a_damaged_pin_frees_no_model() {
    let scene = Scene::new().await;
    let spec = scene.spec(WHISPER);
    scene.manager.ensure(&spec).await.expect("fetches");
    scene.manager.pin(&spec, &EnsureOptions::default()).expect("pins");
    let pins = scene.folder.path().join(".speech-flow/pins");
    std::fs::create_dir_all(pins.join("models--o--x")).expect("makes");
    std::fs::write(pins.join("models--o--x/main.json"), b"{").expect("writes");

    scene.hub.clear_requests();
    assert_eq!(scene.manager.ensure(&spec).await.expect("hits").outcome, Outcome::Hit);
    assert!(scene.hub.requests().is_empty(), "the damage of another pin made this one void");

    std::fs::write(pins.join("models--acme--whisper/main.json"), b"{").expect("writes");
    let refused = scene.manager.ensure(&spec).await;
    assert!(matches!(refused, Err(Error::Cache(_))), "{:?}", refused.map(|model| model.outcome));
    assert!(scene.hub.requests().is_empty());
}

#[tokio::test]
async fn a_model_is_leased_in_the_cache_where_it_was_found() {
    let scene = Scene::new().await;
    let hub_cache = scene.folder.path().join("huggingface/hub").display().to_string();
    let elsewhere = scene.other_manager(&[("WHISPER_CACHE_DIR", &hub_cache)]);
    elsewhere.ensure(&scene.spec(WHISPER)).await.expect("fetches");

    let found = scene.manager.ensure(&scene.spec(WHISPER)).await.expect("hits");
    assert_eq!(found.outcome, Outcome::Hit);
    let lease = scene.manager.lease(&found).expect("leases").expect("of a repository");
    assert!(lease.is_recorded());
}

#[tokio::test]
async fn a_call_that_waits_for_another_ends_when_it_is_cancelled() {
    let scene = Scene::new().await;
    let stall = Action::StallAfter { bytes: 10, resume_after_ms: None };
    scene.hub.add_fault(FaultRule::new(stall).path("model.bin")).expect("a good rule");
    let spec = scene.spec(WHISPER);
    let (leader, follower) = (EnsureOptions::default(), EnsureOptions::default());
    let leading = scene.manager.ensure_with(&spec, &leader);
    let following = async {
        while scene.body_requests() == 0 {
            tokio::task::yield_now().await;
        }
        follower.cancel.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(5), scene.manager.ensure_with(&spec, &follower)).await;
        leader.cancel.cancel();
        ended
    };
    let (_, ended) = tokio::join!(leading, following);
    assert!(matches!(ended, Ok(Err(Error::Cancelled))), "it waited for the other");
}
