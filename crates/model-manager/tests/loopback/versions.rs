//! Locks, updates and pins.

use speech_flow_demo_hub::{Action, DemoHub, EmbeddedModel, Endpoint, FaultRule};
use speech_flow_model_manager::lockfile::Lockfile;
use speech_flow_model_manager::{EnsureOptions, Error, LockChoice, LockMode, Outcome};

use crate::scene::{Scene, WHISPER};

/// A hub whose `main` can move to `next`, where one small file differs.
async fn moving() -> Scene {
    let whisper = EmbeddedModel::TinyWhisperCt2
        .builder(WHISPER)
        .branch("next")
        .file("vocabulary.txt", b"another".to_vec())
        .commit("change a file")
        .build()
        .expect("builds");
    Scene::of(DemoHub::builder().repository(whisper)).await
}

fn locked(lockfile: &Lockfile, strict: bool) -> EnsureOptions {
    let lock = Some(LockChoice { lockfile: lockfile.clone(), strict });
    EnsureOptions { lock, ..EnsureOptions::default() }
}

async fn lock(scene: &Scene) -> Lockfile {
    let specs = [scene.spec(WHISPER)];
    scene.manager.lock(&specs, None, LockMode::Keep, &EnsureOptions::default()).await.expect("locks")
}

#[tokio::test]
async fn a_locked_model_stays_at_its_commit_and_needs_no_request_when_warm() {
    let scene = moving().await;
    let lockfile = lock(&scene).await;
    scene.manager.ensure_with(&scene.spec(WHISPER), &locked(&lockfile, true)).await.expect("fetches");
    scene.hub.set_head(WHISPER, "main", "next").expect("moves");
    scene.hub.clear_requests();
    let model = scene.manager.ensure_with(&scene.spec(WHISPER), &locked(&lockfile, true)).await.expect("hits");
    assert_eq!(model.outcome, Outcome::Hit);
    assert_eq!(model.origin.expect("a repository").commit, *lockfile.models()[0].commit());
    assert!(scene.hub.requests().is_empty());
}

#[tokio::test]
async fn a_strict_lockfile_refuses_what_it_does_not_name() {
    let scene = moving().await;
    let lockfile = lock(&scene).await;
    let other = scene.spec(&format!("{WHISPER}@next"));
    let error = scene.manager.ensure_with(&other, &locked(&lockfile, true)).await.expect_err("refused");
    assert!(matches!(error, Error::NotLocked { .. }), "{error}");
    scene.manager.ensure_with(&other, &locked(&lockfile, false)).await.expect("not strict");
}

#[tokio::test]
async fn a_lockfile_edited_by_hand_is_refused() {
    let scene = moving().await;
    let text = lock(&scene).await.to_toml();
    let files = scene.hub.files(WHISPER, "main");
    let config = files.iter().find(|file| file.path == "config.json").expect("there");
    let edited = Lockfile::parse(&text.replace(&config.digest.to_string(), &"0".repeat(40))).expect_err("edited");
    assert!(edited.to_string().contains("digest"), "{edited}");
}

#[tokio::test]
async fn a_hub_that_lists_other_hashes_for_a_locked_commit_is_found_out() {
    let scene = moving().await;
    let lockfile = lock(&scene).await;
    let entries: Vec<_> = lockfile.models()[0]
        .files()
        .iter()
        .map(|file| {
            format!(r#"{{"type":"file","path":"{}","size":{},"oid":"{}"}}"#, file.path, file.size, "0".repeat(40))
        })
        .collect();
    let body = format!("[{}]", entries.join(","));
    let forged = Action::Body { content_type: "application/json".to_owned(), body };
    scene.hub.add_fault(FaultRule::new(forged).on(Endpoint::Tree)).expect("a good rule");
    let error = scene.manager.ensure_with(&scene.spec(WHISPER), &locked(&lockfile, true)).await.expect_err("forged");
    assert!(matches!(error, Error::LockBroken { .. }), "{error}");
    assert_eq!(scene.body_requests(), 0);
}

#[tokio::test]
async fn an_update_says_what_moved_and_moves_the_pin_after_the_model_is_there() {
    let scene = moving().await;
    let lockfile = lock(&scene).await;
    let options = EnsureOptions::default();
    assert!(scene.manager.check_updates(&lockfile, &[], &options).await.expect("asks").is_empty());

    scene.hub.set_head(WHISPER, "main", "next").expect("moves");
    let changes = scene.manager.check_updates(&lockfile, &[], &options).await.expect("asks");
    let [change] = changes.as_slice() else { panic!("one change: {changes:?}") };
    assert_eq!(change.old_commit, *lockfile.models()[0].commit());
    assert_eq!(change.added.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["vocabulary.txt"]);

    let mut told = 0;
    let updated = scene
        .manager
        .update(&lockfile, &[], &options, |_, _| {
            told += 1;
            Ok(())
        })
        .await
        .expect("updates");
    assert_eq!((told, updated.models()[0].commit()), (1, &change.new_commit));
    let warm = scene.manager.ensure_with(&scene.spec(WHISPER), &locked(&updated, true)).await.expect("hits");
    assert_eq!(warm.outcome, Outcome::Hit);
}

#[tokio::test]
async fn a_model_that_cannot_load_does_not_move_the_pin() {
    let broken = EmbeddedModel::TinyWhisperCt2
        .builder(WHISPER)
        .branch("next")
        .file("config.json", b"{ not json".to_vec())
        .commit("break the configuration")
        .build()
        .expect("builds");
    let scene = Scene::of(DemoHub::builder().repository(broken)).await;
    let lockfile = lock(&scene).await;
    scene.hub.set_head(WHISPER, "main", "next").expect("moves");
    let mut told = 0;
    let ended = scene
        .manager
        .update(&lockfile, &[], &EnsureOptions::default(), |_, _| {
            told += 1;
            Ok(())
        })
        .await;
    assert!(matches!(ended, Err(Error::InvalidModel { genuine: true, .. })), "{ended:?}");
    assert_eq!(told, 0);
}

#[tokio::test]
async fn a_pinned_revision_stands_for_its_commit_without_a_request() {
    let scene = moving().await;
    let spec = scene.spec(WHISPER);
    let first = scene.manager.ensure(&spec).await.expect("fetches");
    let pin = scene.manager.pin(&spec, &EnsureOptions::default()).expect("pins");
    scene.hub.set_head(WHISPER, "main", "next").expect("moves");
    scene.hub.clear_requests();
    let model = scene.manager.ensure(&spec).await.expect("hits");
    assert_eq!(model.path, first.path);
    assert!(scene.hub.requests().is_empty());

    assert_eq!(scene.manager.unpin(&spec, false).expect("unpins"), [pin]);
    let moved = scene.manager.ensure(&spec).await.expect("fetches the new commit");
    assert_ne!(moved.path, first.path);
}
