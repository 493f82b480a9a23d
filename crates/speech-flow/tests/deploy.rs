//! Everything in `deploy/` that a cluster reads, held to the API's types, to the rules of a restricted namespace, to
//! itself, and to this program: `tests/deploy/check.py` renders and judges, the facts about the program come from here.
//!
//! Needs what `scripts/deploytools.sh` and `scripts/venv.sh .venv-deploy tests/deploy/requirements.txt` set up, which
//! `make test` runs.

#[path = "deploy/services.rs"]
mod services;
#[path = "deploy/shapes.rs"]
mod shapes;
#[path = "support/support.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use speech_flow_cache_server::Settings;
use speech_flow_model_manager::config::{Config, ConfigSources, SystemFacts};
use speech_flow_model_manager::validate::{MemorySettings, memory_need};
use speech_flow_model_types::ModelKind;

use services::Service;
use support::{Run, World};

#[test]
fn every_manifest_and_the_chart_fit_the_cluster_and_the_program() {
    judge("all");
}

#[test]
fn every_check_of_the_manifests_finds_what_it_is_for() {
    judge("mutations");
}

#[track_caller]
fn judge(what: &str) {
    let world = World::start();
    let facts = world.folder().join("facts.json");
    std::fs::write(&facts, facts_of(&world).to_string()).expect("writes");
    let run = check(&[what, facts.to_str().expect("UTF-8")]);
    assert_eq!(run.code(), 0, "{}\n{}", run.stdout(), run.stderr());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

fn check(arguments: &[&str]) -> Run {
    let python = root().join(".venv-deploy/bin/python");
    let tools = root().join("target/deploytools/.made-from");
    assert!(
        python.exists() && tools.exists(),
        "run scripts/deploytools.sh and scripts/venv.sh .venv-deploy tests/deploy/requirements.txt, or `make test`"
    );
    let mut command = Command::new(python);
    command.arg(root().join("tests/deploy/check.py")).args(arguments);
    Run::new(command.output().expect("Python starts"))
}

/// What the program says of itself.
fn facts_of(world: &World) -> Value {
    let document = world.run(&["config", "--json"]).exits(0).json();
    let settings = document["settings"].as_array().expect("settings");
    let variables: Vec<&Value> = settings.iter().map(|setting| &setting["variable"]).collect();

    let services = ["serve", "worker whisper", "worker lid"].map(|name| Service::start(world, name));
    // What the probes ask is asked here, too: an answer, or "not ready", but no 404.
    for line in check(&["paths"]).exits(0).stdout().lines() {
        let (name, path) = line.rsplit_once(' ').expect("a service and a path");
        let service = services.iter().find(|service| service.name == name).expect("one of ours");
        let status = service.get(path).0;
        assert!(matches!(status, 200 | 503), "{name} answers {path} with {status}");
    }
    let routes: serde_json::Map<_, _> =
        services.iter().map(|service| (service.name.to_owned(), json!(service.routes()))).collect();
    let metrics: Vec<String> =
        services.iter().filter(|service| service.name != "serve").flat_map(Service::metrics).collect();
    json!({
        "binary": env!("CARGO_BIN_EXE_speech-flow"),
        "variables": variables,
        "routes": routes,
        "metrics": metrics,
        "drain_seconds": Settings::of(&manifests_config()).drain.as_secs(),
        "memory": memory_of_the_default_models(world),
    })
}

/// The configuration of the manifests' one file of settings.
fn manifests_config() -> Config {
    let text = std::fs::read_to_string(root().join("deploy/kubernetes/base/speech-flow.env")).expect("reads");
    let pairs: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let facts = SystemFacts {
        home: None,
        cache_home: None,
        models_dir_exists: false,
        cuda_usable: false,
        current_dir: PathBuf::from("/"),
    };
    let env = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
    let config =
        Config::load(&ConfigSources { env: &env, flags: Vec::new(), files: Vec::new(), facts, is_folder: &|_| false });
    config.expect("the manifests' settings are good")
}

/// Models of the shape of the manifests' default ones: `large-v3` and `facebook/mms-lid-126`. Their weights are holes.
fn memory_of_the_default_models(world: &World) -> Value {
    let config = manifests_config();
    let need = |folder: &Path, kind, compute_type| {
        let settings = MemorySettings {
            compute_type,
            batch: (*config.worker.max_batch).into(),
            replicas: (*config.worker.replicas).into(),
            audio: *config.worker.queue,
        };
        memory_need(folder, kind, &settings).expect("a model").total_bytes
    };
    let (whisper, lid) = (world.folder().join("large-v3"), world.folder().join("mms-lid-126"));
    shapes::whisper_large_v3(&whisper);
    shapes::mms_lid(&lid);
    json!({
        "worker whisper": need(&whisper, ModelKind::Whisper, *config.whisper.compute_type),
        "worker lid": need(&lid, ModelKind::LanguageId, *config.lid.compute_type),
    })
}
