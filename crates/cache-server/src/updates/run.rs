//! One run over all locked models, and the way back.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use speech_flow_model_manager::config::UpdatePolicy;
use speech_flow_model_manager::lockfile::{LockedModel, Lockfile};
use speech_flow_model_manager::{EnsureOptions, LockChoice};
use speech_flow_model_types::{ModelSource, ModelSpec, RepoId, Resolved, Revision};

use super::record::Turn;
use super::{ModelRecord, Record, State};
use crate::answer::Refusal;
use crate::bring::Heard;
use crate::locked::NotMoved;
use crate::metadata::Settled;
use crate::server::Server;

/// Why a model was not updated.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}", .0.message)]
    Refused(Refusal),
    #[error(transparent)]
    Invalid(#[from] speech_flow_model_manager::Error),
    #[error("its new commit cannot be locked: {0}")]
    Unlockable(#[from] speech_flow_model_manager::lockfile::Reason),
    #[error(transparent)]
    NotMoved(#[from] NotMoved),
    #[error("the commit before cannot be kept: {0}")]
    Unpinned(#[from] speech_flow_model_cache::CacheError),
    #[error("the work ended early")]
    Ended,
}

/// Nobody watches a scheduled download but the status page, which sees it itself.
struct Unheard;

impl Heard for Unheard {
    fn missing(&self, _: u64) {}
    fn came(&self, _: u64) {}
}

/// How a rollback went.
#[derive(Debug)]
pub(crate) struct RolledBack {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum NoWayBack {
    /// The model is not locked, or has had no update.
    Nothing,
    /// The lockfile could not be moved, or the files are not there.
    Failed(String),
}

impl Server {
    /// Looks for updates of all locked models, unless somebody else does. `every` is how long the last run counts;
    /// without it, it does not.
    pub(crate) async fn update_all(&self, every: Option<Duration>) {
        let Ok(_running) = self.inner.updating.try_lock() else { return };
        let server = self.clone();
        let turn = tokio::task::spawn_blocking(move || (server.take_turn(), server.read_record())).await;
        let Ok((Turn::Ours(_turn), before)) = turn else {
            tracing::debug!("another server on this volume looks for updates");
            self.inner.metrics.update_ran("busy");
            return;
        };
        // It may have, while this one waited.
        let is_fresh = |every: Duration| {
            let passed = before.checked.map(|checked| Timestamp::now().duration_since(checked));
            passed.is_some_and(|passed| passed < (every / 2).try_into().unwrap_or_default() && !passed.is_negative())
        };
        if every.is_some_and(is_fresh) {
            return;
        }
        let Some(lockfile) = self.lockfile() else {
            self.inner
                .log
                .note("there is no lockfile to update".to_owned(), Some("write it with `speech-flow lock`".to_owned()));
            self.inner.metrics.update_ran("failed");
            self.keep(&Record { schema: 1, checked: Some(Timestamp::now()), models: Vec::new() }).await;
            return;
        };
        tracing::info!(models = lockfile.models().len(), "looking for updates");
        let mut record = before;
        record.models.retain(|model| lockfile.models().iter().any(|locked| model.is_of(locked)));
        let mut failed = 0;
        for locked in lockfile.models() {
            if self.inner.stop.is_cancelled() {
                return;
            }
            let now = self.update_one(locked, record.find(locked)).await;
            failed += usize::from(now.state == State::Failed);
            record.models.retain(|model| !model.is_of(locked));
            record.models.push(now);
            self.keep(&record).await;
        }
        (record.schema, record.checked) = (1, Some(Timestamp::now()));
        self.keep(&record).await;
        self.inner.metrics.update_ran(if failed == 0 { "ok" } else { "failed" });
        tracing::info!(failed, "looked for updates");
    }

    /// One model; what is known of it afterwards.
    async fn update_one(&self, locked: &LockedModel, before: Option<&ModelRecord>) -> ModelRecord {
        // Somebody else moved the entry since: what was before it is theirs to know.
        let was_moved = before.is_some_and(|before| before.locked != locked.commit().as_str());
        let previous = before.and_then(|before| before.previous.clone());
        if let Some(kept) = before.filter(|_| was_moved).and_then(ModelRecord::previous) {
            self.let_go(&kept).await;
        }
        let mut now = ModelRecord {
            repo: locked.repo().to_string(),
            revision: locked.revision().to_string(),
            locked: locked.commit().to_string(),
            found: before.and_then(|before| before.found.clone()),
            state: State::Failed,
            since: Timestamp::now(),
            error: None,
            previous: previous.filter(|_| !was_moved),
            rejected: before.and_then(|before| before.rejected.clone()),
        };
        match self.try_update(locked, &mut now).await {
            Ok(state) => now.state = state,
            Err(failure) => {
                let what = format!("`{}@{}` was not updated", locked.repo(), locked.revision());
                self.inner.log.problem(&what, &failure, failure.hint());
                now.error = Some(crate::log::with_causes(&failure));
            }
        }
        if let Some(before) = before.filter(|before| (before.state, &before.found) == (now.state, &now.found)) {
            now.since = before.since;
        }
        now
    }

    async fn try_update(&self, locked: &LockedModel, now: &mut ModelRecord) -> Result<State, Failure> {
        let (repo, revision) = (locked.repo(), locked.revision());
        let settled = self.newest(repo, revision).await.map_err(Failure::Refused)?;
        let commit = settled.document.commit.clone();
        now.found = Some(commit.to_string());
        if commit == *locked.commit() {
            return Ok(State::Current);
        }
        if now.rejected.as_deref() == Some(commit.as_str()) {
            return Ok(State::Rejected);
        }
        let files = self.files(&settled).await.map_err(Failure::Refused)?;
        let spec = self.spec_of(locked);
        let resolved =
            Resolved { repo: repo.clone(), revision: revision.clone(), commit: commit.clone(), files: files.to_vec() };
        let wanted = locked.kind().select(&files, &spec.patterns);
        let newer = LockedModel::new(locked.name(), locked.kind(), &resolved, &wanted)?;
        self.bring_files(&settled, &wanted, &Unheard).await.map_err(Failure::Refused)?;
        // By its commit: no name on the volume moves before the commit is known to be good.
        self.validate(&at(&spec, repo, commit.clone().into()), None).await?;
        tracing::info!(repo = %repo, revision = %revision, commit = %commit, "a newer commit is here and valid");
        match self.inner.settings.updates {
            UpdatePolicy::Apply => {
                self.apply(&spec, locked, newer, now).await?;
                Ok(State::Applied)
            }
            UpdatePolicy::Never | UpdatePolicy::Report => Ok(State::Ready),
        }
    }

    /// What a revision stands for on the hub now; an old answer does not count.
    async fn newest(&self, repo: &RepoId, revision: &Revision) -> Result<Settled, Refusal> {
        let settled = self.look_up(repo, revision).await?;
        match settled.stale {
            Some(why) => Err(why.into()),
            None => Ok(settled.settled),
        }
    }

    /// Moves the lockfile, and keeps what it named before.
    async fn apply(
        &self,
        spec: &ModelSpec,
        locked: &LockedModel,
        newer: LockedModel,
        now: &mut ModelRecord,
    ) -> Result<(), Failure> {
        let kept_before = now.previous();
        let (repo, before) = (locked.repo().clone(), locked.commit().clone());
        let cache = self.cache_of(locked.kind()).clone();
        let pin = move || cache.pin(&repo, &before.clone().into(), &before);
        tokio::task::spawn_blocking(pin).await.map_err(|_| Failure::Ended)??;
        now.previous = Lockfile::new(vec![locked.clone()]).ok().map(|lockfile| lockfile.to_toml());
        let lockfile = self.move_entry(newer, locked).await?;
        now.locked = now.found.clone().unwrap_or_default();
        self.inner.metrics.updates_applied.inc();
        // Only the last one is kept.
        if let Some(kept) = kept_before.filter(|kept| kept.commit() != locked.commit()) {
            self.let_go(&kept).await;
        }
        // Readers of the volume that ask for the name get the new commit, too.
        let lock = LockChoice { lockfile: Lockfile::clone(&lockfile), strict: true };
        self.validate(spec, Some(lock)).await
    }

    /// Takes away the pin of a commit that nothing goes back to any more.
    async fn let_go(&self, kept: &LockedModel) {
        let cache = self.cache_of(kept.kind()).clone();
        let (repo, pinned) = (kept.repo().clone(), Revision::from(kept.commit().clone()));
        let unpinned = tokio::task::spawn_blocking(move || cache.unpin(&repo, Some(&pinned))).await;
        if let Ok(Err(error)) = unpinned {
            tracing::warn!(%error, "a commit that is needed no more stays pinned");
        }
    }

    async fn move_entry(&self, to: LockedModel, from: &LockedModel) -> Result<Arc<Lockfile>, Failure> {
        let (server, from) = (self.clone(), from.commit().clone());
        let (repo, revision, commit) = (to.repo().clone(), to.revision().clone(), to.commit().clone());
        let moved = tokio::task::spawn_blocking(move || server.inner.locked.move_entry(to, &from)).await;
        let lockfile = moved.map_err(|_| Failure::Ended)??;
        tracing::info!(%repo, %revision, %commit, "the lockfile was moved");
        Ok(lockfile)
    }

    /// Makes the model ready as workers would, which validates it.
    async fn validate(&self, spec: &ModelSpec, lock: Option<LockChoice>) -> Result<(), Failure> {
        let ModelSource::Hub { repo, .. } = &spec.source else { return Ok(()) };
        let manager = self.manager_for(repo)?;
        let options = EnsureOptions {
            offline: self.inner.settings.offline,
            lock,
            cancel: self.inner.stop.clone(),
            ..EnsureOptions::default()
        };
        let (spec, runtime) = (spec.clone(), tokio::runtime::Handle::current());
        // On a thread of its own: much of it waits for the disk.
        let work = move || runtime.block_on(async move { manager.ensure_with(&spec, &options).await });
        tokio::task::spawn_blocking(work).await.map_err(|_| Failure::Ended)??;
        Ok(())
    }

    /// Moves a model's entry back to the one before its last update.
    pub(crate) async fn roll_back(&self, repo: &RepoId, revision: &Revision) -> Result<RolledBack, NoWayBack> {
        let _running = self.inner.updating.lock().await;
        let Some(lockfile) = self.lockfile() else { return Err(NoWayBack::Nothing) };
        let Some(locked) = lockfile.get(repo, revision) else { return Err(NoWayBack::Nothing) };
        let server = self.clone();
        let turn = tokio::task::spawn_blocking(move || (server.take_turn(), server.read_record())).await;
        let Ok((Turn::Ours(_turn), mut record)) = turn else {
            return Err(NoWayBack::Failed(
                "another server of this volume looks for updates: ask again later".to_owned(),
            ));
        };
        let Some(model) = record.models.iter_mut().find(|model| model.is_of(locked)) else {
            return Err(NoWayBack::Nothing);
        };
        let was_moved = model.locked != locked.commit().as_str();
        let Some(previous) = model.previous().filter(|_| !was_moved) else { return Err(NoWayBack::Nothing) };
        let kept = previous.clone();
        let failed = |failure: Failure| NoWayBack::Failed(crate::log::with_causes(&failure));
        let spec = self.spec_of(locked);
        let commit = previous.commit().clone();
        self.validate(&at(&spec, repo, commit.clone().into()), None).await.map_err(failed)?;
        let moved = self.move_entry(previous, locked).await.map_err(failed)?;
        (model.state, model.since, model.previous, model.error) = (State::Rejected, Timestamp::now(), None, None);
        (model.rejected, model.locked) = (Some(locked.commit().to_string()), commit.to_string());
        self.keep(&record).await;
        // The lockfile names it again.
        self.let_go(&kept).await;
        let lock = LockChoice { lockfile: Lockfile::clone(&moved), strict: true };
        self.validate(&spec, Some(lock)).await.map_err(failed)?;
        Ok(RolledBack { from: locked.commit().to_string(), to: commit.to_string() })
    }

    async fn keep(&self, record: &Record) {
        let (server, record) = (self.clone(), record.clone());
        let written = tokio::task::spawn_blocking(move || server.write_record(&record)).await;
        if let Ok(Err(error)) = written {
            self.inner.log.problem("what is known of updates cannot be written down", &error, None::<String>);
        }
    }

    /// The specification of a locked model: the configuration's, which may have patterns, or one made from the entry.
    fn spec_of(&self, locked: &LockedModel) -> ModelSpec {
        let configured = self.inner.config.models().into_iter().map(|model| model.spec);
        let is_meant = |spec: &ModelSpec| {
            matches!(&spec.source, ModelSource::Hub { repo, revision }
                if repo == locked.repo() && revision == locked.revision())
        };
        configured.into_iter().find(is_meant).unwrap_or_else(|| ModelSpec {
            name: locked.name().to_owned(),
            source: ModelSource::Hub { repo: locked.repo().clone(), revision: locked.revision().clone() },
            kind: Some(locked.kind()),
            patterns: speech_flow_model_types::Patterns::all(),
        })
    }
}

fn at(spec: &ModelSpec, repo: &RepoId, revision: Revision) -> ModelSpec {
    ModelSpec { source: ModelSource::Hub { repo: repo.clone(), revision }, ..spec.clone() }
}

impl Failure {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid(error) => error.hint(),
            Self::NotMoved(error) => error.hint(),
            _ => None,
        }
    }
}
