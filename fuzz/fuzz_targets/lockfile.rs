//! `speech-flow.lock`, which comes with a repository that anyone may have edited.

#![no_main]

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_fit_to_show, assert_one_line, assert_stays_inside, bounded};
use speech_flow_model_manager::lockfile::{LockedModel, Lockfile, Reason, check, diff};
use speech_flow_model_types::{ModelSource, ModelSpec, Patterns, RemoteFile, Resolved};

/// Digests that are put right before the target gives up on a text.
const REPAIRS: usize = 8;

fuzz_target!(|text: &str| {
    let mut text = text.to_owned();
    for _ in 0..REPAIRS {
        let error = match bounded(text.len(), 160, || Lockfile::parse(&text)) {
            Ok(lockfile) => return check_lockfile(&lockfile),
            Err(error) => error,
        };
        assert_fit_to_show(&error);
        assert_one_line(&error.hint());
        assert!((1..=1 + text.matches('\n').count()).contains(&error.line), "line {} of {text:?}", error.line);
        // No mutation finds the digest of a file set, so the right one is put in: what lies behind is fuzzed too.
        match error.reason {
            Reason::EditedByHand { written, actual, .. } if !written.is_empty() => {
                text = text.replace(&written, &actual);
            }
            _ => return,
        }
    }
});

fn check_lockfile(lockfile: &Lockfile) {
    let written = lockfile.to_toml();
    assert_eq!(Lockfile::parse(&written).as_ref(), Ok(lockfile), "{written}");
    let keys: Vec<_> =
        lockfile.models().iter().map(|model| (model.repo().as_str(), model.revision().as_str())).collect();
    assert!(keys.is_sorted_by(|a, b| a < b), "models out of order, or twice");
    let specs: Vec<ModelSpec> = lockfile.models().iter().map(spec_of).collect();
    assert_eq!(check(lockfile, &specs), []);
    for model in lockfile.models() {
        model.files().iter().for_each(|file| assert_stays_inside(&file.path));
        assert!(model.files().is_sorted_by(|a, b| a.path < b.path), "files out of order, or twice");
        assert_eq!(lockfile.get(model.repo(), model.revision()), Some(model));
        let files = remote_files(model);
        let selected: Vec<&RemoteFile> = files.iter().collect();
        let resolved = Resolved {
            repo: model.repo().clone(),
            revision: model.revision().clone(),
            commit: model.commit().clone(),
            files: files.clone(),
        };
        assert!(diff(model, &resolved, &selected).is_none(), "a model differs from itself");
    }
    assert_eq!(lockfile.models().iter().cloned().fold(lockfile.clone(), Lockfile::with), *lockfile);
}

fn spec_of(model: &LockedModel) -> ModelSpec {
    ModelSpec {
        name: model.name().to_owned(),
        source: ModelSource::Hub { repo: model.repo().clone(), revision: model.revision().clone() },
        kind: Some(model.kind()),
        patterns: Patterns::all(),
    }
}

fn remote_files(model: &LockedModel) -> Vec<RemoteFile> {
    let remote = model.files().iter().map(|file| RemoteFile {
        path: file.path.clone(),
        size: file.size,
        digest: file.digest,
        blob_id: String::new(),
        xet_hash: None,
    });
    remote.collect()
}
