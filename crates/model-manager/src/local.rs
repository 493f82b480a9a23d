//! What is on disk of a model, without a request.

use std::path::PathBuf;

use speech_flow_model_cache::{Cache, Pin, SnapshotFile};
use speech_flow_model_types::{CommitHash, ModelKind, Plan, RemoteFile, RepoId, Resolved, Revision};

use crate::ensure::Asked;
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
        repo: &RepoId,
        commit: &CommitHash,
        kind: ModelKind,
        files: impl IntoIterator<Item = ModelFile>,
    ) -> Self {
        let mut files: Vec<ModelFile> = files.into_iter().collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { cache: cache.clone(), repo: repo.clone(), commit: commit.clone(), kind, files }
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
    pub(crate) fn pinned_commit(&self, repo: &RepoId, revision: &Revision) -> Option<CommitHash> {
        let is_asked = |pin: &Pin| pin.repo == *repo && pin.revision == *revision;
        self.inner.hub_cache.pins().ok()?.into_iter().find(is_asked).map(|pin| pin.commit)
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
    let kind = crate::ensure::kind_of(asked.spec, &resolved);
    let wanted = kind.select(&resolved.files, &asked.spec.patterns);
    let view = cache.view(asked.repo, commit);
    let missing = Plan::missing_paths(&wanted, &view);
    let is_complete = missing.is_empty() && !wanted.is_empty();
    let local = Local::new(cache, asked.repo, commit, kind, wanted.into_iter().map(ModelFile::from));
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
    let local = Local::new(cache, asked.repo, commit, kind, files.iter().filter_map(as_model_file));
    let loads = kind != ModelKind::Other && validate::validate(&local.path(), Some(kind)).is_ok();
    loads.then_some(Found::Complete(local))
}
