//! What the program says about itself.

use std::process::{Command, Stdio};

#[path = "support/support.rs"]
mod support;

use support::Run;

const COMMANDS: [&str; 23] = [
    "preload",
    "list",
    "info",
    "verify",
    "path",
    "clear",
    "lock",
    "update",
    "pin",
    "unpin",
    "gc",
    "pack",
    "transcribe",
    "identify",
    "worker",
    "serve",
    "health",
    "config",
    "doctor",
    "demo",
    "demo-hub",
    "completions",
    "man",
];

/// Runs without a hub.
fn run(arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_speech-flow"));
    command.args(arguments).env_clear().env("HOME", "/nonexistent").stdin(Stdio::null());
    Run::new(command.output().expect("the program starts"))
}

#[test]
fn help_of_every_command_is_as_written() {
    insta::assert_snapshot!("help", run(&["--help"]).exits(0).stdout());
    for command in COMMANDS {
        insta::assert_snapshot!(format!("help_{command}"), run(&[command, "--help"]).exits(0).stdout());
    }
}

#[test]
fn no_command_is_wrong_usage_and_shows_the_help() {
    let run = run(&[]).exits(2);
    assert_eq!(run.stdout(), "");
    assert!(run.stderr().contains("Usage: speech-flow"), "{}", run.stderr());
}

#[test]
fn a_command_with_a_typo_is_wrong_usage_and_gets_a_suggestion() {
    let run = run(&["prelaod"]).exits(2);
    assert!(run.stderr().contains("'preload'"), "{}", run.stderr());
}

#[test]
fn the_version_is_data() {
    assert_eq!(run(&["--version"]).exits(0).stdout(), format!("speech-flow {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_shell_gets_a_completion_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(&["completions", shell, "--cache-dir", "/nonexistent"]).exits(0).stdout();
        assert!(script.contains("preload"), "{shell}");
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("man1");
    run(&["man", "--cache-dir", "/nonexistent", "--out", &out.display().to_string()]).exits(0);
    for command in COMMANDS {
        let page = std::fs::read_to_string(out.join(format!("speech-flow-{command}.1"))).expect("a page");
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
    let page = run(&["man", "--cache-dir", "/nonexistent"]).exits(0).stdout();
    assert_eq!(page, std::fs::read_to_string(out.join("speech-flow.1")).expect("a page"));
}
