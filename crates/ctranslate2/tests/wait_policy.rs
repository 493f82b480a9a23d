//! The engine's OpenMP threads sleep while they wait, unless the environment says otherwise.
//!
//! libgomp prints its settings when it is loaded and `OMP_DISPLAY_ENV` is set. Each test starts this program again to
//! read them, since they are read once in a process.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is the failure of the test")]

use std::process::Command;

use speech_flow_ctranslate2::Library;

/// What the children run; on its own it shows that the environment is whole after the engine is open.
#[test]
fn the_environment_is_kept() {
    let before: Vec<_> = std::env::vars_os().filter(|(name, _)| name != "OMP_WAIT_POLICY").collect();
    Library::open(None).unwrap_or_else(|error| panic!("{error}; hint: {}", error.hint().unwrap_or_default()));
    let after: Vec<_> = std::env::vars_os().filter(|(name, _)| name != "OMP_WAIT_POLICY").collect();
    assert_eq!(before, after);
}

/// The settings that libgomp has in a process with these variables.
fn settings(variables: &[(&str, &str)]) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "the_environment_is_kept"]).env("OMP_DISPLAY_ENV", "verbose");
    child.env_remove("OMP_WAIT_POLICY").env_remove("GOMP_SPINCOUNT").envs(variables.iter().copied());
    let output = child.output().unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn check(variables: &[(&str, &str)], lines: &[&str]) {
    let settings = settings(variables);
    for line in lines {
        assert!(settings.contains(line), "no {line} in {settings}");
    }
}

#[test]
fn waiting_threads_sleep() {
    check(&[], &["OMP_WAIT_POLICY = 'PASSIVE'", "GOMP_SPINCOUNT = '0'"]);
}

#[test]
fn a_policy_of_the_environment_is_kept() {
    check(&[("OMP_WAIT_POLICY", "active")], &["OMP_WAIT_POLICY = 'ACTIVE'"]);
    check(&[("GOMP_SPINCOUNT", "1234")], &["GOMP_SPINCOUNT = '1234'"]);
}
