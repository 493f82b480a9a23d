//! Pure crates stay pure, and the environment is read in one place.

use super::Finding;
use crate::source::lines_with;
use crate::workspace::Workspace;

/// Crates that would bring a runtime, the network or the disk into `model-types`.
const IMPURE_CRATES: &[&str] = &["axum", "hyper", "reqwest", "rustix", "rustls", "tempfile", "tokio", "tokio-util"];

/// What `model-types` must not name, tests included: it gets bytes, times and random numbers as arguments.
const IMPURE_NAMES: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::io::stdin",
    "SystemTime::now",
    "Instant::now",
    "tokio::",
    "reqwest::",
];

/// Modules of `std` that must not come in through `use std::{…}` either.
const IMPURE_MODULES: &[&str] = &["fs", "env", "net", "process"];

const TYPES: &str = "crates/model-types/";

/// Where variables may be read: the binary, which hands values on, and the chores.
const ENVIRONMENT_READERS: &[&str] = &["crates/speech-flow/", "xtask/", "fuzz/"];

pub(super) fn check_types(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in workspace.manifests.iter().filter(|manifest| manifest.package() == "speech-flow-model-types") {
        for (name, _) in manifest.dependencies("dependencies") {
            if IMPURE_CRATES.contains(&name) {
                findings.push(Finding::new(&manifest.path, 0, format!("`{name}` makes `model-types` impure")));
            }
        }
    }
    for file in workspace.files.iter().filter(|file| file.path.starts_with(TYPES)) {
        for name in IMPURE_NAMES {
            for line in lines_with(&file.code, name) {
                findings.push(Finding::new(&file.path, line, format!("`{name}` has no place in `model-types`")));
            }
        }
        for (module, line) in grouped_std_modules(&file.code) {
            if IMPURE_MODULES.contains(&module) {
                findings.push(Finding::new(&file.path, line, format!("`std::{module}` has no place in `model-types`")));
            }
        }
    }
    findings
}

pub(super) fn check_environment(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &workspace.files {
        if file.is_test() || ENVIRONMENT_READERS.iter().any(|folder| file.path.starts_with(folder)) {
            continue;
        }
        let code = file.code_outside_tests();
        for name in ["env::var", "env::var_os", "env::vars", "env::vars_os", "env::set_var", "env::remove_var"] {
            for line in lines_with(&code, name) {
                findings.push(Finding::new(&file.path, line, format!("`{name}`: take a value, the binary reads it")));
            }
        }
    }
    findings
}

/// The first names inside each `use std::{…}`, with their lines.
fn grouped_std_modules(code: &str) -> Vec<(&str, usize)> {
    let mut modules = Vec::new();
    for (at, open) in code.match_indices("std::{") {
        let group = &code[at + open.len()..];
        let mut depth = 0_usize;
        let mut start = 0;
        for (end, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    let first = group[start..end].trim_start();
                    let offset = end - first.len();
                    let name = first.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                    let line = 1 + code[..at + open.len() + offset].matches('\n').count();
                    modules.push((name, line));
                    start = end + 1;
                }
                _ => {}
            }
            if c == '}' && depth == 0 && start > end {
                break;
            }
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::super::testing::{expect, with_file, with_manifest};
    use super::*;

    #[test]
    fn disk_environment_and_clock_are_refused_in_types() {
        for line in ["use std::fs;", "let x = std::env::temp_dir();", "SystemTime::now()", "tokio::spawn(a)"] {
            let file = with_file("crates/model-types/src/a.rs", &format!("//! A.\n{line}\n"));
            expect(&check_types(&file), &["a.rs:2: "]);
        }
    }

    #[test]
    fn grouped_imports_are_seen_too() {
        let file =
            with_file("crates/model-types/src/a.rs", "use std::{\n    fmt::{self, Debug},\n    fs,\n};\nfn env() {}\n");
        expect(&check_types(&file), &["a.rs:3: `std::fs`"]);
    }

    #[test]
    fn docs_may_speak_of_the_disk() {
        let file = with_file("crates/model-types/src/a.rs", "//! No `std::fs` here.\nconst A: &str = \"std::env\";\n");
        expect(&check_types(&file), &[]);
    }

    #[test]
    fn a_runtime_is_no_dependency_of_types() {
        let bad = "package.name = 'speech-flow-model-types'\n[dependencies]\ntokio.workspace = true";
        expect(&check_types(&with_manifest(bad)), &["`tokio` makes"]);
    }

    #[test]
    fn only_the_binary_and_tests_read_variables() {
        let read = "//! A.\nfn a() { std::env::var(\"HF_HOME\"); }\n";
        expect(&check_environment(&with_file("crates/model-hub/src/a.rs", read)), &["a.rs:2: `env::var`"]);
        let all = "//! A.\nfn a() { std::env::vars_os(); }\n";
        expect(&check_environment(&with_file("crates/model-hub/src/a.rs", all)), &["`env::vars_os`"]);
        for path in ["crates/speech-flow/src/main.rs", "crates/model-hub/tests/a.rs", "xtask/src/main.rs"] {
            expect(&check_environment(&with_file(path, read)), &[]);
        }
        let in_tests = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{read}}}\n");
        expect(&check_environment(&with_file("crates/model-hub/src/a.rs", &in_tests)), &[]);
    }
}
