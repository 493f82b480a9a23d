//! Status, health, metrics, the page, and changes to the cache.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use speech_flow_demo_hub::{DemoHub, EmbeddedModel};
use speech_flow_model_hub::Secret;

use crate::client::Ask;
use crate::scene::{FILE, REPO, Scene, repository};

async fn scene() -> Scene {
    let model = EmbeddedModel::TinyWhisperCt2.builder("acme/whisper").build().expect("builds");
    let builder = DemoHub::builder().repository(repository(REPO)).repository(model);
    Scene::of(builder, |settings| settings.token = Secret::from_text("own")).await
}

#[tokio::test]
async fn models_are_listed_with_what_people_ask_about() {
    let scene = scene().await;
    scene.assert_right(&scene.get(FILE).send().await);
    let list = scene.get("/v1/models").send().await.json();
    let model = &list["data"][0];
    assert_eq!((&list["schema"], &model["id"]), (&json!(1), &json!(REPO)));
    assert_eq!(model["revisions"][0]["commit"], scene.commit().as_str());
    assert_eq!(model["revisions"][0]["state"], "incomplete");
    assert!(model["revisions"][0]["last_used"].is_string());
    assert_eq!(scene.get(format!("/v1/models/{REPO}")).send().await.json()["id"], REPO);
    assert_eq!(scene.get("/v1/models/acme/absent").send().await.status, 404);
    assert_eq!(scene.get("/v1/models/..%2f/x").send().await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preload_runs_to_its_end_and_what_it_brought_can_be_removed() {
    let scene = scene().await;
    let path = "/v1/models/acme/whisper/preload";
    let post = || Ask::new(scene.server.address, "POST", path);
    assert_eq!(post().send().await.status, 401);
    assert_eq!(post().token("own").body("{\"revision\": 7}").send().await.status, 400);
    let started = post().token("own").body("{\"revision\": \"main\"}").send().await;
    assert_eq!(started.status, 202, "{}", String::from_utf8_lossy(&started.body));
    let deadline = Instant::now() + Duration::from_secs(20);
    let job = loop {
        let status = scene.get("/v1/status").token("own").send().await.json();
        match status["jobs"][0].clone() {
            job if job["state"] != "running" => break job,
            _ => assert!(Instant::now() < deadline, "{status}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((&job["state"], &job["model"]), (&json!("downloaded"), &json!("acme/whisper@main")), "{job}");
    let commit = job["commit"].as_str().expect("a commit").to_owned();
    let model = scene.get("/v1/models/acme/whisper").send().await.json();
    assert_eq!(model["revisions"][0]["state"], "complete");
    let remove = || Ask::new(scene.server.address, "DELETE", format!("/v1/models/acme/whisper/revisions/{commit}"));
    assert_eq!(remove().send().await.status, 401);
    let removed = remove().token("own").send().await;
    assert_eq!((removed.status, &removed.json()["removed"][0]["repo"]), (200, &json!("acme/whisper")));
    assert_eq!(remove().token("own").send().await.status, 404);
}

#[tokio::test]
async fn probes_metrics_and_the_page_answer() {
    let scene = scene().await;
    scene.assert_right(&scene.get(FILE).send().await);
    scene.assert_right(&scene.get(FILE).send().await);
    for path in ["/livez", "/healthz", "/readyz", "/v1/openapi.json", "/v1/page.js"] {
        assert_eq!(scene.get(path).send().await.status, 200, "{path}");
    }
    let text = String::from_utf8(scene.get("/metrics").send().await.body).expect("text");
    for line in [
        "speech_flow_server_lookups_total{outcome=\"hit\"} 1",
        "speech_flow_server_lookups_total{outcome=\"miss\"} 1",
        "speech_flow_server_upstream_bytes_total 5242880",
        "speech_flow_server_model_bytes_total{model=\"other\",source=\"cache\"} 5242880",
        "speech_flow_server_verification_failures_total 0",
        "speech_flow_server_fetches_total{outcome=\"done\"} 1",
        "speech_flow_server_fetches_total{outcome=\"damaged\"} 0",
        "speech_flow_server_ready 1",
        "speech_flow_server_draining 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    let page = scene.get("/").send().await;
    let html = String::from_utf8(page.body.clone()).expect("text");
    assert!(html.contains(REPO) && html.contains("50 %"), "{html}");
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")));
    assert!(!html.contains("http://127.0.0.1:1") && !html.contains("<script>"));
}

#[tokio::test]
async fn progress_comes_as_events() {
    let scene = scene().await;
    let (status, headers, mut read, mut stream) = scene.get("/v1/events").open().await;
    assert_eq!((status, headers.get("content-type").map(String::as_str)), (200, Some("text/event-stream")));
    use tokio::io::AsyncReadExt as _;
    let is_event = |read: &[u8]| String::from_utf8_lossy(read).contains("event: status\ndata: {\"schema\":1");
    while !is_event(&read) {
        assert!(stream.read_buf(&mut read).await.expect("reads") > 0, "{}", String::from_utf8_lossy(&read));
    }
}

#[tokio::test]
async fn every_described_path_is_served() {
    let scene = scene().await;
    let description = scene.get("/v1/openapi.json").send().await.json();
    let paths = description["paths"].as_object().expect("paths");
    // The stream of events has no end; another test reads it.
    for (path, methods) in paths.iter().filter(|(path, _)| *path != "/v1/events") {
        let filled = path.replace("{owner}", "acme").replace("{name}", "absent").replace("{commit}", &"a".repeat(40));
        for (method, operation) in
            methods.as_object().expect("methods").iter().filter(|(name, _)| *name != "parameters")
        {
            let method = match &**method {
                "get" => "GET",
                "post" => "POST",
                "delete" => "DELETE",
                other => panic!("{other} has no test"),
            };
            let reply = Ask::new(scene.server.address, method, &filled).token("own").send().await;
            let described: &Value = &operation["responses"][reply.status.to_string()];
            assert!(described.is_object(), "{method} {path} gives {}", reply.status);
        }
    }
}
