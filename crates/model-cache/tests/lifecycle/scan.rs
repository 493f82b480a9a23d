use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use speech_flow_model_cache::{Completeness, Liveness, OrphanKind};

use crate::fixture::{DAY, Fixture, OtherProcess, SILENT, commit, make_older, repo, write};

#[test]
fn blobs_that_revisions_share_count_once() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}"), ("model.bin", b"shared weights")], &[]);
    fixture.revision(
        "o/a",
        '2',
        &[("config.json", b"{ }"), ("x/model.bin", b"shared weights")],
        &["main", "refs/pr/1"],
    );
    let report = fixture.cache().scan().unwrap();
    assert_eq!(report.problems, []);
    let cached = &report.repos[0];
    assert_eq!((cached.repo.clone(), cached.size_on_disk, report.size_on_disk), (repo("o/a"), 19, 19));
    assert_eq!((cached.orphans.len(), cached.partials.len(), cached.problems.len()), (0, 0, 0));
    let [first, second] = &cached.revisions[..] else { panic!("two revisions") };
    assert_eq!((first.commit.clone(), first.size_on_disk, first.size_unique), (commit('1'), 16, 2));
    assert_eq!((second.size_on_disk, second.size_unique), (17, 3));
    assert_eq!(second.refs.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["main", "refs/pr/1"]);
    assert_eq!(second.completeness, Completeness::Complete);
    assert_eq!(second.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["config.json", "x/model.bin"]);
    serde_json::to_string(&report).unwrap();
}

#[test]
fn broken_links_and_junk_are_reported_and_hide_nothing() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}"), ("model.bin", b"weights")], &["main"]);
    fixture.revision("o/b", '1', &[("config.json", b"{}")], &["main"]);
    fs::remove_file(fixture.blob("o/a", b"weights")).unwrap();
    write(&fixture.repo("o/a").join("snapshots/junk"), b"file");
    write(&fixture.repo("o/a").join("snapshots/not-a-commit/x"), b"file");
    write(&fixture.repo("o/a").join("refs/bad"), b"no commit");
    write(&fixture.repo("o/a").join("refs/gone"), commit('9').as_str().as_bytes());
    write(&fixture.repo("o/a").join("blobs/readme.txt"), b"?");
    write(&fixture.root().join("models--a--b--c--d/x"), b"?");
    write(&fixture.root().join("datasets--o--d/blobs/x"), b"not ours");
    let report = fixture.cache().scan().unwrap();
    assert_eq!(report.problems.len(), 1);
    let names: Vec<_> = report.repos.iter().map(|cached| cached.repo.as_str()).collect();
    assert_eq!(names, ["o/a", "o/b"]);
    let whats: Vec<_> = report.repos[0].problems.iter().map(|problem| problem.what.as_str()).collect();
    for expected in [
        "a file stands among the snapshots",
        "the snapshot's name is no commit",
        "the ref holds no commit",
        "the ref leads to a commit that has no snapshot",
        "the file is no blob",
        "the link leads nowhere",
    ] {
        assert!(whats.contains(&expected), "{expected} is not among {whats:?}");
    }
    let revision = &report.repos[0].revisions[0];
    assert_eq!(revision.completeness, Completeness::Incomplete { missing: vec!["model.bin".parse().unwrap()] });
    assert_eq!(report.repos[1].problems, []);
}

#[test]
fn a_shared_payload_counts_once_for_two_repositories() {
    let fixture = Fixture::new();
    fixture.shared_blob("o/a", '1', "model.bin", b"payload");
    fixture.shared_blob("o/b", '1', "model.bin", b"payload");
    let report = fixture.cache().scan().unwrap();
    assert_eq!(report.size_on_disk, 7);
    for cached in &report.repos {
        assert_eq!(cached.problems, []);
        assert_eq!((cached.size_on_disk, cached.revisions[0].size_unique), (7, 0));
        assert_eq!(cached.orphans, []);
    }
    assert_eq!(report.orphans, []);
}

#[test]
fn plain_files_count_as_they_are() {
    let fixture = Fixture::new();
    write(&fixture.snapshot("o/a", '1').join("config.json"), b"{}");
    write(&fixture.snapshot("o/a", '1').join("model.bin"), b"weights");
    let outside = fixture.root().parent().unwrap().join("outside");
    fs::hard_link(fixture.snapshot("o/a", '1').join("model.bin"), outside).unwrap();
    let report = fixture.cache().scan().unwrap();
    let revision = &report.repos[0].revisions[0];
    assert_eq!((revision.size_on_disk, revision.size_unique), (9, 2), "a file named outside frees nothing");
    assert_eq!(revision.completeness, Completeness::Unknown);
}

#[test]
fn blobs_behind_plain_copies_are_no_orphans() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("model.bin", b"weights")], &["main"]);
    let path = fixture.snapshot("o/a", '1').join("model.bin");
    fs::remove_file(&path).unwrap();
    fs::copy(fixture.blob("o/a", b"weights"), &path).unwrap();
    let report = fixture.cache().scan().unwrap();
    assert_eq!(report.repos[0].orphans, []);
    assert_eq!(report.size_on_disk, 14);
}

#[test]
fn unfinished_and_unnamed_files_are_told_apart() {
    let fixture = Fixture::new();
    fixture.revision("o/a", '1', &[("config.json", b"{}")], &["main"]);
    let mut other = OtherProcess::start();
    fixture.partial("o/a", &other.owner, b"arrived", SILENT);
    let blobs = fixture.repo("o/a").join("blobs");
    let orphan = fixture.blob("o/a", b"nobody names me");
    write(&orphan, b"nobody names me");
    make_older(&orphan, DAY);
    write(&blobs.join(format!("{}.0a1b2c3d.incomplete", "e".repeat(64))), b"part");
    symlink("nowhere", blobs.join("a".repeat(64))).unwrap();

    let cache = fixture.cache();
    let cached = cache.scan().unwrap().repos.remove(0);
    assert_eq!(cached.problems, []);
    let partial = &cached.partials[0];
    assert_eq!((partial.owner.as_ref(), partial.liveness), (Some(&other.owner), Liveness::Alive));
    assert!(partial.bytes > 0 && partial.age_seconds >= SILENT.as_secs());
    let kind = |kind| cached.orphans.iter().filter(|orphan| orphan.kind == kind).collect::<Vec<_>>();
    assert_eq!(kind(OrphanKind::Blob).len(), 2);
    let old = kind(OrphanKind::Blob).into_iter().find(|found| found.path == orphan).unwrap();
    assert_eq!((old.bytes, Duration::from_secs(old.age_seconds) >= DAY), (15, true));
    assert_eq!(kind(OrphanKind::PythonIncomplete)[0].bytes, 4);
    other.kill();
    assert_eq!(cache.scan().unwrap().repos[0].partials[0].liveness, Liveness::Dead);
}
