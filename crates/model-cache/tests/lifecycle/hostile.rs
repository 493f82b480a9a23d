//! What another user of the volume may plant: links that lead out of the cache, pipes in place of files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use speech_flow_model_cache::ClearTarget;

use crate::fixture::{Fixture, SILENT, commit, make_older, repo, strict, write};

const NAME: &str = "org/name";

/// Somebody's folder outside the cache, old enough for a cleaner to take it for left behind.
fn treasure(fixture: &Fixture) -> PathBuf {
    let folder = fixture.root().join("../treasure");
    for file in ["thesis/chapter", "mail", ".settings/key", "movie.incomplete", "empty.shared", ".draft.tmp"] {
        write(&folder.join(file), b"mine");
        make_older(&folder.join(file), SILENT);
    }
    for subfolder in ["thesis", ".settings"] {
        make_older(&folder.join(subfolder), SILENT);
    }
    fs::canonicalize(folder).unwrap()
}

/// Puts a link to the folder in place of a part of the repository.
fn plant(fixture: &Fixture, part: &str, folder: &Path) {
    let place = fixture.repo(NAME).join(part);
    if place.exists() {
        fs::rename(&place, fixture.root().join("../replaced")).unwrap();
    }
    symlink(folder, place).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let output = Command::new("find").arg(folder).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn cleaning_follows_no_link_out_of_the_cache() {
    for part in [".partial", ".going", "blobs", "refs", "trees", ".no_exist", "snapshots"] {
        let fixture = Fixture::new();
        fixture.revision(NAME, 'a', &[("model.bin", b"weights")], &["main"]);
        let treasure = treasure(&fixture);
        let before = names(&treasure);
        plant(&fixture, part, &treasure);
        let cache = fixture.cache();
        // Whether it does its work or refuses, it must not touch what is not in the cache.
        let _ = cache.gc(&strict());
        let _ = cache.clear(&[ClearTarget::Revision(repo(NAME), commit('a'))]);
        let _ = cache.clear(&[ClearTarget::Repo(repo(NAME))]);
        assert_eq!(names(&treasure), before, "a link in place of `{part}` was followed");
    }
}

#[test]
fn a_planted_link_is_a_problem_of_the_report() {
    let fixture = Fixture::new();
    fixture.revision(NAME, 'a', &[("model.bin", b"weights")], &["main"]);
    plant(&fixture, ".partial", &treasure(&fixture));
    let report = fixture.cache().scan().unwrap();
    assert!(report.repos[0].problems.iter().any(|problem| problem.path.ends_with(".partial")), "{report:?}");
    assert!(report.repos[0].orphans.is_empty(), "{:?}", report.repos[0].orphans);
}

/// Runs something that must not wait for the other end of a pipe.
fn at_once<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(Duration::from_secs(20)).expect("it waits for a pipe")
}

fn pipe(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_pipe_in_place_of_a_record_is_not_waited_for() {
    let fixture = Fixture::new();
    fixture.revision(NAME, 'a', &[("model.bin", b"weights")], &["main"]);
    let folder = repo(NAME).folder();
    let (root, state) = (fixture.repo(NAME), fixture.state());
    for path in [
        root.join("refs/main"),
        root.join(format!("trees/{}.json", commit('a'))),
        state.join(format!("usage/{folder}/{}.json", commit('a'))),
        state.join(format!("pins/{folder}/main.json")),
        state.join(format!("leases/{folder}.{}.1-0.json", commit('a'))),
        fixture.root().join("blobs/.huggingface-shared-blobs"),
    ] {
        pipe(&path);
    }
    let cache = fixture.cache();
    at_once(move || {
        cache.scan().unwrap();
        let cleaned = cache.clear(&[ClearTarget::Repo(repo(NAME))]).unwrap();
        assert!(cleaned.removed.is_empty(), "a lease that cannot be read protects: {cleaned:?}");
        assert!(cache.pins().is_err());
        drop(cache.lease(&repo(NAME), &commit('a')).unwrap());
    });
}

#[test]
fn a_device_in_place_of_a_record_does_not_fill_the_memory() {
    let fixture = Fixture::new();
    fixture.revision(NAME, 'a', &[("model.bin", b"weights")], &[]);
    let record = fixture.state().join(format!("usage/{}/{}.json", repo(NAME).folder(), commit('a')));
    fs::create_dir_all(record.parent().unwrap()).unwrap();
    symlink("/dev/zero", &record).unwrap();
    fs::create_dir_all(fixture.repo(NAME).join("refs")).unwrap();
    symlink("/dev/zero", fixture.repo(NAME).join("refs/main")).unwrap();
    let report = fixture.cache().scan().unwrap();
    assert_eq!(report.repos[0].problems.len(), 2, "{report:?}");
}
