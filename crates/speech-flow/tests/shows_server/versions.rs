//! Every generation of the Hub's clients through the server, with `hf_xet` installed and without.
//!
//! `scripts/clients.sh` makes their environments, without `hf_xet`. Where it is to be installed, the tests lend them
//! the package of the main environment, as `pip install` would have put it beside them.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::client::{Client, answer, root, text};
use crate::served::Served;
use crate::support::{LID, Run, WHISPER, World};

#[test]
fn python_clients_of_0_36_get_the_hubs_files_cold_and_warm() {
    python_client("hub-0.36", "0.36.");
}

#[test]
fn python_clients_of_1_get_the_hubs_files_cold_and_warm() {
    python_client("hub-1", "1.");
}

#[test]
fn python_clients_of_2_4_get_the_hubs_files_cold_and_warm() {
    python_client("hub-2", "2.4.");
}

#[track_caller]
fn python_client(generation: &str, version: &str) {
    let Some(main) = Client::find() else { return };
    let client = Client::of(installed(&format!("{generation}/bin/python")));
    for has_xet in [false, true] {
        let world = World::start();
        let lent = world.folder().join("lent");
        std::fs::create_dir(&lent).expect("a folder");
        if has_xet {
            lend_xet(&main, &lent);
        }
        let served = Served::start(&world, "server", &[]);
        let settings = |command: &mut Command| {
            command.env("HF_HUB_DISABLE_XET", "0").env("HF_ENDPOINT", &served.endpoint).env("PYTHONPATH", &lent);
        };
        for cache in ["cold", "warm"] {
            let cache = world.folder().join(cache);
            let mut command = client.script(&world, "server_versions.py", &[text(&cache), LID]);
            settings(&mut command);
            let answer = answer(&mut command);
            assert!(answer["version"].as_str().is_some_and(|found| found.starts_with(version)), "{answer}");
            assert_eq!(answer["has_xet"], has_xet, "{answer}");
            check(&world, LID, &answer["files"]);
            let mut command = client.hf(&world, &["download", WHISPER, "--cache-dir", text(&cache), "--quiet"]);
            settings(&mut command);
            let run = Run::new(command.output().expect("hf starts")).exits(0);
            check_folder(&world, WHISPER, Path::new(run.stdout().trim()));
        }
        sent_once(&world);
    }
}

#[test]
fn the_rust_client_gets_the_hubs_files_cold_and_warm() {
    rust_client("before-one");
}

#[test]
#[ignore = "`make parity` builds the newest Rust client, with its 280 crates"]
fn parity_the_newest_rust_client_gets_the_hubs_files_cold_and_warm() {
    rust_client("one");
}

#[track_caller]
fn rust_client(generation: &str) {
    let world = World::start();
    let served = Served::start(&world, "server", &[]);
    for at in 0..2 {
        let cache = world.folder().join(format!("client-{at}"));
        for repo in [LID, WHISPER] {
            let mut command = Command::new(installed("debug/hf-hub-client"));
            command.args([generation, &served.endpoint, text(&cache), repo]).env_clear();
            command.env("HOME", world.folder().join("home")).stdout(Stdio::piped());
            let answer = answer(&mut command);
            let files = world.hub.files(repo, "main");
            assert_eq!(answer["files"].as_object().map(serde_json::Map::len), Some(files.len()), "{answer}");
            for file in files {
                let path = answer["files"][&file.path].as_str().unwrap_or_else(|| panic!("{} in {answer}", file.path));
                check_file(Path::new(path), &file);
            }
        }
    }
    sent_once(&world);
}

/// Puts `hf_xet` into a folder in which Python looks, as the main environment has it installed.
fn lend_xet(main: &Client, folder: &Path) {
    let library = main.beside("../lib").read_dir().expect("a library").flatten().next().expect("Python's").path();
    let packages = library.join("site-packages").canonicalize().expect("a path");
    let lent: Vec<_> = packages.read_dir().expect("packages").flatten().map(|entry| entry.file_name()).collect();
    let lent: Vec<_> = lent.iter().filter(|name| name.to_string_lossy().starts_with("hf_xet")).collect();
    assert_eq!(lent.len(), 2, "the package and its metadata: {lent:?}");
    for name in lent {
        symlink(packages.join(name), folder.join(name)).expect("links");
    }
}

/// What a script found must be the hub's files, all of them.
#[track_caller]
fn check(world: &World, repo: &str, found: &Value) {
    let files = world.hub.files(repo, "main");
    assert_eq!(found.as_object().map(serde_json::Map::len), Some(files.len()), "{found}");
    for file in files {
        let digest = file.digest.to_string();
        assert_eq!(found[&file.path]["size"], file.size, "{}", file.path);
        assert!(digest.len() != 64 || found[&file.path]["sha256"] == digest, "{}", file.path);
    }
}

#[track_caller]
fn check_folder(world: &World, repo: &str, folder: &Path) {
    for file in world.hub.files(repo, "main") {
        check_file(&folder.join(&file.path), &file);
    }
}

#[track_caller]
fn check_file(path: &Path, file: &speech_flow_demo_hub::FileSummary) {
    let content = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(content.len() as u64, file.size, "{}", file.path);
    let found: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let digest = file.digest.to_string();
    assert!(digest.len() != 64 || found == digest, "{}", file.path);
}

/// However many clients came, the hub sent no byte twice.
#[track_caller]
fn sent_once(world: &World) {
    let sent: u64 = world.file_bytes();
    let all: u64 = [LID, WHISPER].iter().flat_map(|repo| world.hub.files(repo, "main")).map(|file| file.size).sum();
    assert_eq!(sent, all);
}

/// What `scripts/clients.sh` has made.
#[track_caller]
fn installed(path: &str) -> PathBuf {
    let path = root().join("target/clients").join(path);
    assert!(path.is_file(), "there is no `{}`: `scripts/clients.sh` makes it", path.display());
    path
}
