//! The guides for newcomers: their commands are run as they stand in the text, and print what it says. They start
//! everything that they need themselves, the demo hub included.

#[path = "support/console.rs"]
mod console;

use std::path::{Path, PathBuf};
use std::process::Command;

const GUIDES: [&str; 4] = ["QUICK_START.md", "MIGRATION.md", "SECURITY.md", "COMPARISON.md"];

#[test]
fn the_quick_start_prints_what_it_says() {
    assert!(follow("QUICK_START.md") > 30);
}

#[test]
fn the_migration_from_python_prints_what_it_says() {
    assert!(follow("MIGRATION.md") > 20);
}

#[test]
fn the_guide_to_security_prints_what_it_says() {
    assert!(follow("SECURITY.md") > 15);
}

/// Does what a guide says in an empty folder that has what it takes of a checkout; gives the number of commands.
#[track_caller]
fn follow(name: &str) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    for part in ["deploy", "fixtures"] {
        std::os::unix::fs::symlink(console::workspace().join(part), folder.path().join(part)).expect("a link");
    }
    let program = Path::new(env!("CARGO_BIN_EXE_speech-flow")).parent().expect("a folder");
    let path = format!("{}:{}:/usr/bin:/bin", program.display(), python_folder().display());
    let text = console::guide(name);
    let mut shell = Command::new("bash");
    shell.env_clear().env("PATH", path).env("HOME", folder.path().join("home")).current_dir(folder.path());
    console::run(&console::blocks(&text, "console"), &mut shell, &console::free_ports(&text))
}

/// Where `python` and `hf` are.
fn python_folder() -> PathBuf {
    let python = std::env::var_os("SPEECH_FLOW_TEST_PYTHON").expect("SPEECH_FLOW_TEST_PYTHON; `make test` sets it");
    Path::new(&python).parent().expect("a folder").to_owned()
}

#[test]
fn every_file_that_a_guide_names_is_there() {
    let is_of_a_path = |char: char| char.is_ascii_alphanumeric() || "-_./".contains(char);
    let mut count = 0;
    for name in GUIDES {
        let text = console::guide(name);
        for path in text.split(|char| !is_of_a_path(char)) {
            let path = path.trim_start_matches("../").trim_end_matches('.');
            let is_link = path.ends_with(".md") && !path.contains('/');
            let is_ours = ["deploy/", "fixtures/", "docs/", "scripts/"].iter().any(|start| path.starts_with(start));
            if is_link || is_ours {
                count += 1;
                let place = if is_link { format!("docs/{path}") } else { path.to_owned() };
                // CHANGELOG.md and README.md stand above.
                let is_there = [place.as_str(), path].iter().any(|path| console::workspace().join(path).exists());
                assert!(is_there, "{name} names `{path}`");
            }
        }
    }
    assert!(count > 50, "only {count}");
}

#[test]
fn every_kustomization_that_a_guide_applies_is_one() {
    let mut count = 0;
    for name in GUIDES {
        for folder in console::guide(name).lines().filter_map(|line| line.trim().strip_prefix("kubectl apply -k ")) {
            let folder = folder.split(' ').next().expect("a folder");
            count += 1;
            let file = console::workspace().join(folder).join("kustomization.yaml");
            assert!(file.is_file(), "{name}: no {}", file.display());
        }
    }
    assert!(count > 5, "only {count}");
}
