//! What is on disk of a model, without a request.

use std::path::PathBuf;

use speech_flow_model_cache::{Cache, SnapshotFile};
use speech_flow_model_hub::HubError;
use speech_flow_model_types::{CommitHash, ModelKind, Plan, RemoteFile, RepoId, Resolved, Revision};

use crate::asked::Asked;
use crate::error::Error;
use crate::manager::ModelManager;
use crate::model::ModelFile;
use crate::validate;

/// A snapshot that has every file its model needs.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) cache: Cache,
    pub(crate) repo: RepoId,
    pub(crate) commit: CommitHash,
    pub(crate) kind: ModelKind,
    /// What it is validated as: files that the user chose by name need not make a model of the kind.
    pub(crate) checked_as: ModelKind,
    /// The files that the model needs, sorted by path.
    pub(crate) files: Vec<ModelFile>,
}

/// What was found of a commit.
#[derive(Debug)]
pub(crate) enum Found {
    /// All of it.
    Complete(Local),
    /// Some of it.
    Incomplete {
        /// What would be there.
        local: Local,
        /// The paths that are missing.
        missing: Vec<String>,
    },
}

impl Local {
    pub(crate) fn new(
        cache: &Cache,
        asked: &Asked<'_>,
        commit: &CommitHash,
        kind: ModelKind,
        files: impl IntoIterator<Item = ModelFile>,
    ) -> Self {
        let mut files: Vec<ModelFile> = files.into_iter().collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let checked_as = if asked.spec.patterns.has_include() { ModelKind::Other } else { kind };
        Self { cache: cache.clone(), repo: asked.repo.clone(), commit: commit.clone(), kind, checked_as, files }
    }

    /// The folder that an engine loads.
    pub(crate) fn path(&self) -> PathBuf {
        self.cache.snapshot_path(&self.repo, &self.commit)
    }
}

impl From<&RemoteFile> for ModelFile {
    fn from(file: &RemoteFile) -> Self {
        Self { path: file.path.clone(), size: file.size, digest: Some(file.digest) }
    }
}

impl ModelManager {
    /// Looks for a commit in the caches where the model may be; what is complete wins.
    pub(crate) fn find(&self, asked: &Asked<'_>, commit: &CommitHash) -> Option<Found> {
        let mut best = None;
        for cache in self.caches_for(asked.spec.kind) {
            match look(cache, asked, commit) {
                Some(Found::Complete(local)) => return Some(Found::Complete(local)),
                Some(found) => best = best.or(Some(found)),
                None => {}
            }
        }
        best
    }

    /// Looks for the commit that a cache last saw under the revision's name.
    pub(crate) fn find_by_ref(&self, asked: &Asked<'_>) -> Option<Found> {
        let mut best = None;
        for cache in self.caches_for(asked.spec.kind) {
            let Some(commit) = cache.read_ref(asked.repo, asked.revision) else { continue };
            match look(cache, asked, &commit) {
                Some(Found::Complete(local)) => return Some(Found::Complete(local)),
                Some(found) => best = best.or(Some(found)),
                None => {}
            }
        }
        best
    }

    /// Looks for the commit that the model has without a request: settled, or last seen under its name.
    pub(crate) fn find_settled(&self, asked: &Asked<'_>) -> Result<Option<Found>, Error> {
        Ok(match self.settled_commit(asked)? {
            Some(commit) => self.find(asked, &commit),
            None => self.find_by_ref(asked),
        })
    }

    /// The commit that a revision is pinned to.
    pub(crate) fn pinned_commit(&self, repo: &RepoId, revision: &Revision) -> Result<Option<CommitHash>, Error> {
        Ok(self.inner.hub_cache.pin_of(repo, revision)?.map(|pin| pin.commit))
    }
}

fn look(cache: &Cache, asked: &Asked<'_>, commit: &CommitHash) -> Option<Found> {
    match cache.read_tree(asked.repo, commit) {
        Some(files) => Some(look_by_tree(cache, asked, commit, files)),
        None => look_without_tree(cache, asked, commit),
    }
}

/// With a listing it is known what has to be there.
fn look_by_tree(cache: &Cache, asked: &Asked<'_>, commit: &CommitHash, files: Vec<RemoteFile>) -> Found {
    let resolved =
        Resolved { repo: asked.repo.clone(), revision: asked.revision.clone(), commit: commit.clone(), files };
    let kind = asked.kind_of(&resolved.files);
    let wanted = kind.select(&resolved.files, &asked.spec.patterns);
    let view = cache.view(asked.repo, commit);
    let missing = Plan::missing_paths(&wanted, &view);
    let is_complete = missing.is_empty() && !wanted.is_empty();
    let local = Local::new(cache, asked, commit, kind, wanted.into_iter().map(ModelFile::from));
    if is_complete { Found::Complete(local) } else { Found::Incomplete { local, missing } }
}

/// Without one, as older clients leave it, the files that are there must make a model; validation decides.
/// A layout that validation does not know proves nothing, and counts as not found.
fn look_without_tree(cache: &Cache, asked: &Asked<'_>, commit: &CommitHash) -> Option<Found> {
    let files = cache.snapshot_files(asked.repo, commit);
    let paths = || files.iter().map(|file| &file.path);
    let kind = asked.spec.kind.unwrap_or_else(|| ModelKind::detect(paths()));
    let wanted = kind.selection(paths(), &asked.spec.patterns);
    let as_model_file = |file: &SnapshotFile| {
        let size = file.size?;
        wanted.takes(&file.path).then(|| ModelFile { path: file.path.clone(), size, digest: file.digest })
    };
    let local = Local::new(cache, asked, commit, kind, files.iter().filter_map(as_model_file));
    let loads = kind != ModelKind::Other && validate::validate(&local.path(), Some(local.checked_as)).is_ok();
    loads.then_some(Found::Complete(local))
}

/// The error of a model that is not complete on disk, where that is the only source.
pub(crate) fn missed(asked: &Asked<'_>, found: Option<Found>) -> Error {
    asked.offline_miss(match found {
        Some(Found::Incomplete { missing, .. }) => missing,
        _ => Vec::new(),
    })
}

/// The error of a model that is not complete on disk, where the hub was asked for it and failed.
pub(crate) fn unanswered(asked: &Asked<'_>, source: HubError, found: Option<Found>) -> Error {
    match found {
        Some(Found::Incomplete { missing, .. }) if source.is_transient() => {
            Error::HubDown { model: asked.spec.to_string(), missing, source: Box::new(source) }
        }
        _ => asked.hub_error(source),
    }
}
