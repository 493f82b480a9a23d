//! What the containers of a strategy run, as kubectl renders its manifests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The containers of one overlay.
pub(crate) struct Manifests {
    pods: Value,
}

/// What one container runs.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) args: Vec<String>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) mounts: Vec<Mount>,
}

/// Where a volume is in a container.
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    pub(crate) path: String,
    pub(crate) read_only: bool,
}

impl Manifests {
    /// Renders an overlay.
    pub(crate) fn of(overlay: &str) -> Self {
        let python = root().join(".venv-deploy/bin/python");
        assert!(python.exists(), "`make test` makes .venv-deploy and target/deploytools");
        let output = Command::new(python).arg(root().join("tests/deploy/containers.py")).arg(overlay).output();
        let output = output.expect("Python starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { pods: serde_json::from_slice(&output.stdout).expect("JSON") }
    }

    /// The containers of an object's pods, in the order in which they run.
    pub(crate) fn pod(&self, object: &str) -> Vec<Spec> {
        let containers = self.pods[object].as_array().unwrap_or_else(|| panic!("there is no {object}"));
        containers.iter().map(Spec::read).collect()
    }
}

impl Spec {
    fn read(container: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let args = container["args"].as_array().expect("arguments").iter().map(text).collect();
        let variables = container["variables"].as_object().expect("variables");
        let mounts = container["mounts"].as_array().expect("mounts").iter();
        Self {
            args,
            variables: variables.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            mounts: mounts
                .map(|mount| Mount { path: text(&mount["path"]), read_only: mount["read_only"] == true })
                .collect(),
        }
    }
}

/// The workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}
