//! `verify`: every file of a model against its hash, and the whole against its kind.

use std::path::{Path, PathBuf};

use serde::Serialize;
use speech_flow_model_types::{CommitHash, Digest, ModelKind, ModelSource, ModelSpec, RepoId};

use crate::asked::Asked;
use crate::error::Error;
use crate::local::Found;
use crate::manager::{EnsureOptions, ModelManager};
use crate::{check, validate};

/// How closely `verify` looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyDepth {
    /// Sizes, headers and formats.
    Quick,
    /// Every byte.
    Full,
}

/// What a verification found.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// The model as asked for.
    pub name: String,
    /// The repository; `None` for a user's folder.
    #[serde(serialize_with = "text_or_null")]
    pub repo: Option<RepoId>,
    /// The commit.
    #[serde(serialize_with = "text_or_null")]
    pub commit: Option<CommitHash>,
    /// What the model is for.
    pub kind: Option<ModelKind>,
    /// The folder.
    pub path: PathBuf,
    /// The files, each with what is wrong with it.
    pub files: Vec<FileReport>,
    /// What is wrong with the model as a whole.
    pub problems: Vec<String>,
}

/// What a verification found of one file.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    /// Its path in the model's folder.
    pub path: String,
    /// Its size as listed.
    pub size: u64,
    /// Its digest as listed.
    pub digest: Option<Digest>,
    /// What is wrong; `None` for a sound file.
    pub problem: Option<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.files.iter().all(|file| file.problem.is_none())
    }
}

impl ModelManager {
    /// Verifies what is on disk, without a request and without a change to the cache.
    ///
    /// # Errors
    /// [`Error::OfflineMiss`] when nothing of the model is on disk; what is wrong with the files is in the
    /// report.
    pub async fn verify(
        &self,
        spec: &ModelSpec,
        depth: VerifyDepth,
        options: &EnsureOptions,
    ) -> Result<VerifyReport, Error> {
        let (repo, revision) = match &spec.source {
            ModelSource::Folder(path) => return Ok(folder_report(spec, path)),
            ModelSource::Hub { repo, revision } => (repo, revision),
        };
        let asked = Asked::new(spec, repo, revision, options);
        let (local, mut problems) = match self.find_settled(&asked)? {
            Some(Found::Complete(local)) => (local, Vec::new()),
            Some(Found::Incomplete { missing, local }) => {
                let lacks = |path: String| format!("`{path}` is missing, or has the wrong size");
                (local, missing.into_iter().map(lacks).collect())
            }
            None => return Err(Error::OfflineMiss { model: spec.to_string(), missing: Vec::new() }),
        };
        let (name, cancel) = (spec.name.clone(), options.cancel.clone());
        tokio::task::spawn_blocking(move || {
            let mut files = Vec::new();
            for file in &local.files {
                let problem = match check::as_remote(file).filter(|_| depth == VerifyDepth::Full) {
                    Some(expected) => check::hash(&local, &expected, &cancel)?.map(|verdict| check::describe(&verdict)),
                    None => None,
                };
                let (path, size, digest) = (file.path.to_string(), file.size, file.digest);
                files.push(FileReport { path, size, digest, problem });
            }
            if let Err(invalid) = validate::validate(&local.path(), Some(local.checked_as)) {
                problems.push(invalid.to_string());
            }
            Ok(VerifyReport {
                name,
                kind: Some(local.kind),
                path: local.path(),
                repo: Some(local.repo),
                commit: Some(local.commit),
                files,
                problems,
            })
        })
        .await?
    }
}

/// Hashes of a user's folder are not known: it is only validated.
fn folder_report(spec: &ModelSpec, path: &Path) -> VerifyReport {
    let validated = validate::validate(path, spec.kind);
    VerifyReport {
        name: spec.name.clone(),
        repo: None,
        commit: None,
        kind: validated.as_ref().ok().map(|validated| validated.kind),
        path: path.to_owned(),
        files: Vec::new(),
        problems: validated.err().map(|invalid| invalid.to_string()).into_iter().collect(),
    }
}

fn text_or_null<T: ToString, S: serde::Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(ToString::to_string).serialize(serializer)
}
