//! Whose files: private and gated ones are for callers that the hub accepts.

use std::time::Duration;

use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultRule, Repository};

use crate::client::Ask;
use crate::scene::{Change, Scene, start};

const ALLOWED: &str = "hf_allowedallowedallowedallowedallowed";
const OTHER: &str = "hf_otherotherotherotherotherotherother";
const GATED: &str = "/acme/gated/resolve/main/config.json";
const PRIVATE: &str = "/acme/private/resolve/main/config.json";

async fn scene(change: Change) -> Scene {
    let gated = Repository::builder("acme/gated").file("config.json", "gated\n").gated().build().expect("builds");
    let private =
        Repository::builder("acme/private").file("config.json", "private\n").private().build().expect("builds");
    let builder = DemoHub::builder().repository(gated).repository(private);
    Scene::of(builder.token(ALLOWED, ["acme/gated", "acme/private"]).token(OTHER, [""]), change).await
}

#[tokio::test]
async fn a_file_cached_for_one_caller_is_refused_to_another() {
    let scene = scene(|_| {}).await;
    for (path, content) in [(GATED, "gated\n"), (PRIVATE, "private\n")] {
        let reply = scene.get(path).token(ALLOWED).send().await;
        assert_eq!((reply.status, &*reply.body), (200, content.as_bytes()), "{path}");
        for ask in [scene.get(path), scene.get(path).token(OTHER), scene.head(path).token(OTHER)] {
            let reply = ask.send().await;
            assert!(matches!(reply.status, 401 | 403 | 404), "{path}: {}", reply.status);
            assert!(reply.header("x-error-code").is_some());
            assert!(!reply.body.windows(content.len()).any(|part| part == content.as_bytes()));
        }
        assert_eq!(scene.get(path).token(ALLOWED).send().await.status, 200);
    }
    assert_eq!(scene.get(GATED).send().await.header("x-error-code"), Some("GatedRepo"));
    // What there is of a gated repository everybody may see; of a private one, nobody else.
    assert_eq!(scene.get("/api/models/acme/gated/tree/main").send().await.status, 200);
    assert!(scene.get("/api/models/acme/private/tree/main").send().await.status >= 400);
    assert!(scene.get("/api/models/acme/private").token(OTHER).send().await.status >= 400);
    assert_eq!(scene.get("/api/models/acme/gated/auth-check").token(ALLOWED).send().await.status, 200);
    assert!(scene.get("/api/models/acme/gated/auth-check").token(OTHER).send().await.status >= 400);
}

#[tokio::test]
async fn an_accepted_token_counts_for_a_while_without_the_hub_and_a_new_one_does_not() {
    fn short(settings: &mut speech_flow_cache_server::Settings) {
        (settings.access_ttl, settings.access_grace) = (Duration::ZERO, Duration::from_secs(2));
    }
    let scene = scene(short).await;
    assert_eq!(scene.get(GATED).token(ALLOWED).send().await.status, 200);
    scene.hub.add_fault(FaultRule::new(Action::Drop)).expect("a rule");
    assert_eq!(scene.get(GATED).token(ALLOWED).send().await.status, 200);
    assert_eq!(scene.get(GATED).token(OTHER).send().await.status, 504);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(scene.get(GATED).token(ALLOWED).send().await.status, 504);
}

#[tokio::test]
async fn tokens_reach_the_hub_alone_and_the_servers_own_token_nobody() {
    let scene = scene(|settings| settings.token = speech_flow_model_hub::Secret::from_text("own")).await;
    assert_eq!(scene.get(GATED).token("own").send().await.status, 401, "the own token opens nothing at the hub");
    assert!(scene.hub.requests().iter().all(|record| !record.had_authorization));
    scene.get(GATED).token(ALLOWED).send().await;
    let requests = scene.hub.requests();
    assert!(requests.iter().any(|record| record.had_authorization));
    assert!(requests.iter().all(|record| record.endpoint != Endpoint::Cdn || !record.had_authorization));
}

#[tokio::test]
async fn the_servers_hub_token_is_used_for_named_repositories_only() {
    let scene = scene(|_| {}).await;
    let variables = [("HF_TOKEN", ALLOWED), ("SPEECH_FLOW_SERVER_SHARED_REPOS", "acme/gated")];
    let shared = start(&scene.hub.endpoint(), scene.folder.path(), &variables, |_| {}, None).await;
    assert_eq!(shared.get(GATED).send().await.status, 200);
    scene.hub.clear_requests();
    assert!(shared.get(PRIVATE).send().await.status >= 400);
    assert!(scene.hub.requests().iter().all(|record| !record.had_authorization));
}

#[tokio::test]
async fn a_protected_server_wants_its_token_for_reading_too() {
    fn protect(settings: &mut speech_flow_cache_server::Settings) {
        settings.token = speech_flow_model_hub::Secret::from_text("own");
        settings.protect_reads = true;
    }
    let scene = Scene::of(DemoHub::builder().repository(crate::scene::repository("acme/model")), protect).await;
    let path = "/acme/model/resolve/main/config.json";
    assert_eq!(scene.get(path).send().await.status, 401);
    assert_eq!(scene.get(path).token("own").send().await.status, 200);
    assert_eq!(scene.get("/livez").send().await.status, 200);
}

#[tokio::test]
async fn whoami_is_the_hubs_word() {
    let scene = scene(|_| {}).await;
    let who = |ask: Ask| async move { ask.send().await };
    assert_eq!(who(scene.get("/api/whoami-v2").token(ALLOWED)).await.json()["name"], "demo");
    assert_eq!(who(scene.get("/api/whoami-v2")).await.status, 401);
    assert_eq!(who(scene.get("/api/whoami-v2").token("hf_unknown")).await.status, 401);
}
