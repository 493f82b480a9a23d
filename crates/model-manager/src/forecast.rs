//! `--dry-run`: what `ensure` would do.

use std::path::PathBuf;

use serde::Serialize;
use speech_flow_model_types::plan::FileState;
use speech_flow_model_types::{Digest, ModelKind, ModelSource, ModelSpec, Plan};

use crate::asked::Asked;
use crate::error::Error;
use crate::manager::{EnsureOptions, ModelManager};

/// What a download would bring.
#[derive(Debug, Clone, Serialize)]
pub struct Forecast {
    /// The model as asked for.
    pub name: String,
    /// The repository.
    pub repo: String,
    /// The revision that was asked for.
    pub revision: String,
    /// The commit it stands for.
    pub commit: String,
    /// What the model is for.
    pub kind: ModelKind,
    /// Where it would be.
    pub path: PathBuf,
    /// Each file with its state.
    pub files: Vec<ForecastFile>,
    /// Size of all files.
    pub bytes_total: u64,
    /// Bytes that the network would bring.
    pub bytes_to_fetch: u64,
    /// Bytes free on the volume, where it says so.
    pub bytes_free: Option<u64>,
}

/// One file of a forecast.
#[derive(Debug, Clone, Serialize)]
pub struct ForecastFile {
    /// Its path in the repository.
    pub path: String,
    /// Its size.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
    /// `present`, `partial` or `missing`.
    pub state: &'static str,
}

impl ModelManager {
    /// What [`ModelManager::ensure_with`] would do; reads the hub's listing and writes nothing.
    ///
    /// # Errors
    /// As `ensure_with`, up to the plan. [`Error::FolderHasNoRevision`] for a folder.
    pub async fn dry_run(&self, spec: &ModelSpec, options: &EnsureOptions) -> Result<Forecast, Error> {
        let (repo, revision) = match &spec.source {
            ModelSource::Folder(path) => return Err(Error::FolderHasNoRevision { path: path.clone() }),
            ModelSource::Hub { repo, revision } => (repo, revision),
        };
        let asked = Asked::new(spec, repo, revision, options);
        let commit = match self.settled_commit(&asked)? {
            Some(commit) => commit,
            None if self.is_offline(options) => {
                let seen = self.caches_for(spec.kind).into_iter().find_map(|cache| cache.read_ref(repo, revision));
                seen.ok_or_else(|| asked.offline_miss(Vec::new()))?
            }
            None => self.network()?.hub.resolve(repo, revision).await.map_err(|error| asked.hub_error(error))?.commit,
        };
        let resolved = self.list_files(&asked, &commit).await?;
        let kind = asked.kind_of(&resolved.files);
        let cache = self.cache_of(kind);
        let plan = Plan::new(kind.select(&resolved.files, &spec.patterns), &cache.view(repo, &commit));
        let existing = cache.layout().root().ancestors().find(|folder| folder.is_dir());
        Ok(Forecast {
            name: spec.name.clone(),
            repo: repo.to_string(),
            revision: revision.to_string(),
            commit: commit.to_string(),
            kind,
            path: cache.snapshot_path(repo, &commit),
            bytes_total: plan.bytes_total(),
            bytes_to_fetch: plan.bytes_to_fetch(),
            bytes_free: existing
                .and_then(|folder| speech_flow_model_cache::space(folder).ok().flatten())
                .map(|space| space.free),
            files: plan
                .files
                .into_iter()
                .map(|planned| ForecastFile {
                    path: planned.file.path.to_string(),
                    size: planned.file.size,
                    digest: planned.file.digest,
                    state: match planned.state {
                        FileState::Linked | FileState::Blob => "present",
                        FileState::Partial { .. } => "partial",
                        FileState::Absent => "missing",
                    },
                })
                .collect(),
        })
    }
}
