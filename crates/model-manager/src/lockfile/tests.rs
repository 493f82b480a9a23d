//! Lockfiles as they are written, read, edited by hand, and compared.

use proptest::prelude::*;
use speech_flow_model_types::{ByteSize, ModelSpec, Patterns};

use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn file(path: &str, size: u64, byte: u8) -> RemoteFile {
    RemoteFile {
        path: path.parse().expect("a path"),
        size,
        digest: Digest::Sha256([byte; 32]),
        blob_id: "0".repeat(40),
        xet_hash: None,
    }
}

fn resolved(repo: &str, revision: &str, files: Vec<RemoteFile>) -> Resolved {
    Resolved {
        repo: repo.parse().expect("a repository"),
        revision: revision.parse().expect("a revision"),
        commit: COMMIT.parse().expect("a commit"),
        files,
    }
}

fn locked(repo: &str, revision: &str, files: Vec<RemoteFile>) -> LockedModel {
    let resolved = resolved(repo, revision, files);
    let selected: Vec<&RemoteFile> = resolved.files.iter().collect();
    LockedModel::new("tiny", ModelKind::Whisper, &resolved, &selected).expect("a model")
}

fn two_models() -> Lockfile {
    let models = vec![
        locked("b/b", "main", vec![file("model.bin", 7, 2), file("config.json", 3, 1)]),
        locked("a/a", "v1", vec![file("x.json", 1, 3)]),
    ];
    Lockfile::new(models).expect("a lockfile")
}

#[test]
fn it_is_sorted_and_has_one_file_on_a_line() {
    let digest = two_models().models()[0].digest().prefixed();
    let expected = format!(
        r#"# Written by `speech-flow lock`. Keep it in version control; do not edit it.
version = 1

[[model]]
name = "tiny"
repository = "a/a"
revision = "v1"
commit = "{COMMIT}"
kind = "whisper"
digest = "{digest}"
files = [
    {{ path = "x.json", size = 1, digest = "sha256:{}" }},
]

[[model]]
"#,
        "03".repeat(32)
    );
    let text = two_models().to_toml();
    assert!(text.starts_with(&expected), "{text}");
    let (config, model) = (text.find("\"config.json\""), text.find("\"model.bin\""));
    assert!(config.is_some() && config < model, "{text}");
}

#[track_caller]
fn refused(text: &str, line: usize, expected: &str) -> LockfileError {
    let error = Lockfile::parse(text).expect_err("refused");
    assert!(error.line == line && error.to_string().contains(expected), "{error}");
    error
}

#[test]
fn an_edit_by_hand_is_found_and_named_with_its_line() {
    let text = two_models().to_toml();
    let error = refused(&text.replace("size = 7", "size = 8"), 21, "the entry of `tiny` was edited by hand");
    assert!(error.hint().contains("speech-flow lock --update"));
    refused(
        &text.replace("path = \"model.bin\"", "path = \"../model.bin\""),
        24,
        "`path`: `../model.bin` is not a safe file path",
    );
    refused(&text.replace("size = 7", "size = -7"), 24, "has `size` as integer, but it takes a whole number");
    refused(&text.replace("size = 7, ", ""), 24, "lacks the key `size`");
    refused(&text.replace("commit = \"01", "commit = \"XX"), 8, "`commit`: `XX");
    refused(&text.replace("kind = \"whisper\"", "kind = \"wisper\""), 9, "`kind`: `wisper` is not a model kind");
    let error = refused(&text.replacen("revision", "revison", 1), 7, "unknown key `revison`");
    assert_eq!(error.hint(), "did you mean `revision`?");
    refused(
        &text.replace("repository = \"a/a\"", "repository = \"b/b\"").replace("\"v1\"", "\"main\""),
        26,
        "model `b/b@main` stands in it twice",
    );
    refused(&text.replace("model.bin", "config.json"), 22, "file `config.json` stands in it twice");
    refused("version = 1\n[[model]]\n", 2, "lacks the key `name`");
    refused("", 1, "lacks the key `version`");
    refused("version = 1\nx", 2, "is not TOML");
}

#[test]
fn an_error_shows_no_control_character_of_the_file() {
    for (old, new) in
        [("name = \"tiny", "name = \"\\u001b"), ("digest = \"sha256:", "digest = \"\\u001b"), ("a/a", "\\u001b")]
    {
        let text = two_models().to_toml().replace(old, new).replace("sha256:0303", "sha256:0404");
        let error = Lockfile::parse(&text).expect_err("refused").to_string();
        assert!(!error.chars().any(char::is_control), "{error:?}");
    }
}

#[test]
fn another_version_of_the_format_is_refused_whatever_else_stands_there() {
    let error = refused("version = 2\nnew-key = 1\n", 1, "version 2 of the format");
    assert!(error.hint().contains("newer"));
}

#[test]
fn a_model_needs_files() {
    let resolved = resolved("a/b", "main", Vec::new());
    assert_eq!(LockedModel::new("x", ModelKind::Other, &resolved, &[]), Err(Reason::NoFiles));
    let text = two_models().to_toml();
    let start = text.find("files = [").expect("files");
    let end = text[start..].find("]\n").expect("the end");
    refused(&format!("{}files = [{}", &text[..start], &text[start + end..]), 11, "the model has no files");
}

#[test]
fn a_model_replaces_its_older_entry() {
    let lockfile =
        two_models().with(locked("a/a", "v1", vec![file("y", 1, 9)])).with(locked("a/a", "v2", vec![file("y", 1, 9)]));
    assert_eq!(lockfile.models().len(), 3);
    let model =
        lockfile.get(&"a/a".parse().expect("a repository"), &"v1".parse().expect("a revision")).expect("locked");
    assert_eq!(model.files()[0].path.as_str(), "y");
    assert_eq!(Lockfile::parse(&lockfile.to_toml()), Ok(lockfile));
}

fn spec(text: &str) -> ModelSpec {
    ModelSpec::parse(text, |_| false).expect("a spec")
}

#[track_caller]
fn differences(specs: &[ModelSpec], expected: &[&str]) {
    let found: Vec<String> = check(&two_models(), specs).iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_lockfile_has_to_fit_the_configuration() {
    differences(&[spec("a/a@v1"), spec("b/b"), spec("./folder")], &[]);
    differences(&[spec("a/a@v1")], &["`b/b@main` is locked but not configured"]);
    differences(&[spec("a/a@v1"), spec("b/b"), spec("c/c")], &["`c/c@main` is configured but not locked"]);
    differences(&[spec("a/a@v2"), spec("b/b")], &["`a/a` is configured at `v2` but locked at `v1`"]);
    differences(&[spec("a/a@v1"), spec("a/a@v2"), spec("b/b")], &["`a/a@v2` is configured but not locked"]);
    differences(
        &[spec("a/a@v1").of_kind(ModelKind::Transformers), spec("b/b")],
        &["`a/a` is configured as `transformers` but locked as `whisper`"],
    );
    let patterns = Patterns::new(Vec::new(), vec!["*.bin".to_owned()]).expect("patterns");
    differences(
        &[spec("a/a@v1"), spec("b/b").with_patterns(patterns)],
        &["`b/b` has locked files that its patterns leave out: `model.bin`"],
    );
}

#[test]
fn an_update_says_what_moved_and_what_it_costs() {
    let old = locked(
        "a/a",
        "main",
        vec![file("same", 1, 1), file("changed", 2, 2), file("gone", 3, 3), file("old-name", 4, 4)],
    );
    let mut new = resolved(
        "a/a",
        "main",
        vec![
            file("same", 1, 1),
            file("changed", 20, 5),
            file("new-name", 4, 4),
            file("new", 30, 6),
            file("copy", 30, 6),
        ],
    );
    new.commit = "f".repeat(40).parse().expect("a commit");
    let selected: Vec<&RemoteFile> = new.files.iter().collect();
    let change = diff(&old, &new, &selected);
    let paths = |list: &[FileChange]| list.iter().map(|file| file.path.to_string()).collect::<Vec<_>>();
    assert_eq!(paths(&change.added), ["copy", "new", "new-name"]);
    assert_eq!(paths(&change.removed), ["gone", "old-name"]);
    assert_eq!(paths(&change.changed), ["changed"]);
    assert_eq!(change.bytes_to_fetch, ByteSize(50));
    assert!(!change.is_none() && change.files_changed());
    let same = resolved(
        "a/a",
        "main",
        old.files()
            .iter()
            .map(|f| RemoteFile {
                path: f.path.clone(),
                size: f.size,
                digest: f.digest,
                blob_id: String::new(),
                xet_hash: None,
            })
            .collect(),
    );
    let selected: Vec<&RemoteFile> = same.files.iter().collect();
    let change = diff(&old, &same, &selected);
    assert!(change.is_none());
    assert_eq!((change.old_digest, change.bytes_to_fetch), (change.new_digest, ByteSize(0)));
}

prop_compose! {
    fn any_file()(path in "[a-zA-Z\"' é.#=]{1,12}(/[a-z\"]{1,6})?", size in 0..=i64::MAX as u64, sha1 in any::<bool>(), byte in any::<u8>())
        -> Option<RemoteFile> {
        let digest = if sha1 { Digest::GitSha1([byte; 20]) } else { Digest::Sha256([byte; 32]) };
        Some(RemoteFile { path: path.parse().ok()?, size, digest, blob_id: String::new(), xet_hash: None })
    }
}

prop_compose! {
    fn any_model()(name in any::<String>(), repo in "[a-z]{1,3}/[a-z]{1,3}", revision in "[a-z\"']{1,4}",
                   files in proptest::collection::vec(any_file(), 1..6)) -> Option<LockedModel> {
        let resolved = resolved(&repo, &revision, files.into_iter().flatten().collect());
        let selected: Vec<&RemoteFile> = resolved.files.iter().collect();
        LockedModel::new(&name, ModelKind::Other, &resolved, &selected).ok()
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(models in proptest::collection::vec(any_model(), 0..5)) {
        let lockfile = models.into_iter().flatten().fold(Lockfile::default(), Lockfile::with);
        let text = lockfile.to_toml();
        prop_assert_eq!(Lockfile::parse(&text), Ok(lockfile), "{}", text);
    }

    #[test]
    fn no_mutation_panics(place in any::<prop::sample::Index>(), insert in "[\\[\\]{}\"=,\n a-z0-9]{0,3}", cut in 0_usize..4) {
        let mut text = two_models().to_toml();
        let start = place.index(text.len());
        let end = (start + cut).min(text.len());
        text.replace_range(start..end, &insert);
        let _ = Lockfile::parse(&text);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Lockfile::parse(&text);
    }
}
