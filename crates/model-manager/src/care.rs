//! Looks after the caches: what is in them, what may go, who uses what.

use serde::Serialize;
use speech_flow_model_cache::{Cache, CacheReport, ClearReport, ClearTarget, GcPolicy, GcReport, Lease, Writability};
use speech_flow_model_types::{ModelSource, ModelSpec, RemoteFile, Revision};

use crate::asked::Asked;
use crate::error::Error;
use crate::local::Found;
use crate::manager::{EnsureOptions, ModelManager};
use crate::model::{Model, ModelOrigin};

/// What [`ModelManager::clear`] removes.
#[derive(Debug, Clone)]
pub enum ClearSelection {
    /// These models: the revision where one is given, else every revision.
    Models(Vec<(ModelSpec, RevisionGiven)>),
    /// Everything in the cache of Whisper models.
    Whisper,
    /// The configured language identification model.
    LanguageId,
    /// Everything in both caches.
    All,
}

/// Whether the user named a revision, or means all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionGiven {
    /// One.
    Yes,
    /// All.
    No,
}

/// What was removed from one cache.
#[derive(Debug, Clone, Serialize)]
pub struct Cleared {
    /// The cache's folder.
    pub root: std::path::PathBuf,
    /// What went and what stayed.
    #[serde(flatten)]
    pub report: ClearReport,
}

impl ModelManager {
    /// What is in the caches: Whisper's first, then that of all other models; one report for one folder.
    ///
    /// # Errors
    /// What the volume says.
    pub fn list(&self) -> Result<Vec<CacheReport>, Error> {
        self.all_caches().into_iter().map(|cache| Ok(cache.scan()?)).collect()
    }

    /// Removes models; what is leased, pinned or being downloaded stays and is named.
    ///
    /// # Errors
    /// What the volume says. What was removed before stays removed.
    pub fn clear(&self, selection: &ClearSelection, options: &EnsureOptions) -> Result<Vec<Cleared>, Error> {
        let mut cleared = Vec::new();
        for cache in self.all_caches() {
            let targets = match selection {
                ClearSelection::All => everything(&cache.scan()?),
                ClearSelection::Whisper if cache.layout().root() == self.inner.whisper.layout().root() => {
                    everything(&cache.scan()?)
                }
                ClearSelection::Whisper => Vec::new(),
                ClearSelection::LanguageId => {
                    let spec = self.inner.config.lid_model().spec;
                    self.targets(&spec, RevisionGiven::No, options)?
                }
                ClearSelection::Models(models) => {
                    let of = |(spec, given): &(ModelSpec, RevisionGiven)| self.targets(spec, *given, options);
                    models.iter().map(of).collect::<Result<Vec<_>, _>>()?.concat()
                }
            };
            if !targets.is_empty() && cache.layout().root().is_dir() {
                cleared.push(Cleared { root: cache.layout().root().to_owned(), report: cache.clear(&targets)? });
            }
        }
        Ok(cleared)
    }

    /// Cleans both caches by a policy; a size limit counts for each.
    ///
    /// # Errors
    /// What the volume says. What was removed before stays removed.
    pub fn gc(&self, policy: &GcPolicy) -> Result<Vec<GcReport>, Error> {
        let there = self.all_caches().into_iter().filter(|cache| cache.layout().root().is_dir());
        there.map(|cache| Ok(cache.gc(policy)?)).collect()
    }

    /// Says that the model is in use: it is not deleted until the lease is dropped. `None` for a user's
    /// folder, which nobody deletes.
    ///
    /// # Errors
    /// What the volume says, and that the snapshot is gone.
    pub fn lease(&self, model: &Model) -> Result<Option<Lease>, Error> {
        let Some(origin) = &model.origin else { return Ok(None) };
        Ok(Some(self.cache_holding(model, origin).lease(&origin.repo, &origin.commit)?))
    }

    /// The whole listing of the model's commit, where the cache has it.
    pub fn listing(&self, model: &Model) -> Option<Vec<RemoteFile>> {
        let origin = model.origin.as_ref()?;
        self.cache_holding(model, origin).read_tree(&origin.repo, &origin.commit)
    }

    /// Remembers that more branches and tags stand for the model's commit, as far as no pin says otherwise. A failure
    /// costs the next offline start under that name.
    pub fn remember_names(&self, model: &Model, names: &[Revision]) {
        let Some(origin) = &model.origin else { return };
        let cache = self.cache_holding(model, origin);
        for name in names {
            let is_pinned = self.pinned_commit(&origin.repo, name).ok().flatten().is_some();
            if is_pinned || cache.writability() != Writability::Writable {
                continue;
            }
            if let Err(error) = cache.write_ref(&origin.repo, name, &origin.commit) {
                tracing::warn!(repo = %origin.repo, revision = %name, %error, "the revision's name was not written");
            }
        }
    }

    fn cache_holding(&self, model: &Model, origin: &ModelOrigin) -> &Cache {
        // Another client may have put it into a cache where its kind is not kept.
        let holds = |cache: &&&Cache| cache.snapshot_path(&origin.repo, &origin.commit) == model.path;
        let caches = self.all_caches();
        caches.iter().find(holds).copied().unwrap_or_else(|| self.cache_of(model.kind))
    }

    fn targets(
        &self,
        spec: &ModelSpec,
        given: RevisionGiven,
        options: &EnsureOptions,
    ) -> Result<Vec<ClearTarget>, Error> {
        let (repo, revision) = match &spec.source {
            ModelSource::Folder(path) => return Err(Error::FolderHasNoRevision { path: path.clone() }),
            ModelSource::Hub { repo, revision } => (repo, revision),
        };
        if given == RevisionGiven::No {
            return Ok(vec![ClearTarget::Repo(repo.clone())]);
        }
        let asked = Asked::new(spec, repo, revision, options);
        Ok(match self.find_settled(&asked)? {
            Some(Found::Complete(local) | Found::Incomplete { local, .. }) => {
                vec![ClearTarget::Revision(repo.clone(), local.commit)]
            }
            None => Vec::new(),
        })
    }
}

fn everything(report: &CacheReport) -> Vec<ClearTarget> {
    report.repos.iter().map(|repo| ClearTarget::Repo(repo.repo.clone())).collect()
}
