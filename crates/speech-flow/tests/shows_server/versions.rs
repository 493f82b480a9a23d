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
fn python_clients_of_every_generation_get_the_hubs_files_cold_and_warm() {
    let Some(main) = Client::find() else { return };
    for (generation, version) in [("hub-0.36", "0.36."), ("hub-1", "1."), ("hub-2", "2.4.")] {
        let world = World::start();
        let client = Client::of(installed(&format!("{generation}/bin/python")));
        let xet = world.folder().join("xet");
        lend_xet(&main, &xet);
        let served = Served::start(&world, "server", &[]);
        // Cold and warm.
        for (at, has_xet) in [false, true, false].into_iter().enumerate() {
            let lend = |command: &mut Command| {
                command.env("HF_HUB_DISABLE_XET", "0").env("HF_ENDPOINT", &served.endpoint);
                if has_xet {
                    command.env("PYTHONPATH", &xet);
                }
            };
            let cache = world.folder().join(format!("client-{at}"));
            let mut command = client.script(&world, "server_versions.py", &[text(&cache), LID]);
            lend(&mut command);
            let answer = answer(&mut command);
            assert!(answer["version"].as_str().is_some_and(|found| found.starts_with(version)), "{answer}");
            assert_eq!(answer["has_xet"], has_xet, "{answer}");
            check(&world, LID, &answer["files"]);
            let mut command = client.hf(&world, &["download", WHISPER, "--cache-dir", text(&cache), "--quiet"]);
            lend(&mut command);
            let run = Run::new(command.output().expect("hf starts")).exits(0);
            let folder = PathBuf::from(run.stdout().trim().trim_start_matches("path: "));
            check_folder(&world, WHISPER, &folder);
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

/// A folder in which Python finds `hf_xet`, as the main environment has it installed.
fn lend_xet(main: &Client, folder: &Path) {
    std::fs::create_dir(folder).expect("a folder");
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
