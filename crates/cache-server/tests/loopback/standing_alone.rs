//! The hub down, slow or refusing; and no hub at all.

use std::time::{Duration, Instant};

use speech_flow_demo_hub::{Action, DemoHub, FaultRule, RetryAfter};
use speech_flow_model_manager::lockfile::Lockfile;

use crate::scene::{FILE, REPO, Scene, repository, start};

/// Metadata is old at once.
fn no_ttl(settings: &mut speech_flow_cache_server::Settings) {
    settings.metadata_ttl = Duration::ZERO;
    settings.newer_patience = Duration::from_millis(200);
    settings.patience = Duration::from_millis(500);
}

#[tokio::test]
async fn a_warm_client_notices_nothing_of_a_hub_that_is_down_or_refuses_or_stalls() {
    for action in [
        Action::Drop,
        Action::status(503),
        Action::too_many_requests(RetryAfter::Seconds(60)),
        Action::StallAfter { bytes: 0, resume_after_ms: None },
        Action::HtmlPage,
    ] {
        let name = action.name();
        let scene = Scene::of(DemoHub::builder().repository(repository(REPO)), no_ttl).await;
        scene.assert_right(&scene.get(FILE).send().await);
        scene.hub.add_fault(FaultRule::new(action)).expect("a rule");
        let started = Instant::now();
        for path in [format!("/api/models/{REPO}/revision/main"), format!("/api/models/{REPO}/tree/main")] {
            assert_eq!(scene.get(&path).send().await.status, 200, "{name} {path}");
        }
        scene.assert_right(&scene.get(FILE).send().await);
        assert!(started.elapsed() < Duration::from_secs(3), "{name}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn what_is_not_known_is_504_and_never_404() {
    let scene = Scene::of(DemoHub::builder().repository(repository(REPO)), no_ttl).await;
    scene.hub.add_fault(FaultRule::new(Action::Drop)).expect("a rule");
    for path in [FILE.to_owned(), format!("/api/models/{REPO}"), format!("/api/models/{REPO}/tree/main")] {
        let reply = scene.get(&path).send().await;
        assert_eq!(reply.status, 504, "{path}");
        assert!(reply.header("retry-after").is_some() && reply.header("x-error-message").is_some());
    }
    assert_eq!(scene.head(FILE).send().await.status, 504);
}

#[tokio::test]
async fn a_branch_that_moves_is_seen_after_the_time_to_live() {
    let builder = speech_flow_demo_hub::Repository::builder(REPO).file("a", "1").commit("one").file("a", "2");
    let scene = Scene::of(DemoHub::builder().repository(builder.build().expect("builds")), no_ttl).await;
    assert_eq!(scene.get("/acme/model/resolve/main/a").send().await.body, b"2");
    let first = scene.get(format!("/api/models/{REPO}/commits/main")).send().await.json()[1]["id"].clone();
    scene.hub.set_head(REPO, "main", first.as_str().expect("text")).expect("moves");
    assert_eq!(scene.get("/acme/model/resolve/main/a").send().await.body, b"1");
}

#[tokio::test]
async fn a_restarted_server_serves_what_it_had_while_the_hub_is_down() {
    let scene = Scene::of(DemoHub::builder().repository(repository(REPO)), no_ttl).await;
    scene.assert_right(&scene.get(FILE).send().await);
    let other = scene.another("http://127.0.0.1:1", no_ttl).await;
    scene.assert_right(&other.get(FILE).send().await);
    assert_eq!(other.get(format!("/api/models/{REPO}/refs")).send().await.json()["branches"][0]["name"], "main");
    let missing = other.get("/acme/model/resolve/main/config.json").send().await;
    assert_eq!(missing.status, 504, "listed, but not there");
}

#[tokio::test]
async fn a_locked_set_is_served_without_any_hub() {
    let scene = Scene::new().await;
    let commit = scene.commit();
    scene.assert_right(&scene.get(FILE).send().await);
    scene.assert_right(&scene.get(FILE).send().await);
    std::fs::remove_dir_all(scene.folder.path().join(".speech-flow/server/documents")).expect("removes");
    let digest = scene.digest("model.bin");
    let size = crate::scene::SIZE;
    let kind = speech_flow_model_manager::types::ModelKind::Other;
    let remote = speech_flow_model_manager::types::RemoteFile {
        path: "model.bin".parse().expect("valid"),
        size,
        digest: digest.parse().expect("valid"),
        blob_id: String::new(),
        xet_hash: None,
    };
    let resolved = speech_flow_model_manager::types::Resolved {
        repo: REPO.parse().expect("valid"),
        revision: "main".parse().expect("valid"),
        commit: commit.parse().expect("valid"),
        files: vec![remote.clone()],
    };
    let locked =
        speech_flow_model_manager::lockfile::LockedModel::new(REPO, kind, &resolved, &[&remote]).expect("locks");
    let lockfile = Lockfile::new(vec![locked]).expect("a lockfile");
    let offline =
        start("http://127.0.0.1:1", scene.folder.path(), &[("HF_HUB_OFFLINE", "1")], |_| {}, Some(lockfile)).await;
    scene.hub.clear_requests();
    let info = offline.get(format!("/api/models/{REPO}/revision/main")).send().await;
    assert_eq!((info.status, &info.json()["sha"]), (200, &commit.as_str().into()));
    scene.assert_right(&offline.get(FILE).send().await);
    // Clients go on with the commit that they were told.
    scene.assert_right(&offline.get(FILE.replace("main", &commit)).send().await);
    let other = offline.get("/other/model/resolve/main/model.bin").send().await;
    assert_eq!(other.status, 504);
    assert!(scene.hub.requests().is_empty());
}

#[tokio::test]
async fn a_preloaded_cache_without_word_of_the_hub_is_served_only_where_the_configuration_says_so() {
    let scene = Scene::new().await;
    scene.assert_right(&scene.get(FILE).send().await);
    std::fs::remove_dir_all(scene.folder.path().join(".speech-flow/server/documents")).expect("removes");
    let refs = scene.folder.path().join("whisper/models--acme--model/refs");
    std::fs::create_dir_all(&refs).expect("makes");
    std::fs::write(refs.join("main"), scene.commit()).expect("writes");
    let offline = [("HF_HUB_OFFLINE", "1")];
    let closed = start("http://127.0.0.1:1", scene.folder.path(), &offline, |_| {}, None).await;
    assert_eq!(closed.get(FILE).send().await.status, 504);
    let shared = [("HF_HUB_OFFLINE", "1"), ("SPEECH_FLOW_SERVER_SHARED_REPOS", "acme/*")];
    let open = start("http://127.0.0.1:1", scene.folder.path(), &shared, |_| {}, None).await;
    scene.assert_right(&open.get(FILE).send().await);
}

#[tokio::test]
async fn offline_the_hub_hears_nothing_at_all() {
    let scene = Scene::of(DemoHub::builder().repository(repository(REPO)), no_ttl).await;
    // The listing is known, and one file is here.
    assert_eq!(scene.get("/acme/model/resolve/main/config.json").send().await.status, 200);
    fn offline(settings: &mut speech_flow_cache_server::Settings) {
        settings.offline = true;
        settings.token = speech_flow_model_hub::Secret::from_text("own");
        settings.updates = speech_flow_model_manager::config::UpdatePolicy::Apply;
        settings.update_every = Duration::from_millis(10);
    }
    let server = scene.another(&scene.hub.endpoint(), offline).await;
    scene.hub.clear_requests();
    let ask = |method, path: &str| crate::client::Ask::new(server.address, method, path);
    assert_eq!(ask("GET", "/acme/model/resolve/main/config.json").send().await.body, b"{}\n");
    let missing = ask("GET", FILE).send().await;
    assert_eq!(missing.status, 504, "{}", String::from_utf8_lossy(&missing.body));
    for (method, path) in [
        ("GET", "/api/models/acme/model"),
        ("GET", "/api/models/acme/model/tree/main?recursive=true"),
        ("GET", "/api/models/acme/model/refs"),
        ("GET", "/api/models/acme/model/commits/main"),
        ("GET", "/api/models/acme/absent"),
        ("GET", "/api/models/acme/model/auth-check"),
        ("GET", "/api/whoami-v2"),
        ("POST", "/v1/models/acme/model/preload"),
        ("POST", "/v1/models/acme/absent/preload"),
        ("POST", "/v1/updates"),
    ] {
        ask(method, path).token(if path.starts_with("/v1") { "own" } else { "hf_x" }).send().await;
    }
    let settled = || async {
        let status = ask("GET", "/v1/status").token("own").send().await.json();
        status["jobs"].as_array().is_some_and(|jobs| jobs.iter().all(|job| job["state"] == "failed"))
    };
    while !settled().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(scene.hub.requests().is_empty(), "{:?}", scene.hub.requests());
}
