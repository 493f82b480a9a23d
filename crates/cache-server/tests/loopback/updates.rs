//! Models that move on the hub, and a lockfile that follows or not.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use speech_flow_cache_server::Settings;
use speech_flow_demo_hub::{Action, DemoHub, EmbeddedModel, Endpoint, FaultRule, Repository};
use speech_flow_model_hub::Secret;
use speech_flow_model_manager::config::UpdatePolicy;
use speech_flow_model_manager::lockfile::Lockfile;
use speech_flow_model_manager::{EnsureOptions, LockMode};
use speech_flow_model_types::{ModelSource, ModelSpec, Patterns};
use tempfile::TempDir;

use crate::client::Ask;
use crate::scene::{Change, Running, manager, start};

const MODEL: &str = "acme/whisper";
const CONFIG: &str = "/acme/whisper/resolve/main/config.json";

/// Three commits: the model, the model with another configuration, and something that is no model.
fn repository() -> Repository {
    let builder = EmbeddedModel::TinyWhisperCt2.builder(MODEL).commit("one");
    let config = EmbeddedModel::TinyWhisperCt2.file("config.json").expect("it has one");
    let builder = builder.file("config.json", [config, b"\n"].concat()).commit("two");
    builder.file("model.bin", "no model").commit("three").build().expect("builds")
}

struct Moving {
    hub: DemoHub,
    folder: Arc<TempDir>,
    commits: Vec<String>,
}

impl Moving {
    /// A hub whose branch stands at the first commit, and a lockfile of that.
    async fn new() -> Self {
        let repository = repository();
        let commits: Vec<String> = repository.commits().iter().map(ToString::to_string).collect();
        let hub = DemoHub::builder().repository(repository).start().await.expect("starts");
        let moving = Self { hub, folder: Arc::new(TempDir::new().expect("temp folder")), commits };
        moving.to(0);
        let spec = ModelSpec {
            name: MODEL.to_owned(),
            source: ModelSource::Hub { repo: MODEL.parse().expect("valid"), revision: "main".parse().expect("valid") },
            kind: None,
            patterns: Patterns::all(),
        };
        let manager = manager(&moving.hub.endpoint(), moving.folder.path());
        let lockfile = manager.lock(&[spec], None, LockMode::Update, &EnsureOptions::default()).await.expect("locks");
        lockfile.replace(&moving.lockfile_path()).expect("writes");
        moving
    }

    fn to(&self, commit: usize) {
        self.hub.set_head(MODEL, "main", &self.commits[commit]).expect("moves");
    }

    fn lockfile_path(&self) -> std::path::PathBuf {
        self.folder.path().join("speech-flow.lock")
    }

    fn locked(&self) -> String {
        let text = std::fs::read_to_string(self.lockfile_path()).expect("reads");
        Lockfile::parse(&text).expect("a lockfile").models()[0].commit().to_string()
    }

    async fn server(&self, change: Change) -> Running {
        let text = std::fs::read_to_string(self.lockfile_path()).expect("reads");
        let lockfile = Some(Lockfile::parse(&text).expect("a lockfile"));
        start(&self.hub.endpoint(), self.folder.path(), &[], change, lockfile).await
    }

    /// What the volume says that the branch is.
    fn name_on_disk(&self) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join("whisper/models--acme--whisper/refs/main")).ok()
    }

    fn snapshot(&self, commit: usize) -> std::path::PathBuf {
        self.folder.path().join("whisper/models--acme--whisper/snapshots").join(&self.commits[commit])
    }
}

fn settings(settings: &mut Settings, policy: UpdatePolicy) {
    settings.token = Secret::from_text("own");
    settings.metadata_ttl = Duration::ZERO;
    (settings.updates, settings.update_every) = (policy, Duration::from_millis(100));
}

async fn until(server: &Running, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let view = Ask::new(server.address, "GET", "/v1/updates").token("own").send().await.json();
        if holds(&view["models"][0]) {
            return view["models"][0].clone();
        }
        assert!(started.elapsed() < Duration::from_secs(60), "not within a minute: {what}: {view}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn metrics(server: &Running) -> String {
    String::from_utf8(Ask::new(server.address, "GET", "/metrics").send().await.body).expect("text")
}

async fn config_length(server: &Running) -> usize {
    Ask::new(server.address, "GET", CONFIG).send().await.body.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_commit_is_fetched_validated_and_reported_and_nothing_moves() {
    let moving = Moving::new().await;
    let server = moving.server(|all| settings(all, UpdatePolicy::Report)).await;
    until(&server, "it is current", |model| model["state"] == "current").await;
    let before = config_length(&server).await;
    moving.to(1);
    let model = until(&server, "the newer commit is here", |model| model["state"] == "ready").await;
    assert_eq!(
        (&model["locked"], &model["found"]),
        (&Value::from(&*moving.commits[0]), &Value::from(&*moving.commits[1]))
    );
    assert_eq!(moving.locked(), moving.commits[0]);
    assert_ne!(moving.name_on_disk().as_deref(), Some(&*moving.commits[1]), "no reader of the volume is moved");
    assert!(moving.snapshot(1).join("model.bin").exists());
    assert_eq!(config_length(&server).await, before, "clients get what is locked");
    let text = metrics(&server).await;
    for line in [
        "speech_flow_server_update_available{model=\"acme/whisper\"} 1",
        "speech_flow_server_update_failed{model=\"acme/whisper\"} 0",
        "speech_flow_server_updates_applied_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    let page = Ask::new(server.address, "GET", "/").token("own").send().await;
    assert!(String::from_utf8_lossy(&page.body).contains(&moving.commits[1][..12]));
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lockfile_follows_where_it_may_and_a_rollback_is_not_undone() {
    let moving = Moving::new().await;
    let server = moving.server(|all| settings(all, UpdatePolicy::Apply)).await;
    until(&server, "it is current", |model| model["state"] == "current").await;
    let before = config_length(&server).await;
    // The old model is used, so it is here.
    Ask::new(server.address, "GET", "/acme/whisper/resolve/main/model.bin").send().await;
    moving.to(1);
    let model = until(&server, "the lockfile moves", |model| model["locked"] == *moving.commits[1]).await;
    assert_eq!(model["previous"], *moving.commits[0]);
    assert_eq!(moving.locked(), moving.commits[1]);
    assert_eq!(moving.name_on_disk().as_deref(), Some(&*moving.commits[1]));
    assert_eq!(config_length(&server).await, before + 1, "clients get the newer one");
    let shown = Ask::new(server.address, "GET", "/v1/models/acme/whisper").send().await.json();
    let old = shown["revisions"].as_array().expect("a list").iter().find(|one| one["commit"] == *moving.commits[0]);
    assert_eq!(old.expect("it is kept")["pinned"], true);

    let rollback = || Ask::new(server.address, "POST", "/v1/models/acme/whisper/rollback");
    assert_eq!(rollback().send().await.status, 401);
    let done = rollback().token("own").body("{\"revision\": \"main\"}").send().await;
    assert_eq!(done.status, 200, "{}", String::from_utf8_lossy(&done.body));
    assert_eq!(done.json()["to"], *moving.commits[0]);
    let runs = |text: &str| -> u32 {
        let line =
            text.lines().find_map(|line| line.strip_prefix("speech_flow_server_update_runs_total{outcome=\"ok\"} "));
        line.and_then(|count| count.parse().ok()).unwrap_or_default()
    };
    let ran = runs(&metrics(&server).await);
    while runs(&metrics(&server).await) < ran + 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until(&server, "the schedule leaves it alone", |model| model["state"] == "rejected").await;
    assert_eq!(moving.locked(), moving.commits[0]);
    assert_eq!(config_length(&server).await, before);
    assert_eq!(rollback().token("own").send().await.status, 404, "there is one way back");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_no_model_moves_nothing() {
    let moving = Moving::new().await;
    let server = moving.server(|all| settings(all, UpdatePolicy::Apply)).await;
    moving.to(2);
    let model = until(&server, "it fails", |model| model["state"] == "failed").await;
    assert_eq!(model["found"], *moving.commits[2]);
    assert!(model["error"].as_str().is_some_and(|error| error.contains("model.bin")), "{model}");
    assert_eq!(moving.locked(), moving.commits[0]);
    assert_ne!(moving.name_on_disk().as_deref(), Some(&*moving.commits[2]));
    let text = metrics(&server).await;
    assert!(text.contains("speech_flow_server_update_failed{model=\"acme/whisper\"} 1"), "{text}");
    // A good commit after it is taken.
    moving.to(1);
    until(&server, "the good one is taken", |model| model["locked"] == *moving.commits[1]).await;
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_on_one_volume_look_once() {
    let moving = Moving::new().await;
    fn by_hand(all: &mut Settings) {
        settings(all, UpdatePolicy::Report);
        all.update_every = Duration::from_secs(100_000);
    }
    let (one, other) = (moving.server(by_hand).await, moving.server(by_hand).await);
    moving.to(1);
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 100_000 }).path("model.bin").on(Endpoint::Cdn);
    moving.hub.add_fault(slow).expect("a rule");
    let run = |server: &Running| Ask::new(server.address, "POST", "/v1/updates").token("own").send();
    assert_eq!(run(&one).await.status, 202);
    let is_body = |record: &speech_flow_demo_hub::RequestRecord| record.endpoint == Endpoint::Cdn;
    while !moving.hub.requests().iter().any(is_body) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(run(&other).await.status, 202);
    while !metrics(&other).await.contains("update_runs_total{outcome=\"busy\"} 1") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What one found, both say.
    until(&one, "it is found", |model| model["state"] == "ready").await;
    until(&other, "it is known", |model| model["state"] == "ready").await;
    let bodies: Vec<_> = moving.hub.requests().into_iter().filter(is_body).collect();
    let distinct: HashSet<_> = bodies.iter().map(|record| (record.file.clone(), record.range.clone())).collect();
    assert_eq!(distinct.len(), bodies.len(), "each range once");
    one.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lockfile_that_somebody_else_moves_is_taken() {
    let moving = Moving::new().await;
    let server = moving.server(|all| settings(all, UpdatePolicy::Never)).await;
    let before = config_length(&server).await;
    moving.to(1);
    let text = std::fs::read_to_string(moving.lockfile_path()).expect("reads");
    assert_eq!(config_length(&server).await, before);
    // Broken first: what was known stays.
    std::fs::write(moving.lockfile_path(), "version = 99\n").expect("writes");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(config_length(&server).await, before);
    let manager = manager(&moving.hub.endpoint(), moving.folder.path());
    let current = Lockfile::parse(&text).expect("a lockfile");
    let options = EnsureOptions::default();
    let next = manager.update(&current, &[], &options, |_, _| Ok(())).await.expect("updates");
    next.replace(&moving.lockfile_path()).expect("writes");
    let started = Instant::now();
    while config_length(&server).await != before + 1 {
        assert!(started.elapsed() < Duration::from_secs(60), "the lockfile is not taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.end().await;
}
