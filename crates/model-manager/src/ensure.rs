//! `ensure`: settle the commit, look on disk, fetch what is missing, check that it loads.

use std::time::Instant;

use speech_flow_model_cache::{Cache, Writability};
use speech_flow_model_hub::{HubError, RepoInfo};
use speech_flow_model_types::plan::{FileState, StoreView};
use speech_flow_model_types::{CommitHash, ModelSource, ModelSpec, RelPath, RemoteFile, Resolved, Revision};

use crate::asked::Asked;
use crate::error::Error;
use crate::events::Event;
use crate::local::{Found, Local, missed, unanswered};
use crate::lockfile::LockedFile;
use crate::manager::{EnsureOptions, ModelManager};
use crate::model::{Model, ModelFile, Outcome};

/// What is known of the files that are on disk before a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Present {
    /// Their names and lengths: another client may have left them.
    Unseen,
    /// Their content: each was hashed a moment ago.
    Hashed,
}

impl ModelManager {
    /// Makes the model ready: on disk, verified, validated.
    ///
    /// A commit that is settled (a full hash, a pin, a lockfile's entry) and complete on disk needs no
    /// request. A branch or tag is looked up once. With the hub down or no request allowed, what is complete
    /// on disk is a hit. Calls for one model share one download.
    ///
    /// # Errors
    /// [`Error`] says what was tried and what to do.
    ///
    /// # Cancel safety
    /// May be dropped at any time; what has arrived is kept and the next call goes on from there.
    pub async fn ensure_with(&self, spec: &ModelSpec, options: &EnsureOptions) -> Result<Model, Error> {
        let started = Instant::now();
        let (repo, revision) = match &spec.source {
            ModelSource::Folder(path) => return self.user_folder(spec, path, started),
            ModelSource::Hub { repo, revision } => (repo, revision),
        };
        let asked = Asked::new(spec, repo, revision, options);
        let in_turn = async {
            let _turn = self.inner.flights.turn(format!("{repo}@{revision}")).await;
            self.ensure_from_hub(&asked).await
        };
        tokio::select! {
            biased;
            () = options.cancel.cancelled() => Err(Error::Cancelled),
            model = in_turn => model,
        }
    }

    async fn ensure_from_hub(&self, asked: &Asked<'_>) -> Result<Model, Error> {
        if let Some(commit) = self.settled_commit(asked)? {
            return match self.find(asked, &commit) {
                Some(Found::Complete(local)) => {
                    let local = held_to_lock(asked, local)?;
                    // Offline Python workers that ask for the name get the settled commit too.
                    self.remember_ref(&local.cache, asked, &commit);
                    self.finish_hit(asked, local).await
                }
                found if self.is_offline(asked.options) => Err(missed(asked, found)),
                _ => self.obtain(asked, &commit, None, Present::Unseen).await,
            };
        }
        if self.is_offline(asked.options) {
            return self.disk_alone(asked).await;
        }
        asked.options.events.event(Event::Resolving { model: asked.spec.to_string() });
        let info = match self.network()?.hub.resolve(asked.repo, asked.revision).await {
            Ok(info) => info,
            Err(error) if error.is_transient() => return self.without_hub(asked, error).await,
            Err(error) => return Err(asked.hub_error(error)),
        };
        match self.find(asked, &info.commit) {
            Some(Found::Complete(local)) => {
                self.remember_ref(&local.cache, asked, &info.commit);
                self.finish_hit(asked, local).await
            }
            _ => self.obtain(asked, &info.commit.clone(), Some(info), Present::Unseen).await,
        }
    }

    /// The commit when no request is needed to know it.
    pub(crate) fn settled_commit(&self, asked: &Asked<'_>) -> Result<Option<CommitHash>, Error> {
        if let Some(choice) = &asked.options.lock {
            if let Some(locked) = choice.lockfile.get(asked.repo, asked.revision) {
                return Ok(Some(locked.commit().clone()));
            }
            if choice.strict {
                return Err(Error::NotLocked {
                    model: asked.spec.name.clone(),
                    revision: asked.revision.clone(),
                    lockfile: self.inner.config.lockfile.value.clone(),
                });
            }
        }
        if let Some(commit) = asked.revision.commit() {
            return Ok(Some(commit));
        }
        self.pinned_commit(asked.repo, asked.revision)
    }

    /// Offline, the commit is what the cache last saw under the revision's name.
    async fn disk_alone(&self, asked: &Asked<'_>) -> Result<Model, Error> {
        match self.find_by_ref(asked) {
            Some(Found::Complete(local)) => self.finish_hit(asked, local).await,
            found => Err(missed(asked, found)),
        }
    }

    /// The hub is down: what is complete on disk is served, and the reason is said.
    async fn without_hub(&self, asked: &Asked<'_>, error: HubError) -> Result<Model, Error> {
        match self.find_by_ref(asked) {
            Some(Found::Complete(local)) => {
                let message =
                    format!("the hub cannot be asked for `{}` ({error}): the copy on disk is used", asked.spec);
                asked.options.events.event(Event::Warning { message });
                self.finish_hit(asked, local).await
            }
            found => Err(unanswered(asked, error, found)),
        }
    }

    /// Checks a complete snapshot once; a damaged one is mended when requests are allowed.
    async fn finish_hit(&self, asked: &Asked<'_>, local: Local) -> Result<Model, Error> {
        match self.check(asked, &local).await? {
            Ok(()) => {
                if asked.options.adopt {
                    self.adopt(asked, &local).await;
                }
                Ok(self.model(asked, &local, Outcome::Hit, 0))
            }
            Err(damage) if self.is_offline(asked.options) => Err(damage.into_error(asked)),
            Err(damage) => {
                let message = format!("`{}` is damaged on disk ({damage}): it is fetched again", asked.spec);
                asked.options.events.event(Event::Warning { message });
                self.obtain(asked, &local.commit.clone(), None, Present::Hashed).await
            }
        }
    }

    /// Records a snapshot that has no record. Without one its files count as a part of the repository, so this is no
    /// reason to fail.
    async fn adopt(&self, asked: &Asked<'_>, local: &Local) {
        if local.cache.read_record(asked.repo, &local.commit).ok().flatten().is_some() {
            return;
        }
        if let Ok(info) = self.describe(asked, &local.commit).await {
            self.record(asked, local, &info);
        }
    }

    /// Fetches what a commit lacks, and checks the whole.
    async fn obtain(
        &self,
        asked: &Asked<'_>,
        commit: &CommitHash,
        info: Option<RepoInfo>,
        present: Present,
    ) -> Result<Model, Error> {
        let info = match info {
            Some(info) => info,
            None => self.describe(asked, commit).await?,
        };
        let resolved = self.list_files(asked, commit).await?;
        self.check_against_lock(asked, &resolved)?;
        let kind = asked.kind_of(&resolved.files);
        let cache = self.cache_of(kind);
        cache.write_tree(asked.repo, commit, &resolved.files)?;

        let wanted = kind.select(&resolved.files, &asked.spec.patterns);
        if wanted.is_empty() {
            return Err(Error::NothingSelected { repo: asked.repo.clone(), commit: commit.clone() });
        }
        let was_complete = cache.read_record(asked.repo, commit).ok().flatten().is_some();
        let found = match present {
            Present::Unseen => files_there(&cache.view(asked.repo, commit), &wanted),
            Present::Hashed => Vec::new(),
        };
        let mut fetched = self.download(asked, cache, &resolved, &wanted).await?;
        let found = Local::new(cache, asked, commit, kind, found.into_iter().map(ModelFile::from));
        let corrupt = self.take_corrupt_away(asked, found).await?;
        if !corrupt.is_empty() {
            let message = format!("`{}` was damaged on disk ({}): it is fetched again", asked.spec, corrupt.join("; "));
            asked.options.events.event(Event::Warning { message });
            fetched += self.download(asked, cache, &resolved, &wanted).await?;
        }
        let local = Local::new(cache, asked, commit, kind, wanted.into_iter().map(ModelFile::from));

        self.remember_ref(cache, asked, commit);
        self.record(asked, &local, &info);
        if let Err(damage) = self.check_fetched(asked, &local).await? {
            return Err(damage.into_error(asked));
        }
        let outcome = if was_complete { Outcome::Repaired } else { Outcome::Downloaded };
        Ok(self.model(asked, &local, outcome, fetched))
    }

    /// What the hub says of a commit that is known already; its licence, above all.
    async fn describe(&self, asked: &Asked<'_>, commit: &CommitHash) -> Result<RepoInfo, Error> {
        let revision = Revision::from(commit.clone());
        let described = self.network()?.hub.resolve(asked.repo, &revision).await;
        described.map_err(|error| unanswered(asked, error, self.find(asked, commit)))
    }

    /// The files of a commit: from the cache when it knows them, else from the hub.
    pub(crate) async fn list_files(&self, asked: &Asked<'_>, commit: &CommitHash) -> Result<Resolved, Error> {
        let known = self.caches_for(asked.spec.kind).into_iter().find_map(|cache| cache.read_tree(asked.repo, commit));
        let files = match known {
            Some(files) => files,
            None => {
                let hub = &self.network()?.hub;
                hub.list(asked.repo, commit).await.map_err(|error| asked.hub_error(error))?
            }
        };
        Ok(Resolved { repo: asked.repo.clone(), revision: asked.revision.clone(), commit: commit.clone(), files })
    }

    /// A locked commit must have exactly the locked files: a hub that lies about a hash is found out here.
    fn check_against_lock(&self, asked: &Asked<'_>, resolved: &Resolved) -> Result<(), Error> {
        let Some(choice) = &asked.options.lock else { return Ok(()) };
        let Some(locked) = choice.lockfile.get(asked.repo, asked.revision) else { return Ok(()) };
        let listed = |path: &RelPath| resolved.files.iter().find(|file| file.path == *path);
        let differs = |file: &&LockedFile| {
            listed(&file.path).is_none_or(|now| (now.size, now.digest) != (file.size, file.digest))
        };
        match locked.files().iter().find(differs) {
            None => Ok(()),
            Some(file) => {
                let (repo, commit) = (asked.repo.clone(), resolved.commit.clone());
                Err(Error::LockBroken { repo, commit, file: file.path.to_string() })
            }
        }
    }

    /// The name is written last: it never points at a snapshot that is not whole. A failure costs the next
    /// offline start, not this one.
    fn remember_ref(&self, cache: &Cache, asked: &Asked<'_>, commit: &CommitHash) {
        let is_name = asked.revision.commit().is_none();
        let is_known = cache.read_ref(asked.repo, asked.revision).as_ref() == Some(commit);
        if is_name
            && !is_known
            && cache.writability() == Writability::Writable
            && let Err(error) = cache.write_ref(asked.repo, asked.revision, commit)
        {
            tracing::warn!(repo = %asked.repo, revision = %asked.revision, %error, "the revision's name was not written");
        }
    }
}

/// The wanted files whose bytes are on disk.
fn files_there<'a>(view: &dyn StoreView, wanted: &[&'a RemoteFile]) -> Vec<&'a RemoteFile> {
    let is_there = |file: &&&RemoteFile| matches!(view.state(file), FileState::Linked | FileState::Blob);
    wanted.iter().filter(is_there).copied().collect()
}

/// A locked model on disk is held to the lockfile, not to the listing beside it, which anyone may have written.
/// Hashes that no listing knows come from the lockfile.
fn held_to_lock(asked: &Asked<'_>, mut local: Local) -> Result<Local, Error> {
    let lockfile = asked.options.lock.as_ref().map(|choice| &choice.lockfile);
    let Some(locked) = lockfile.and_then(|lockfile| lockfile.get(asked.repo, asked.revision)) else {
        return Ok(local);
    };
    for file in &mut local.files {
        let Some(expected) = locked.files().iter().find(|expected| expected.path == file.path) else { continue };
        let digest = *file.digest.get_or_insert(expected.digest);
        if (file.size, digest) != (expected.size, expected.digest) {
            let (repo, commit) = (asked.repo.clone(), local.commit);
            return Err(Error::LockBroken { repo, commit, file: expected.path.to_string() });
        }
    }
    Ok(local)
}
