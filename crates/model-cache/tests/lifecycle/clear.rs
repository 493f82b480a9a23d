use std::fs;
use std::os::unix::fs::symlink;

use speech_flow_model_cache::{ClearTarget, Hold, OwnerId};

use crate::fixture::{Fixture, OtherProcess, SILENT, XET_HASH, commit, make_older, repo, strict, write};

fn revision(name: &str, digit: char) -> ClearTarget {
    ClearTarget::Revision(repo(name), commit(digit))
}

#[test]
fn a_blob_that_another_revision_names_stays_and_is_not_counted() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}"), ("model.bin", b"shared weights")], &["v1"]);
    fixture.revision("o/a", '2', &[("model.bin", b"shared weights")], &["main"]);
    let cache = fixture.cache();
    let unique = cache.scan().unwrap().repos[0].revisions[0].size_unique;
    let report = cache.clear(&[revision("o/a", '1')]).unwrap();
    assert_eq!((report.freed_bytes, unique), (2, 2));
    assert!(!fixture.snapshot("o/a", '1').exists() && !fixture.blob("o/a", b"{}").exists());
    assert!(!fixture.repo("o/a").join("refs/v1").exists());
    assert!(!fixture.repo("o/a").join(format!("trees/{}.json", commit('1'))).exists());
    assert_eq!(fs::read(fixture.snapshot("o/a", '2').join("model.bin")).unwrap(), b"shared weights");
    assert_eq!(cache.read_ref(&repo("o/a"), &"main".parse().unwrap()), Some(commit('2')));
    assert!(!fixture.repo("o/a").join(".going").exists());
}

#[test]
fn a_whole_model_goes_with_its_folder_and_nothing_else() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}")], &["main"]);
    fixture.revision("o/a", '2', &[("x/y/model.bin", b"weights")], &["refs/pr/1"]);
    fixture.revision("o/b", '1', &[("config.json", b"{}")], &["main"]);
    write(&fixture.repo("o/a").join(".no_exist").join(commit('1').as_str()).join("a/tokenizer.json"), b"");
    let mut other = OtherProcess::start();
    other.kill();
    fixture.partial("o/a", &other.owner, b"part", SILENT);
    let cache = fixture.cache();
    cache.record_use(&repo("o/a"), &commit('1'));
    let report = cache.clear(&[ClearTarget::Repo(repo("o/a"))]).unwrap();
    assert_eq!(report.refused, []);
    assert!(!fixture.repo("o/a").exists(), "left: {:?}", fixture.listing());
    assert!(fixture.root().join("CACHEDIR.TAG").exists());
    assert_eq!(fs::read(fixture.snapshot("o/b", '1').join("config.json")).unwrap(), b"{}");
    assert_eq!(cache.scan().unwrap().repos.len(), 1);
    assert_eq!(cache.clear(&[ClearTarget::Repo(repo("o/a"))]).unwrap(), Default::default(), "again is no error");
}

#[test]
fn a_repository_that_is_only_half_cleared_stays_readable_for_the_python_client() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}")], &["main"]);
    fixture.partial("o/a", OwnerId::this_process(), b"part", std::time::Duration::ZERO);
    // The listing does not know the blob, so the snapshot is free.
    let report = fixture.cache().clear(&[revision("o/a", '1')]).unwrap();
    assert_eq!(report.removed.len(), 1);
    assert!(fixture.repo("o/a").join("snapshots").is_dir());
    assert!(!fixture.repo("o/a").join("refs").exists());
}

#[test]
fn what_is_being_downloaded_is_refused_with_its_writer() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("model.bin", b"weights")], &["main"]);
    let other = OtherProcess::start();
    let partial = fixture.partial("o/a", &other.owner, b"weights", SILENT);
    let cache = fixture.cache();
    for target in [revision("o/a", '1'), ClearTarget::Repo(repo("o/a"))] {
        let report = cache.clear(&[target]).unwrap();
        let Hold::Downloading { download } = &report.refused[0].hold else { panic!("{report:?}") };
        assert_eq!((&download.path, download.owner.as_ref()), (&partial, Some(&other.owner)));
        assert_eq!((report.removed.len(), report.refused.len()), (0, 1));
    }
    assert!(partial.join("data").exists() && fixture.snapshot("o/a", '1').join("model.bin").exists());
}

/// The files of a model arrive one by one, and none is named before all are there.
#[test]
fn a_finished_file_of_a_running_download_stays_however_long_the_others_take() {
    let fixture = Fixture::new();
    let finished = fixture.blob("o/a", b"first file");
    write(&finished, b"first file");
    make_older(&finished, SILENT);
    let other = OtherProcess::start();
    fixture.partial("o/a", &other.owner, b"second file", SILENT);
    fixture.cache().clear(&[ClearTarget::Repo(repo("o/a"))]).unwrap();
    assert!(finished.exists());
    fixture.cache().gc(&strict()).unwrap();
    assert!(finished.exists());
}

#[test]
fn a_running_python_download_is_refused_and_a_left_one_goes() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("model.bin", b"weights")], &["main"]);
    let name = fixture.blob("o/a", b"weights").display().to_string();
    let incomplete = std::path::PathBuf::from(format!("{name}.0a1b2c3d.incomplete"));
    write(&incomplete, b"part");
    let cache = fixture.cache();
    let report = cache.clear(&[ClearTarget::Repo(repo("o/a"))]).unwrap();
    assert!(matches!(report.refused[0].hold, Hold::Downloading { .. }));
    assert!(incomplete.exists());
    make_older(&incomplete, SILENT);
    let report = cache.clear(&[ClearTarget::Repo(repo("o/a"))]).unwrap();
    assert_eq!((report.refused.len(), report.freed_bytes), (0, 7 + 4));
    assert!(!fixture.repo("o/a").exists());
}

#[test]
fn freed_bytes_are_those_the_volume_gets_back() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("model.bin", b"weights"), ("config.json", b"{}")], &["main"]);
    write(&fixture.snapshot("o/a", '1').join("plain.txt"), b"plain");
    // Two names of one file in one snapshot, and a file with a name outside.
    fs::hard_link(fixture.snapshot("o/a", '1').join("plain.txt"), fixture.snapshot("o/a", '1').join("again.txt"))
        .unwrap();
    fs::hard_link(fixture.blob("o/a", b"weights"), fixture.root().parent().unwrap().join("outside")).unwrap();
    let report = fixture.cache().clear(&[revision("o/a", '1')]).unwrap();
    assert_eq!(report.freed_bytes, 5 + 2);
}

#[test]
fn a_shared_payload_goes_with_its_last_user() {
    let fixture = Fixture::new();
    let payload = fixture.shared_blob("o/a", '1', "model.bin", b"payload");
    fixture.shared_blob("o/b", '1', "model.bin", b"payload");
    let cache = fixture.cache();
    let report = cache.clear(&[ClearTarget::Repo(repo("o/a"))]).unwrap();
    assert_eq!((report.removed.len(), report.freed_bytes), (1, 0));
    assert_eq!(fs::read(fixture.snapshot("o/b", '1').join("model.bin")).unwrap(), b"payload");
    let manifest = fs::read_to_string(payload.with_file_name(format!("{XET_HASH}.refs"))).unwrap();
    assert!(manifest.contains("models--o--b") && !manifest.contains("models--o--a"));
    let report = cache.clear(&[ClearTarget::Repo(repo("o/b"))]).unwrap();
    assert_eq!(report.freed_bytes, 7);
    assert!(!payload.exists() && fixture.root().join("blobs/.huggingface-shared-blobs").exists());
}

#[test]
fn links_to_places_outside_are_removed_and_not_followed() {
    let fixture = Fixture::new();
    let outside = fixture.root().parent().unwrap().join("outside");
    write(&outside.join("precious"), b"precious");
    fs::create_dir_all(fixture.snapshot("o/a", '1')).unwrap();
    symlink(&outside, fixture.snapshot("o/a", '1').join("folder")).unwrap();
    symlink(outside.join("precious"), fixture.snapshot("o/a", '1').join("file")).unwrap();
    let blob = fixture.blob("o/a", b"x");
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    symlink(outside.join("precious"), &blob).unwrap();
    symlink(format!("../../blobs/{}", blob.file_name().unwrap().display()), fixture.snapshot("o/a", '1').join("two"))
        .unwrap();
    let report = fixture.cache().clear(&[ClearTarget::Repo(repo("o/a"))]).unwrap();
    assert_eq!((report.removed.len(), report.freed_bytes), (1, 0));
    assert!(!fixture.repo("o/a").exists());
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"precious");
}

#[test]
fn what_a_killed_cleaner_put_aside_comes_back_when_it_is_leased_and_goes_otherwise() {
    let fixture = Fixture::new();
    let other = OtherProcess::start();
    for digit in ['1', '2'] {
        fixture.revision("o/a", digit, &[("model.bin", &[digit as u8])], &[]);
        let aside = fixture.repo("o/a").join(format!(".going/{}.00-0", commit(digit)));
        fs::create_dir_all(aside.parent().unwrap()).unwrap();
        fs::rename(fixture.snapshot("o/a", digit), &aside).unwrap();
        make_older(&aside, SILENT);
    }
    other.lease(&fixture.state().join("leases"), "o/a", '1');
    let cache = fixture.cache();
    cache.gc(&strict()).unwrap();
    assert_eq!(fs::read(fixture.snapshot("o/a", '1').join("model.bin")).unwrap(), b"1");
    assert!(!fixture.snapshot("o/a", '2').exists() && !fixture.repo("o/a").join(".going").exists());
}

#[test]
fn a_snapshot_whose_removal_was_decided_does_not_come_back_for_a_pin() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("model.bin", b"weights"), ("half.bin", b"deleted")], &[]);
    let aside = fixture.repo("o/a").join(format!(".going/{}.00-0.doomed", commit('1')));
    fs::create_dir_all(aside.parent().unwrap()).unwrap();
    fs::rename(fixture.snapshot("o/a", '1'), &aside).unwrap();
    fs::remove_file(aside.join("half.bin")).unwrap();
    make_older(&aside, SILENT);
    let cache = fixture.cache();
    cache.pin(&repo("o/a"), &"main".parse().unwrap(), &commit('1')).unwrap();
    cache.gc(&strict()).unwrap();
    assert!(!aside.exists() && !fixture.snapshot("o/a", '1').exists());
    assert!(!fixture.blob("o/a", b"weights").exists());
}

#[test]
fn a_blob_put_aside_that_a_snapshot_names_comes_back() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("model.bin", b"weights")], &[]);
    let blob = fixture.blob("o/a", b"weights");
    let aside = fixture.repo("o/a").join(format!(".going/{}.00-0", blob.file_name().unwrap().display()));
    fs::create_dir_all(aside.parent().unwrap()).unwrap();
    fs::rename(&blob, &aside).unwrap();
    make_older(&aside, SILENT);
    let cache = fixture.cache();
    cache.gc(&strict()).unwrap();
    assert_eq!(fs::read(fixture.snapshot("o/a", '1').join("model.bin")).unwrap(), b"weights");
    assert!(!fixture.repo("o/a").join(".going").exists());
}

#[test]
fn what_engines_made_of_a_revision_goes_with_it_and_no_link_is_followed() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("model.bin", b"weights")], &[]);
    fixture.revision("o/a", '2', &[("model.bin", b"others")], &["main"]);
    fixture.revision("o/b", '1', &[("model.bin", b"more")], &[]);
    let cache = fixture.cache();
    let kept = cache.layout().prepared(&repo("o/a"), &commit('2')).join("int8/model.bin");
    let made = cache.layout().prepared(&repo("o/a"), &commit('1')).join("int8/model.bin");
    write(&kept, b"kept");
    write(&made, b"quantized");
    let outside = fixture.root().with_file_name("outside");
    write(&outside.join(commit('1').as_str()).join("mine"), b"mine");
    symlink(&outside, cache.layout().repo_prepared(&repo("o/b"))).unwrap();
    let report = cache.clear(&[revision("o/a", '1'), revision("o/b", '1')]).unwrap();
    assert_eq!(report.removed.len(), 2);
    assert_eq!(report.freed_bytes, 7 + 9 + 4);
    assert!(!made.exists() && kept.exists());
    assert!(outside.join(commit('1').as_str()).join("mine").exists(), "a link was followed");
}
