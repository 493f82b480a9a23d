//! Is what is on disk the model? Checked once, remembered by the identity of the files.

use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;

use speech_flow_model_cache::{Cache, CacheError, FileVerdict, Writability, verify_file};
use speech_flow_model_types::RemoteFile;
use tokio_util::sync::CancellationToken;

use crate::asked::Asked;
use crate::error::Error;
use crate::events::Event;
use crate::local::Local;
use crate::manager::ModelManager;
use crate::model::ModelFile;
use crate::validate::{self, Fingerprint};

/// What is wrong with a snapshot that looked complete.
#[derive(Debug)]
pub(crate) enum Damage {
    /// Files whose content is not what their hash says.
    Corrupt(Vec<String>),
    /// The content is as listed, or its hash is not known, and no model loads from it.
    Invalid(String),
}

impl Damage {
    pub(crate) fn into_error(self, asked: &Asked<'_>) -> Error {
        let (problems, genuine) = match self {
            Self::Corrupt(problems) => (problems, false),
            Self::Invalid(problem) => (vec![problem], true),
        };
        Error::InvalidModel { model: asked.spec.to_string(), problems, genuine }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(problems) => f.write_str(&problems.join("; ")),
            Self::Invalid(problem) => f.write_str(problem),
        }
    }
}

impl ModelManager {
    /// Checks a snapshot that this call did not fetch.
    ///
    /// What passed before and has not changed passes again without a file being opened. Otherwise every
    /// file is hashed, since other clients store what arrives unseen; not on a read-only cache, where each
    /// reader would hash gigabytes at each start: there the writer is trusted, and the model only validated.
    ///
    /// Corrupt files are taken away, so that the next download brings them.
    pub(crate) async fn check(&self, asked: &Asked<'_>, local: &Local) -> Result<Result<(), Damage>, Error> {
        let memory = memory_of(&local.cache);
        let fingerprint = Fingerprint::of(&local.path()).ok();
        let remembered = fingerprint
            .as_ref()
            .and_then(|fingerprint| validate::remembered(&local.path(), Some(local.checked_as), fingerprint, &memory));
        if remembered.is_some() && !asked.options.recheck {
            return Ok(Ok(()));
        }
        asked.options.events.event(Event::Validating { model: asked.spec.to_string() });
        let writable = local.cache.writability() == Writability::Writable;
        let corrupt = self.take_corrupt_away(asked, local.clone()).await?;
        if !corrupt.is_empty() {
            return Ok(Err(Damage::Corrupt(corrupt)));
        }
        // What was replaced while it was hashed is hashed again next time.
        let unchanged = fingerprint.is_some() && Fingerprint::of(&local.path()).ok() == fingerprint;
        self.validate(local, writable && unchanged).await
    }

    /// Checks a snapshot whose files were verified as they arrived.
    pub(crate) async fn check_fetched(&self, asked: &Asked<'_>, local: &Local) -> Result<Result<(), Damage>, Error> {
        asked.options.events.event(Event::Validating { model: asked.spec.to_string() });
        self.validate(local, local.cache.writability() == Writability::Writable).await
    }

    /// Hashes files that were there before this call fetched the rest; says what is wrong with those that it
    /// took away.
    pub(crate) async fn take_corrupt_away(&self, asked: &Asked<'_>, found: Local) -> Result<Vec<String>, Error> {
        if found.files.is_empty() || found.cache.writability() != Writability::Writable {
            return Ok(Vec::new());
        }
        let cancel = asked.options.cancel.clone();
        tokio::task::spawn_blocking(move || take_corrupt_away(&found, &cancel)).await?
    }

    async fn validate(&self, local: &Local, remember: bool) -> Result<Result<(), Damage>, Error> {
        let local = local.clone();
        let validated = tokio::task::spawn_blocking(move || {
            let (path, kind) = (local.path(), Some(local.checked_as));
            if remember {
                validate::validate_remembered(&path, kind, &memory_of(&local.cache))
            } else {
                validate::validate(&path, kind)
            }
        });
        Ok(validated.await?.map(drop).map_err(|invalid| Damage::Invalid(invalid.to_string())))
    }
}

/// Where it is remembered what passed.
pub(crate) fn memory_of(cache: &Cache) -> PathBuf {
    cache.layout().state().join("validated")
}

/// Hashes every file whose hash is known; says what is wrong with each bad one and moves it out of the way.
fn take_corrupt_away(local: &Local, cancel: &CancellationToken) -> Result<Vec<String>, Error> {
    let mut corrupt = Vec::new();
    for file in &local.files {
        let Some(expected) = as_remote(file) else { continue };
        let Some(verdict) = hash(local, &expected, cancel)? else { continue };
        let problem = describe(&verdict);
        // Of a file that went meanwhile there is nothing to take away, and its blob may be another snapshot's.
        if let FileVerdict::Corrupt { actual, .. } = verdict {
            local.cache.quarantine_file(&local.repo, &local.commit, &expected, actual, &problem)?;
        }
        corrupt.push(format!("`{}` {problem}", file.path));
    }
    Ok(corrupt)
}

/// Hashes one file; `None` when it is sound.
pub(crate) fn hash(
    local: &Local,
    expected: &RemoteFile,
    cancel: &CancellationToken,
) -> Result<Option<FileVerdict>, Error> {
    let path = local.path().join(&expected.path);
    let go_on = |_| if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    match verify_file(&path, expected, go_on) {
        Ok(FileVerdict::Sound) => Ok(None),
        Ok(verdict) => Ok(Some(verdict)),
        Err(CacheError::Cancelled { .. }) => Err(Error::Cancelled),
        Err(error) => Err(error.into()),
    }
}

/// A verdict as the rest of a sentence that begins with the file's name.
pub(crate) fn describe(verdict: &FileVerdict) -> String {
    match verdict {
        FileVerdict::Sound => "is as listed".to_owned(),
        FileVerdict::Missing => "is missing".to_owned(),
        FileVerdict::Corrupt { actual: Some(actual), .. } => format!("has the digest {}", actual.prefixed()),
        FileVerdict::Corrupt { actual_size, .. } => format!("has {actual_size} bytes"),
    }
}

/// The file as a listing has it, when its hash is known.
pub(crate) fn as_remote(file: &ModelFile) -> Option<RemoteFile> {
    let digest = file.digest?;
    Some(RemoteFile { path: file.path.clone(), size: file.size, digest, blob_id: digest.to_string(), xet_hash: None })
}

#[cfg(test)]
mod tests {
    use speech_flow_model_cache::CacheConfig;
    use speech_flow_model_types::ModelKind;

    use super::*;

    #[test]
    fn a_snapshot_that_goes_while_it_is_hashed_costs_no_other_its_blob() {
        let folder = tempfile::tempdir().expect("temp folder");
        let cache =
            Cache::open(CacheConfig::new(folder.path().join("hub"), folder.path().join("state"))).expect("opens");
        let repo = "o/a".parse().expect("valid");
        let digest = "ce013625030ba8dba906f756967f9e9ca394464a".parse().expect("valid");
        let blob = cache.layout().blob(&repo, &digest);
        std::fs::create_dir_all(cache.layout().blobs(&repo)).expect("makes");
        std::fs::write(&blob, b"hello\n").expect("writes");
        let file = ModelFile { path: "config.json".parse().expect("valid"), size: 6, digest: Some(digest) };
        let (commit, kind) = ("c".repeat(40).parse().expect("valid"), ModelKind::Other);
        let local = Local { cache, repo, commit, kind, checked_as: kind, files: vec![file] };
        let found = take_corrupt_away(&local, &CancellationToken::new()).expect("looks");
        assert_eq!(found, ["`config.json` is missing"]);
        assert!(blob.exists(), "sound content of another snapshot was thrown away");
        assert!(!local.cache.layout().quarantine().exists());
    }
}
