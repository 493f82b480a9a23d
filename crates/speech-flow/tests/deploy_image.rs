//! `deploy/Dockerfile` and `deploy/compose.yaml` against the program: commands, variables, ports, versions.
//!
//! That the image builds and runs is shown by `make image-test`; what stands here needs no container.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use speech_flow_model_manager::config::DECLARATIONS;

#[path = "support/support.rs"]
mod support;

use support::Run;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("`{path}`: {error}"))
}

/// The Dockerfile with its continued lines joined.
fn dockerfile() -> String {
    read("deploy/Dockerfile").replace("\\\n", " ")
}

/// What `ENV` of the image's own stages sets.
fn image_variables() -> Vec<(String, String)> {
    let dockerfile = dockerfile();
    let (_, image) = dockerfile.split_once("FROM scratch AS runtime").expect("the stage of the image");
    let lines = image.lines().filter_map(|line| line.strip_prefix("ENV "));
    let pairs = lines.flat_map(str::split_whitespace).map(|pair| pair.split_once('=').expect("NAME=VALUE"));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn is_known(variable: &str) -> bool {
    DECLARATIONS.iter().any(|declaration| declaration.variables.contains(&variable))
}

/// A YAML file as JSON, merge keys resolved; the Python of the other tests has the parser.
fn yaml(path: &str) -> Value {
    let python = std::env::var_os("SPEECH_FLOW_TEST_PYTHON").expect("SPEECH_FLOW_TEST_PYTHON: run `make test`");
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let output = Command::new(python).args(["-c", script]).arg(root().join(path)).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A value as Compose reads it where nobody has set a variable: `${NAME:-default}`.
fn by_default(value: &str) -> String {
    match value.split_once("${").and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (variable, after))) => {
            let (_, default) = variable.split_once(":-").unwrap_or_else(|| panic!("`{variable}` has no default"));
            format!("{before}{default}{}", by_default(after))
        }
        None => value.to_owned(),
    }
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|word| word.as_str().expect("a word")).collect()
}

/// Runs the program without anything of this machine's configuration.
fn run(arguments: &[&str], variables: &[(String, String)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_speech-flow"));
    command.args(arguments).env_clear().env("HOME", "/nonexistent").current_dir("/").stdin(Stdio::null());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    Run::new(command.output().expect("the program starts"))
}

/// Services of the Compose file that run the program, by name.
fn services(compose: &Value) -> Vec<(String, Value)> {
    let all = compose["services"].as_object().expect("services").clone();
    let services: Vec<_> = all.into_iter().filter(|(name, _)| name != "prometheus").collect();
    assert_eq!(services.len(), 4, "preload, cache, whisper and lid");
    services
}

fn environment(service: &Value) -> Vec<(String, String)> {
    let pairs = service["environment"].as_object().expect("an environment");
    pairs.iter().map(|(name, value)| (name.clone(), by_default(value.as_str().expect("text")))).collect()
}

#[test]
fn the_image_sets_only_variables_that_the_program_knows_and_takes() {
    let variables = image_variables();
    for (name, _) in &variables {
        let is_for_others = name == "PATH" || name.starts_with("NVIDIA_");
        assert!(is_for_others || is_known(name), "`{name}` is no setting");
    }
    let without_arguments: Vec<_> = variables.into_iter().filter(|(_, value)| !value.contains('$')).collect();
    let config = run(&["config", "--json"], &without_arguments).exits(0).stdout();
    for value in ["/models/whisper", "0.0.0.0:8000", "0.0.0.0:8090"] {
        assert!(config.contains(value), "{value}");
    }
}

#[test]
fn the_image_is_built_with_the_toolchain_and_the_version_of_the_workspace() {
    let toolchain: String = read("rust-toolchain.toml").split('"').nth(1).expect("a channel").to_owned();
    let dockerfile = dockerfile();
    assert!(dockerfile.contains(&format!("ARG RUST_IMAGE=docker.io/library/rust:{toolchain}-bookworm")), "{toolchain}");
    let version = env!("CARGO_PKG_VERSION");
    assert!(dockerfile.contains(&format!("ARG VERSION={version}\n")), "{version}");
    assert!(read("deploy/compose.yaml").contains(&format!("speech-flow:{version}}}")), "{version}");
}

#[test]
fn the_health_check_and_the_models_of_the_image_are_what_the_program_takes() {
    let dockerfile = dockerfile();
    let check = dockerfile.lines().find(|line| line.starts_with("HEALTHCHECK")).expect("a health check");
    let (_, command) = check.split_once("CMD ").expect("a command");
    let command: Value = serde_json::from_str(command).expect("the form that needs no shell");
    assert_eq!(words(&command), ["speech-flow", "health"]);
    run(&["health", "--help"], &[]).exits(0);
    for name in ["WHISPER_MODEL_NAME", "WHISPER_MODEL_REVISION", "LID_MODEL_ID", "LID_MODEL_REVISION"] {
        let declaration = DECLARATIONS.iter().find(|declaration| declaration.variables.contains(&name));
        let default = declaration.expect("a setting").default.trim_matches('`').to_owned();
        let argument = format!("ARG {name}={default}\n");
        // Where they are fetched, and where the image is told what it has.
        assert_eq!(dockerfile.matches(&argument).count(), 2, "{argument}");
    }
}

#[test]
fn every_service_of_compose_is_a_command_with_variables_that_the_program_knows() {
    for (name, service) in services(&yaml("deploy/compose.yaml")) {
        let mut command = words(&service["command"]);
        command.push("--help");
        run(&command, &[]).exits(0);
        let environment = environment(&service);
        for (variable, _) in &environment {
            assert!(is_known(variable), "{name}: `{variable}` is no setting");
        }
        run(&["config"], &environment).exits(0);
        if let Some(health) = service.get("healthcheck") {
            let test = words(&health["test"]);
            assert_eq!(&test[..3], ["CMD", "speech-flow", "health"], "{name}");
            run(&[&test[2..], &["--help"]].concat(), &[]).exits(0);
        }
    }
}

#[test]
fn services_of_compose_listen_where_their_ports_lead_and_only_this_machine_reaches_them() {
    let (compose, variables) = (yaml("deploy/compose.yaml"), image_variables());
    let port_of = |variable: &str| {
        let (_, address) = variables.iter().find(|(name, _)| name == variable).expect("it is set");
        address.rsplit(':').next().expect("a port").to_owned()
    };
    let mut published = BTreeSet::new();
    for (name, service) in services(&compose) {
        let listens = match words(&service["command"])[0] {
            "serve" => port_of("SPEECH_FLOW_SERVER_LISTEN"),
            "worker" => port_of("WORKER_LISTEN"),
            _ => continue,
        };
        for port in words(&service["ports"]).into_iter().map(by_default) {
            let (outside, inside) = port.rsplit_once(':').expect("two ports");
            assert_eq!(inside, listens, "{name}");
            assert!(outside.starts_with("127.0.0.1:") && published.insert(outside.to_owned()), "{name}: {outside}");
        }
        let targets = yaml("deploy/compose/prometheus.yaml")["scrape_configs"].to_string();
        assert!(targets.contains(&format!("\"{name}:{listens}\"")), "{name} is not scraped: {targets}");
    }
}

#[test]
fn services_of_compose_may_do_no_more_than_they_need() {
    let compose = yaml("deploy/compose.yaml");
    for (name, service) in compose["services"].as_object().expect("services") {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(words(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(words(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
    }
    for (name, service) in services(&compose) {
        let models =
            words(&service["volumes"]).into_iter().find(|volume| volume.starts_with("models:")).expect("models");
        let is_worker = words(&service["command"])[0] == "worker";
        assert_eq!(models == "models:/models:ro", is_worker, "{name}: {models}");
        assert_eq!(service.get("secrets").is_some(), !is_worker, "{name}: workers need no token");
    }
}
