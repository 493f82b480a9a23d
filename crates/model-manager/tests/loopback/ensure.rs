//! `ensure`: what it fetches, what it does not, and how it mends.

use std::sync::Arc;

use speech_flow_demo_hub::{Action, Endpoint, FaultRule};
use speech_flow_model_manager::types::ModelKind;
use speech_flow_model_manager::{EnsureOptions, Error, Event, Outcome, VerifyDepth};

use crate::scene::{Heard, LID, Scene, WHISPER};

fn offline() -> EnsureOptions {
    EnsureOptions { offline: true, ..EnsureOptions::default() }
}

#[tokio::test]
async fn a_cold_call_fetches_and_a_warm_one_asks_only_for_the_commit() {
    let scene = Scene::new().await;
    let cold = scene.manager.ensure(&scene.spec(WHISPER)).await.expect("fetches");
    assert_eq!((cold.outcome, cold.kind), (Outcome::Downloaded, ModelKind::Whisper));
    assert_eq!(cold.bytes_downloaded, cold.bytes_total());

    scene.hub.clear_requests();
    let warm = scene.manager.ensure(&scene.spec(WHISPER)).await.expect("hits");
    assert_eq!((warm.outcome, warm.bytes_downloaded, &warm.digest), (Outcome::Hit, 0, &cold.digest));
    let asked: Vec<_> = scene.hub.requests().iter().map(|request| request.endpoint).collect();
    assert_eq!(asked, [Endpoint::Info]);
}

#[tokio::test]
async fn a_full_commit_hash_on_disk_needs_no_request() {
    let scene = Scene::new().await;
    let commit = scene.manager.ensure(&scene.spec(LID)).await.expect("fetches").origin.expect("a repository").commit;
    scene.hub.clear_requests();
    let model = scene.manager.ensure(&scene.spec(&format!("{LID}@{commit}"))).await.expect("hits");
    assert_eq!(model.outcome, Outcome::Hit);
    assert!(scene.hub.requests().is_empty());
}

#[tokio::test]
async fn offline_a_complete_snapshot_is_a_hit_and_an_incomplete_one_says_what_is_missing() {
    let scene = Scene::new().await;
    let miss = scene.manager.ensure_with(&scene.spec(LID), &offline()).await.expect_err("nothing is there");
    assert!(matches!(miss, Error::OfflineMiss { ref missing, .. } if missing.is_empty()), "{miss}");

    let model = scene.manager.ensure(&scene.spec(LID)).await.expect("fetches");
    scene.hub.clear_requests();
    let hit = scene.manager.ensure_with(&scene.spec(LID), &offline()).await.expect("hits");
    assert_eq!(hit.outcome, Outcome::Hit);

    std::fs::remove_file(model.path.join("config.json")).expect("removes");
    let miss = scene.manager.ensure_with(&scene.spec(LID), &offline()).await.expect_err("incomplete");
    assert!(miss.to_string().contains("it lacks `config.json`"), "{miss}");
    assert!(scene.hub.requests().is_empty());
}

#[tokio::test]
async fn with_the_hub_down_the_copy_on_disk_is_used_and_the_reason_is_said() {
    let scene = Scene::new().await;
    scene.manager.ensure(&scene.spec(LID)).await.expect("fetches");
    scene.hub.add_fault(FaultRule::new(Action::status(503))).expect("a good rule");
    let heard = Arc::new(Heard::default());
    let model = scene.manager.ensure_with(&scene.spec(LID), &heard.options()).await.expect("hits");
    assert_eq!(model.outcome, Outcome::Hit);
    assert!(
        heard.has(|event| matches!(event, Event::Warning { message } if message.contains("the copy on disk is used")))
    );
}

#[tokio::test]
async fn calls_for_one_model_share_one_download() {
    let scene = Scene::new().await;
    let spec = scene.spec(WHISPER);
    let calls = (0..8).map(|_| scene.manager.ensure(&spec));
    let models = futures_util::future::try_join_all(calls).await.expect("all end well");
    assert_eq!(models.iter().filter(|model| model.outcome == Outcome::Downloaded).count(), 1);
    assert_eq!(scene.body_requests(), models[0].files.len());
}

#[tokio::test]
async fn two_managers_on_one_cache_fetch_each_file_once() {
    let scene = Scene::new().await;
    let other = scene.other_manager(&[]);
    let spec = scene.spec(WHISPER);
    let (one, two) = tokio::join!(scene.manager.ensure(&spec), other.ensure(&spec));
    assert_eq!(one.expect("ends well").digest, two.expect("ends well").digest);
    assert_eq!(scene.body_requests(), 5);
}

#[tokio::test]
async fn a_flipped_byte_is_fetched_again_once_and_then_quarantined() {
    let scene = Scene::new().await;
    let flip = || FaultRule::new(Action::FlipByte { offset: 100 }).path("model.bin");
    scene.hub.add_fault(flip().first(1)).expect("a good rule");
    scene.manager.ensure(&scene.spec(WHISPER)).await.expect("the second copy is good");

    let scene = Scene::new().await;
    scene.hub.add_fault(flip()).expect("a good rule");
    let error = scene.manager.ensure(&scene.spec(WHISPER)).await.expect_err("damaged twice");
    let Error::Integrity(failure) = error else { panic!("another error: {error}") };
    assert_eq!(failure.file.as_str(), "model.bin");
    let quarantined = failure.quarantined.expect("kept");
    assert!(quarantined.join("reason.json").is_file());
    let final_name = failure.expected.to_string();
    assert!(scene.blobs("whisper", WHISPER).iter().all(|blob| !blob.ends_with(&final_name)));
}

#[tokio::test]
async fn damage_on_disk_is_found_once_the_file_changes_and_is_mended() {
    let scene = Scene::new().await;
    let model = scene.manager.ensure(&scene.spec(WHISPER)).await.expect("fetches");
    let blob = model.path.join("model.bin").canonicalize().expect("resolves");
    let mut bytes = std::fs::read(&blob).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&blob, bytes).expect("writes");

    let report = scene.manager.verify(&scene.spec(WHISPER), VerifyDepth::Full, &offline()).await.expect("looks");
    let bad: Vec<_> = report.files.iter().filter(|file| file.problem.is_some()).map(|file| &file.path).collect();
    assert_eq!(bad, ["model.bin"]);

    let mended = scene.manager.ensure(&scene.spec(WHISPER)).await.expect("mends");
    assert_eq!((mended.outcome, mended.digest), (Outcome::Repaired, model.digest));
    let report = scene.manager.verify(&scene.spec(WHISPER), VerifyDepth::Full, &offline()).await.expect("looks");
    assert!(report.is_good(), "{report:?}");
}

#[tokio::test]
async fn a_cancelled_call_ends_as_cancelled() {
    let scene = Scene::new().await;
    scene
        .hub
        .add_fault(FaultRule::new(Action::StallAfter { bytes: 10, resume_after_ms: None }).path("model.bin"))
        .expect("a good rule");
    let options = EnsureOptions::default();
    let spec = scene.spec(WHISPER);
    let call = scene.manager.ensure_with(&spec, &options);
    let cancel = async {
        while scene.body_requests() == 0 {
            tokio::task::yield_now().await;
        }
        options.cancel.cancel();
    };
    let (ended, ()) = tokio::join!(call, cancel);
    assert!(matches!(ended, Err(Error::Cancelled)));
}

#[tokio::test]
async fn a_folder_is_used_as_it_is() {
    let scene = Scene::new().await;
    let fetched = scene.manager.ensure(&scene.spec(LID)).await.expect("fetches");
    scene.hub.clear_requests();
    let folder = scene.manager.ensure(&scene.spec(&fetched.path.display().to_string())).await.expect("loads");
    assert_eq!((folder.outcome, folder.kind, folder.origin.is_none()), (Outcome::Hit, ModelKind::Transformers, true));
    assert!(scene.hub.requests().is_empty());
    let missing = scene.manager.ensure(&scene.spec("/not/there")).await.expect_err("no folder");
    assert!(matches!(missing, Error::FolderMissing { .. }));
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let scene = Scene::new().await;
    let forecast = scene.manager.dry_run(&scene.spec(WHISPER), &EnsureOptions::default()).await.expect("looks");
    assert_eq!((forecast.files.len(), forecast.bytes_to_fetch), (5, forecast.bytes_total));
    assert_eq!(std::fs::read_dir(scene.folder.path()).expect("reads").count(), 0);
    assert_eq!(scene.body_requests(), 0);
}

#[tokio::test]
async fn patterns_that_match_nothing_are_an_error() {
    let scene = Scene::new().await;
    let patterns =
        speech_flow_model_manager::types::Patterns::new(vec!["*.onnx".to_owned()], Vec::new()).expect("valid");
    let error = scene.manager.ensure(&scene.spec(LID).with_patterns(patterns)).await.expect_err("nothing matches");
    assert!(matches!(error, Error::NothingSelected { .. }), "{error}");
}

#[tokio::test]
async fn files_that_are_chosen_by_name_need_not_make_a_model() {
    let scene = Scene::new().await;
    let patterns =
        speech_flow_model_manager::types::Patterns::new(vec!["*.json".to_owned()], Vec::new()).expect("valid");
    let spec = scene.spec(LID).with_patterns(patterns);
    let cold = scene.manager.ensure(&spec).await.expect("fetches");
    let names: Vec<_> = cold.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["config.json", "preprocessor_config.json"]);
    let warm = scene.manager.ensure(&spec).await.expect("hits");
    assert_eq!(warm.outcome, Outcome::Hit);
}
