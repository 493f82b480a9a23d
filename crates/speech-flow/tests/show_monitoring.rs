//! The rules, the dashboard and the monitors of `deploy/monitoring`, against promtool, the operator's schemas, and a
//! real Prometheus that reads a real cache server and both workers; and the runbook, whose commands are run.

#[path = "support/console.rs"]
mod console;
#[path = "show_monitoring/dashboard.rs"]
mod dashboard;
#[path = "show_monitoring/expressions.rs"]
mod expressions;
#[path = "show_monitoring/http.rs"]
mod http;
#[path = "show_monitoring/objects.rs"]
mod objects;
#[path = "show_monitoring/prometheus.rs"]
mod prometheus;
#[path = "show_monitoring/rules.rs"]
mod rules;
#[path = "show_monitoring/runbook.rs"]
mod runbook;
#[path = "show_monitoring/scraped.rs"]
mod scraped;
#[path = "show_monitoring/service.rs"]
mod service;

#[path = "support/support.rs"]
mod support;

use std::path::{Path, PathBuf};

/// The workspace's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// The folder that is tested.
fn monitoring() -> PathBuf {
    root().join("deploy/monitoring")
}

/// The files of one of its folders that end so, sorted.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(monitoring().join(folder)).expect("a folder").flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(ending));
    files.sort();
    assert!(!files.is_empty(), "{folder} has no file that ends in {ending}");
    files
}
