//! Writes down what was fetched, and makes the answer that callers get.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use speech_flow_model_cache::{CacheError, ModelRecord, RecordedFile};
use speech_flow_model_hub::RepoInfo;
use speech_flow_model_types::{Digest, ModelKind, ModelSpec, Patterns, file_set_digest};

use crate::card::ModelCard;

use crate::asked::Asked;
use crate::error::Error;
use crate::local::Local;
use crate::manager::ModelManager;
use crate::model::{Model, ModelFile, ModelOrigin, Outcome};

/// How much of a model card is read; its facts stand at the start.
const MAX_CARD_BYTES: u64 = 1 << 20;

impl ModelManager {
    /// The answer of a call.
    pub(crate) fn model(&self, asked: &Asked<'_>, local: &Local, outcome: Outcome, bytes_downloaded: u64) -> Model {
        let record = local.cache.read_record(&local.repo, &local.commit).ok().flatten();
        let (license, base_model) = match &record {
            Some(record) => (record.license.clone(), record.base_model.clone()),
            // Fetched by another client, which may have brought the card.
            None => card_of(&local.path()),
        };
        local.cache.record_use(&local.repo, &local.commit);
        Model {
            name: asked.spec.name.clone(),
            kind: local.kind,
            path: local.path(),
            origin: Some(ModelOrigin {
                repo: local.repo.clone(),
                revision: asked.revision.clone(),
                commit: local.commit.clone(),
                license,
                base_model,
                source: record.as_ref().and_then(|record| record.source.clone()),
                fetched_at: record.as_ref().map(|record| record.fetched_at.to_string()),
            }),
            outcome,
            digest: digest_of(&local.files).map(|digest| digest.prefixed()),
            files: local.files.clone(),
            bytes_downloaded,
            elapsed: asked.started.elapsed(),
        }
    }

    /// Writes down what was fetched. A failure loses the note, not the model.
    pub(crate) fn record(&self, asked: &Asked<'_>, local: &Local, info: &RepoInfo) {
        let Some(digest) = digest_of(&local.files) else { return };
        let files = local.files.iter().filter_map(recorded).collect();
        let record = ModelRecord {
            name: asked.spec.name.clone(),
            repo: local.repo.clone(),
            revision: asked.revision.clone(),
            commit: local.commit.clone(),
            digest,
            files,
            license: info.license.clone(),
            base_model: info.base_models.first().cloned(),
            source: Some(self.source_name()),
            fetched_at: Timestamp::now(),
        };
        if let Err(error) = local.cache.record_fetch(&record) {
            tracing::warn!(repo = %local.repo, commit = %local.commit, %error, "the record of a download was not written");
        }
    }

    /// A folder that the user named: used as it is, once it is seen to hold a model.
    pub(crate) fn user_folder(&self, spec: &ModelSpec, path: &Path, started: Instant) -> Result<Model, Error> {
        if !path.is_dir() {
            return Err(Error::FolderMissing { path: path.to_owned() });
        }
        let validated = crate::validate::validate(path, spec.kind).map_err(|invalid| Error::InvalidModel {
            model: spec.name.clone(),
            problems: vec![invalid.to_string()],
            genuine: false,
        })?;
        let files = files_of_folder(path, validated.kind)?;
        Ok(Model {
            name: spec.name.clone(),
            kind: validated.kind,
            path: path.to_owned(),
            origin: None,
            outcome: Outcome::Hit,
            digest: digest_of(&files).map(|digest| digest.prefixed()),
            files,
            bytes_downloaded: 0,
            elapsed: started.elapsed(),
        })
    }
}

fn recorded(file: &ModelFile) -> Option<RecordedFile> {
    Some(RecordedFile { path: file.path.clone(), size: file.size, digest: file.digest? })
}

/// The digest of a file set, when the hash of every file is known.
fn digest_of(files: &[ModelFile]) -> Option<Digest> {
    let known: Vec<_> = files.iter().filter_map(|file| Some((&file.path, file.size, file.digest.as_ref()?))).collect();
    (known.len() == files.len() && !files.is_empty()).then(|| file_set_digest(known))
}

fn card_of(folder: &Path) -> (Option<String>, Option<String>) {
    let mut text = String::new();
    let path = folder.join("README.md");
    // Opening a pipe would wait for its other end.
    let is_file = path.metadata().is_ok_and(|card| card.is_file());
    let mut read = || File::open(&path)?.take(MAX_CARD_BYTES).read_to_string(&mut text);
    if !is_file || read().is_err() {
        return (None, None);
    }
    let card = ModelCard::parse(&text);
    (card.license, card.base_model.into_iter().next())
}

/// The files that a model of the kind needs from the top of a user's folder; their hashes are not known.
fn files_of_folder(folder: &Path, kind: ModelKind) -> Result<Vec<ModelFile>, Error> {
    let failed = |source| CacheError::Io { action: "list", path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Some(path) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        match entry.path().metadata() {
            Ok(metadata) if metadata.is_file() => files.push(ModelFile { path, size: metadata.len(), digest: None }),
            _ => {}
        }
    }
    let wanted = kind.selection(files.iter().map(|file: &ModelFile| &file.path), &Patterns::all());
    files.retain(|file| wanted.takes(&file.path));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pipe_in_place_of_a_card_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let card = folder.path().join("README.md");
        std::fs::write(&card, "---\nlicense: mit\n---\n").expect("writes");
        assert_eq!(card_of(folder.path()).0.as_deref(), Some("mit"));
        std::fs::remove_file(&card).expect("removes");
        assert!(std::process::Command::new("mkfifo").arg(&card).status().expect("runs").success());
        let (sender, receiver) = mpsc::channel();
        let path = folder.path().to_owned();
        std::thread::spawn(move || sender.send(card_of(&path)));
        let read = receiver.recv_timeout(Duration::from_secs(20)).expect("it waits for the pipe");
        assert_eq!(read, (None, None));
    }
}
