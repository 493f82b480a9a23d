//! Names: of repositories, files, revisions, commits, models, digests and sizes; and names of folder entries.

#![no_main]

use std::path::{Component, Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_fit_to_show, assert_one_line, assert_only_names, assert_stays_inside, bounded};
use speech_flow_model_cache::Layout;
use speech_flow_model_types::{
    ByteSize, CommitHash, Digest, ModelKind, ModelSource, ModelSpec, Patterns, RelPath, RepoId, Revision,
};

fuzz_target!(|text: &str| {
    bounded(text.len(), 1024, || {
        check_repo(text);
        check_path(text);
        check_revision(text);
        check_digest(text);
        check_size(text);
        check_spec(text);
        check_folder_entry(text);
    });
});

fn layout() -> Layout {
    Layout::new("/c/hub", "/c/state")
}

fn some_repo() -> RepoId {
    "owner/name".parse().expect("a repository")
}

fn some_commit() -> CommitHash {
    "0123456789abcdef0123456789abcdef01234567".parse().expect("a commit")
}

fn check_repo(text: &str) {
    match text.parse::<RepoId>() {
        Ok(repo) => {
            assert_eq!((repo.to_string().as_str(), repo.as_str()), (text, text));
            assert!(text.ends_with(repo.name()) && !repo.name().contains('/'));
            assert_eq!(RepoId::from_folder(&repo.folder()), Some(repo.clone()));
            assert_only_names(Path::new(&repo.folder()));
            assert_eq!(layout().repo(&repo).parent(), Some(layout().root()));
        }
        Err(error) => assert_fit_to_show(&error),
    }
    if let Some(repo) = RepoId::from_folder(text) {
        assert_eq!(repo.folder(), text);
    }
}

fn check_path(text: &str) {
    let path: RelPath = match text.parse() {
        Ok(path) => path,
        Err(error) => return assert_fit_to_show(&error),
    };
    assert_stays_inside(&path);
    assert!(text.ends_with(path.file_name()) && !path.file_name().contains('/'));
    assert_eq!(path.is_top_level(), !text.contains('/'));
    let (layout, repo, commit) = (layout(), some_repo(), some_commit());
    let file = layout.snapshot_file(&repo, &commit, &path);
    assert!(file.starts_with(layout.snapshot(&repo, &commit)));
    assert!(layout.no_exist(&repo, &commit, &path).starts_with(layout.no_exists(&repo)));
    // The link leads to the blob, from however deep.
    let digest = Digest::GitSha1([7; 20]);
    let target = file.parent().expect("a folder").join(layout.link_target(&path, &digest));
    assert_eq!(without_dots(&target), layout.blob(&repo, &digest));
}

/// The path with `..` worked out.
fn without_dots(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut sum, part| {
        match part {
            Component::ParentDir => assert!(sum.pop(), "above the root"),
            part => sum.push(part),
        }
        sum
    })
}

fn check_revision(text: &str) {
    match text.parse::<Revision>() {
        Ok(revision) => {
            assert_eq!(revision.as_str(), text);
            assert_only_names(Path::new(text));
            let layout = layout();
            let reference = layout.reference(&some_repo(), &revision);
            assert!(reference.starts_with(layout.refs(&some_repo())) && reference != layout.refs(&some_repo()));
            assert_eq!(revision.commit(), text.parse().ok());
        }
        Err(error) => assert_fit_to_show(&error),
    }
    match text.parse::<CommitHash>() {
        Ok(commit) => {
            assert_eq!(commit.to_string(), text);
            assert!(text.starts_with(commit.short()));
            assert_eq!(Revision::from(commit.clone()).commit(), Some(commit));
        }
        Err(error) => assert_fit_to_show(&error),
    }
}

fn check_digest(text: &str) {
    match text.parse::<Digest>() {
        Ok(digest) => {
            assert_eq!(digest.to_string(), text);
            assert_eq!(Digest::from_prefixed(&digest.prefixed()), Ok(digest));
        }
        Err(error) => assert_fit_to_show(&error),
    }
    match Digest::from_prefixed(text) {
        Ok(digest) => assert_eq!(digest.prefixed(), text),
        Err(error) => assert_fit_to_show(&error),
    }
}

fn check_size(text: &str) {
    let size: ByteSize = match text.parse() {
        Ok(size) => size,
        Err(error) => return assert_fit_to_show(&error),
    };
    // The number itself is exact; for people it is rounded to a tenth of its unit.
    assert_eq!(size.0.to_string().parse(), Ok(size), "{text:?}");
    if size.0 < 1 << 63 {
        let shown: ByteSize = size.to_string().parse().expect("its own text");
        assert!(shown.0.abs_diff(size.0) <= size.0 / 16, "{size} stands for {}", size.0);
    }
}

fn check_spec(text: &str) {
    match ModelSpec::parse(text, |_| false) {
        Ok(spec) => match &spec.source {
            ModelSource::Folder(path) => assert_eq!(path, Path::new(text)),
            ModelSource::Hub { .. } => {
                let again = ModelSpec::parse(&spec.to_string(), |_| false).expect("its own text");
                assert_eq!(again.source, spec.source);
                assert_eq!(again.kind, spec.kind);
            }
        },
        Err(error) => {
            assert_fit_to_show(&error);
            assert_one_line(&error.hint());
        }
    }
    match text.parse::<ModelKind>() {
        Ok(kind) => assert_eq!(kind.as_str(), text),
        Err(error) => assert_fit_to_show(&error),
    }
    if let Err(error) = Patterns::new(vec![text.to_owned()], Vec::new()) {
        assert_fit_to_show(&error);
    }
}

fn check_folder_entry(name: &str) {
    if let Some((digest, id)) = Layout::parse_partial(name) {
        let partial = layout().partial(&some_repo(), &digest, id);
        assert_eq!(partial.file_name().and_then(|name| name.to_str()), Some(name));
        assert_eq!(partial.parent(), Some(layout().partials(&some_repo()).as_path()));
    }
    if let Some((repo, commit)) = Layout::parse_lease(name) {
        assert!(name.starts_with(&format!("{}.{commit}.", repo.folder())));
    }
}
