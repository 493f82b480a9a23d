//! Which version: locate, lock, update, pin.

use serde::Serialize;
use speech_flow_model_cache::Pin;
use speech_flow_model_types::{CommitHash, ModelSource, ModelSpec, RepoId, Revision};

use crate::asked::Asked;
use crate::error::Error;
use crate::local::{Found, missed};
use crate::lockfile::{LockedModel, Lockfile, ModelChange, Reason, diff};
use crate::manager::{EnsureOptions, LockChoice, ModelManager};
use crate::model::{Model, Outcome};

/// What [`ModelManager::lock`] does with a model that the lockfile has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// It stays at its commit.
    Keep,
    /// It moves to what its revision stands for now.
    Update,
}

/// A commit that stays, and that its revision stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PinnedModel {
    /// The repository.
    pub repo: String,
    /// The revision that was asked for.
    pub revision: String,
    /// The commit.
    pub commit: String,
}

impl ModelManager {
    /// The model as it is on disk: no request, no hashing, nothing written.
    ///
    /// # Errors
    /// [`Error::OfflineMiss`] when it is not complete.
    pub fn locate(&self, spec: &ModelSpec, options: &EnsureOptions) -> Result<Model, Error> {
        let started = std::time::Instant::now();
        match &spec.source {
            ModelSource::Folder(path) => self.user_folder(spec, path, started),
            ModelSource::Hub { repo, revision } => {
                let asked = Asked::new(spec, repo, revision, options);
                match self.find_settled(&asked)? {
                    Some(Found::Complete(local)) => Ok(self.model(&asked, &local, Outcome::Hit, 0)),
                    found => Err(missed(&asked, found)),
                }
            }
        }
    }

    /// Locks models: asks the hub which commit each revision is and what it holds. Folders have no version
    /// and are left out.
    ///
    /// # Errors
    /// What the hub says of the first model that it does not give.
    pub async fn lock(
        &self,
        specs: &[ModelSpec],
        current: Option<&Lockfile>,
        mode: LockMode,
        options: &EnsureOptions,
    ) -> Result<Lockfile, Error> {
        let mut models = Vec::new();
        for spec in specs {
            let ModelSource::Hub { repo, revision } = &spec.source else { continue };
            match current.and_then(|lockfile| lockfile.get(repo, revision)).filter(|_| mode == LockMode::Keep) {
                Some(locked) => models.push(locked.clone()),
                None => models.push(self.lock_one(spec, repo, revision, options).await?),
            }
        }
        Lockfile::new(models).map_err(|reason| Error::Unlockable { reason })
    }

    /// What moved on the hub since models were locked; those that did not move are left out.
    ///
    /// # Errors
    /// What the hub says of the first model that it does not give.
    pub async fn check_updates(
        &self,
        lockfile: &Lockfile,
        only: &[ModelSpec],
        options: &EnsureOptions,
    ) -> Result<Vec<ModelChange>, Error> {
        let mut changes = Vec::new();
        for locked in lockfile.models().iter().filter(|locked| is_meant(locked, only)) {
            let (_, change) = self.newer(locked, only, options).await?;
            changes.extend(change);
        }
        Ok(changes)
    }

    /// Moves locked models to what their revisions stand for now. Each new commit is fetched and validated
    /// before its entry moves; a model that fails keeps its entry and ends the call.
    ///
    /// # Errors
    /// As [`ModelManager::ensure_with`]; `progress` has been told of every model that moved before.
    pub async fn update(
        &self,
        lockfile: &Lockfile,
        only: &[ModelSpec],
        options: &EnsureOptions,
        mut progress: impl FnMut(&Lockfile, &ModelChange) -> Result<(), Error>,
    ) -> Result<Lockfile, Error> {
        let mut moved = lockfile.clone();
        for locked in lockfile.models().iter().filter(|locked| is_meant(locked, only)) {
            let (newer, Some(change)) = self.newer(locked, only, options).await? else { continue };
            let next = moved.clone().with(newer);
            let lock = Some(LockChoice { lockfile: next.clone(), strict: true });
            self.ensure_with(&spec_of(locked, only), &EnsureOptions { lock, ..options.clone() }).await?;
            moved = next;
            progress(&moved, &change)?;
        }
        Ok(moved)
    }

    /// Pins the commit that is on disk: it is never deleted, and its revision stands for it without a
    /// request.
    ///
    /// # Errors
    /// [`Error::OfflineMiss`] when no complete commit is on disk.
    pub fn pin(&self, spec: &ModelSpec, options: &EnsureOptions) -> Result<PinnedModel, Error> {
        let ModelSource::Hub { repo, revision } = &spec.source else { return Err(no_revision(spec)) };
        let asked = Asked::new(spec, repo, revision, options);
        let local = match self.find_settled(&asked)? {
            Some(Found::Complete(local)) => local,
            found => return Err(missed(&asked, found)),
        };
        Ok(local.cache.pin(repo, revision, &local.commit)?.into())
    }

    /// Takes pins away: that of the revision, when the specification has one of its own, else all of the
    /// repository. Says which there were.
    ///
    /// # Errors
    /// What the volume says.
    pub fn unpin(&self, spec: &ModelSpec, revision_given: bool) -> Result<Vec<PinnedModel>, Error> {
        let ModelSource::Hub { repo, revision } = &spec.source else { return Err(no_revision(spec)) };
        let removed = self.inner.hub_cache.unpin(repo, Some(revision).filter(|_| revision_given))?;
        Ok(removed.into_iter().map(PinnedModel::from).collect())
    }

    /// All pins.
    ///
    /// # Errors
    /// What the volume says.
    pub fn pins(&self) -> Result<Vec<PinnedModel>, Error> {
        Ok(self.inner.hub_cache.pins()?.into_iter().map(PinnedModel::from).collect())
    }

    /// What a locked model's revision stands for now, with the change when it moved.
    async fn newer(
        &self,
        locked: &LockedModel,
        only: &[ModelSpec],
        options: &EnsureOptions,
    ) -> Result<(LockedModel, Option<ModelChange>), Error> {
        let spec = spec_of(locked, only);
        let (newer, change) = self.lock_one_beside(&spec, locked, options).await?;
        Ok((newer, (change.old_commit != change.new_commit).then_some(change)))
    }

    async fn lock_one_beside(
        &self,
        spec: &ModelSpec,
        locked: &LockedModel,
        options: &EnsureOptions,
    ) -> Result<(LockedModel, ModelChange), Error> {
        let (repo, revision) = (locked.repo(), locked.revision());
        let asked = Asked::new(spec, repo, revision, options);
        let commit = self.ask_commit(&asked).await?;
        let resolved = self.list_files(&asked, &commit).await?;
        let wanted = locked.kind().select(&resolved.files, &spec.patterns);
        let newer = LockedModel::new(locked.name(), locked.kind(), &resolved, &wanted)
            .map_err(|reason| Error::Unlockable { reason })?;
        Ok((newer, diff(locked, &resolved, &wanted)))
    }

    async fn lock_one(
        &self,
        spec: &ModelSpec,
        repo: &RepoId,
        revision: &Revision,
        options: &EnsureOptions,
    ) -> Result<LockedModel, Error> {
        let asked = Asked::new(spec, repo, revision, options);
        let commit = self.ask_commit(&asked).await?;
        let resolved = self.list_files(&asked, &commit).await?;
        let kind = asked.kind_of(&resolved.files);
        let wanted = kind.select(&resolved.files, &spec.patterns);
        LockedModel::new(&spec.name, kind, &resolved, &wanted).map_err(|reason| match reason {
            Reason::NoFiles => Error::NothingSelected { repo: repo.clone(), commit },
            reason => Error::Unlockable { reason },
        })
    }

    /// The commit that the hub has under a revision now; offline, the one that the cache last saw.
    async fn ask_commit(&self, asked: &Asked<'_>) -> Result<CommitHash, Error> {
        if let Some(commit) = asked.revision.commit() {
            return Ok(commit);
        }
        if self.is_offline(asked.options) {
            return match self.find_by_ref(asked) {
                Some(Found::Complete(local)) => Ok(local.commit),
                found => Err(missed(asked, found)),
            };
        }
        let info = self.network()?.hub.resolve(asked.repo, asked.revision).await;
        info.map(|info| info.commit).map_err(|error| asked.hub_error(error))
    }
}

/// Whether the caller means a locked model; an empty list means all.
fn is_meant(locked: &LockedModel, only: &[ModelSpec]) -> bool {
    only.is_empty() || only.iter().any(|spec| names(spec, locked))
}

/// The specification of a locked model: the caller's, which may have patterns, or one made from the entry.
fn spec_of(locked: &LockedModel, known: &[ModelSpec]) -> ModelSpec {
    known.iter().find(|spec| names(spec, locked)).cloned().unwrap_or_else(|| ModelSpec {
        name: locked.name().to_owned(),
        source: ModelSource::Hub { repo: locked.repo().clone(), revision: locked.revision().clone() },
        kind: Some(locked.kind()),
        patterns: speech_flow_model_types::Patterns::all(),
    })
}

fn names(spec: &ModelSpec, locked: &LockedModel) -> bool {
    matches!(&spec.source, ModelSource::Hub { repo, revision } if repo == locked.repo() && revision == locked.revision())
}

fn no_revision(spec: &ModelSpec) -> Error {
    Error::FolderHasNoRevision { path: spec.name.clone().into() }
}

impl From<Pin> for PinnedModel {
    fn from(pin: Pin) -> Self {
        Self { repo: pin.repo.to_string(), revision: pin.revision.to_string(), commit: pin.commit.to_string() }
    }
}
