//! What a revision is, which files it has, and who may see them.
//!
//! A repository is looked at without a token first. What everybody may see is kept once and served to all; the
//! rest is served to callers whose own token the hub accepts, and to all only where the configuration says so.

use std::sync::Arc;

use serde_json::Value;
use speech_flow_model_hub::{Hub, HubError, RawRequest, Source as _};
use speech_flow_model_types::{CommitHash, RemoteFile, RepoId, Revision};

use crate::answer::Refusal;
use crate::caller::{Caller, fingerprint};
use crate::server::Server;
use crate::shelf::{Ask, Kept, Patience, Unanswered};

pub(crate) mod disk;
pub(crate) mod xet;

/// Who may read a repository's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publicity {
    /// Everybody.
    Public,
    /// Everybody sees what there is; files are for accounts that were given access.
    Gated,
    /// Only some accounts know of it.
    Private,
    /// The hub has not been asked, and nothing on disk says.
    Unknown,
}

/// What the hub says of a revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    pub(crate) commit: CommitHash,
    pub(crate) publicity: Publicity,
    /// The hub's own words, without what only Xet clients need.
    pub(crate) json: Value,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// To know what there is.
    Listing,
    /// The content of files.
    Files,
}

/// A revision that the caller may read, and the hub through which it is read.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) repo: RepoId,
    pub(crate) document: Arc<Document>,
    pub(crate) hub: Hub,
    /// Told apart from what other callers may see.
    pub(crate) audience: &'static str,
}

/// A revision, and why its answer is an old one, where it is.
#[derive(Debug, Clone)]
pub(crate) struct LookedUp {
    pub(crate) settled: Settled,
    pub(crate) stale: Option<Unanswered>,
}

/// Everybody.
const PUBLIC: &str = "public";
/// Callers that the hub accepted.
const RESTRICTED: &str = "restricted";

impl Document {
    /// Reads the hub's answer.
    fn read(mut json: Value) -> Option<Self> {
        let commit = json.get("sha")?.as_str()?.parse().ok()?;
        let is_gated = !matches!(json.get("gated"), None | Some(Value::Null | Value::Bool(false)));
        let is_private = json.get("private") == Some(&Value::Bool(true));
        let publicity = match (is_private, is_gated) {
            (true, _) => Publicity::Private,
            (_, true) => Publicity::Gated,
            _ => Publicity::Public,
        };
        xet::strip(&mut json);
        Some(Self { commit, publicity, json })
    }
}

impl Server {
    /// Settles a revision for a caller.
    pub(crate) async fn settle(
        &self,
        repo: &RepoId,
        revision: &Revision,
        caller: &Caller,
        want: Want,
    ) -> Result<Settled, Refusal> {
        // What is locked stays what it is, whatever the branch does.
        let lockfile = self.lockfile();
        let locked = lockfile.as_ref().and_then(|lockfile| lockfile.get(repo, revision));
        let revision = &locked.map_or_else(|| revision.clone(), |locked| locked.commit().clone().into());
        let settled = |document: Kept<Arc<Document>>, hub: &Hub, audience: &'static str| {
            self.note_staleness(&document);
            Settled { repo: repo.clone(), document: document.value, hub: hub.clone(), audience }
        };
        let upstream = &self.inner.upstream;
        if self.inner.settings.is_shared(repo) {
            let document = self.document(repo, revision, upstream.own(), RESTRICTED).await?;
            return Ok(settled(document, upstream.own(), RESTRICTED));
        }
        match self.document(repo, revision, upstream.anonymous(), PUBLIC).await {
            Ok(document) => match (document.value.publicity, want) {
                (Publicity::Public, _) | (Publicity::Gated, Want::Listing) => {
                    Ok(settled(document, upstream.anonymous(), PUBLIC))
                }
                // The lockfile names it, and nobody says that it is not for all.
                (Publicity::Unknown, _) if self.is_locked(repo, revision) => {
                    Ok(settled(document, upstream.anonymous(), PUBLIC))
                }
                (publicity, _) => {
                    let hub = self.accept(repo, caller, publicity).await?;
                    Ok(settled(document, &hub, PUBLIC))
                }
            },
            Err(Unanswered::Hub(error)) if may_be_private(&error) && caller.hub_token.is_some() => {
                let hub = self.accept(repo, caller, Publicity::Private).await?;
                let document = self.document(repo, revision, &hub, RESTRICTED).await?;
                Ok(settled(document, &hub, RESTRICTED))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the lockfile names the commit, under whichever name clients ask for it.
    fn is_locked(&self, repo: &RepoId, commit: &Revision) -> bool {
        let Some(lockfile) = self.lockfile() else { return false };
        lockfile.models().iter().any(|model| model.repo() == repo && model.commit().as_str() == commit.as_str())
    }

    /// What a revision stands for on the hub, whatever the lockfile says: as everybody may see it, or with the
    /// server's own token where the configuration names the repository.
    pub(crate) async fn look_up(&self, repo: &RepoId, revision: &Revision) -> Result<LookedUp, Refusal> {
        let upstream = &self.inner.upstream;
        let (hub, audience) = match self.inner.settings.is_shared(repo) {
            true => (upstream.own(), RESTRICTED),
            false => (upstream.anonymous(), PUBLIC),
        };
        let document = self.document(repo, revision, hub, audience).await?;
        if audience == PUBLIC && matches!(document.value.publicity, Publicity::Gated | Publicity::Private) {
            return Err(Refusal::gated(false));
        }
        let settled = Settled { repo: repo.clone(), document: document.value, hub: hub.clone(), audience };
        Ok(LookedUp { settled, stale: document.stale })
    }

    async fn document(
        &self,
        repo: &RepoId,
        revision: &Revision,
        hub: &Hub,
        audience: &'static str,
    ) -> Result<Kept<Arc<Document>>, Unanswered> {
        let key = key_of(repo, revision, audience);
        let patience = self.inner.settings.metadata_patience();
        let seed = disk::load(self, repo, revision, audience);
        let ask = || self.ask_document(repo.clone(), revision.clone(), hub.clone(), audience);
        self.inner.documents.get(&key, patience, seed, ask).await
    }

    fn ask_document(&self, repo: RepoId, revision: Revision, hub: Hub, audience: &'static str) -> Ask<Arc<Document>> {
        let server = self.clone();
        self.ask(move || async move {
            let path = ["revision", revision.as_str()];
            let request = RawRequest { repo: Some(&repo), revision: Some(&revision), path: &path, query: None };
            let raw = hub.raw(request).await?;
            let Some(document) = Document::read(raw.json) else {
                // The typed call says what is wrong with it.
                return match hub.resolve(&repo, &revision).await {
                    Err(error) => Err(error),
                    Ok(_) => Err(HubError::Cancelled),
                };
            };
            let document = Arc::new(document);
            disk::store(&server, &repo, &revision, audience, &document).await;
            // Clients go on with the commit.
            let commit = Revision::from(document.commit.clone());
            if commit != revision {
                server.inner.documents.insert(&key_of(&repo, &commit, audience), Arc::clone(&document));
                disk::store(&server, &repo, &commit, audience, &document).await;
            }
            Ok(document)
        })
    }

    /// Whether the hub gives the caller the repository's files; the hub as the caller sees it.
    async fn accept(&self, repo: &RepoId, caller: &Caller, publicity: Publicity) -> Result<Hub, Refusal> {
        let is_gated = publicity == Publicity::Gated;
        let Some(token) = &caller.hub_token else {
            return Err(match publicity {
                Publicity::Gated => Refusal::gated(false),
                Publicity::Unknown => Refusal::unknown(format!(
                    "the hub cannot be asked whether everybody may read `{repo}`: \
                     name it in `server.shared-repos` or in the lockfile to serve it to all"
                )),
                _ => Refusal::no_repo(),
            });
        };
        let hub = self.inner.upstream.as_caller(token)?;
        let settings = &self.inner.settings;
        let key = format!("{repo}#{}", fingerprint(token));
        let ask = || {
            let (repo, hub) = (repo.clone(), hub.clone());
            self.ask(move || async move { hub.check_access(&repo).await })
        };
        let patience = Patience { first: settings.patience, newer: settings.patience };
        match self.inner.decisions.get(&key, patience, async { None }, ask).await {
            Ok(Kept { stale: None, .. }) => Ok(hub),
            Ok(Kept { since, stale: Some(why), .. }) => {
                if since.is_some_and(|since| since.elapsed() < settings.access_grace) {
                    Ok(hub)
                } else {
                    Err(why.into())
                }
            }
            Err(error) if is_gated && error.is_definite() => Err(Refusal::gated(true)),
            Err(error) => Err(error.into()),
        }
    }

    /// The files of a settled revision, sorted by path.
    pub(crate) async fn files(&self, settled: &Settled) -> Result<Arc<Vec<RemoteFile>>, Refusal> {
        let (repo, commit) = (&settled.repo, &settled.document.commit);
        let key = format!("{repo}@{commit}#{}", settled.audience);
        let patience = self.inner.settings.metadata_patience();
        let seed = async { None };
        let ask = || -> Ask<Arc<Vec<RemoteFile>>> {
            let (server, repo, commit, hub) = (self.clone(), repo.clone(), commit.clone(), settled.hub.clone());
            Box::pin(async move {
                if let Some(files) = disk::load_files(&server, &repo, &commit).await {
                    return Ok(Arc::new(files));
                }
                let asking = server.clone();
                let listed = asking.ask({
                    let (repo, commit) = (repo.clone(), commit.clone());
                    move || async move { hub.list(&repo, &commit).await }
                });
                match listed.await {
                    Ok(mut files) => {
                        files.iter_mut().for_each(|file| file.xet_hash = None);
                        let files = Arc::new(files);
                        disk::store_files(&server, &repo, &commit, &files).await;
                        Ok(files)
                    }
                    Err(error) => match disk::locked_files(&server, &repo, &commit) {
                        Some(files) if !error.is_definite() => Ok(Arc::new(files)),
                        _ => Err(error),
                    },
                }
            })
        };
        let kept = self.inner.listings.get(&key, patience, seed, ask).await?;
        Ok(kept.value)
    }

    /// A request to the hub, counted and limited; no request where none may be made.
    pub(crate) fn ask<T: Send + 'static, Work>(&self, work: impl FnOnce() -> Work + Send + 'static) -> Ask<T>
    where
        Work: Future<Output = Result<T, HubError>> + Send,
    {
        let server = self.clone();
        Box::pin(async move {
            if server.inner.settings.offline {
                return Err(Unanswered::Offline);
            }
            let _turn = server.inner.metadata_turns.acquire().await;
            let outcome = work().await;
            server.inner.metrics.upstream_request("metadata", outcome.as_ref().err());
            outcome.map_err(|error| {
                if error.is_transient() {
                    server.inner.log.problem("the hub cannot be asked", &error, error.hint());
                }
                Unanswered::Hub(Arc::new(error))
            })
        })
    }

    /// Whether everybody may read a repository's files, as far as is known for sure.
    pub(crate) async fn is_public(&self, repo: &RepoId, commit: &CommitHash) -> bool {
        if self.inner.settings.is_shared(repo) {
            return false;
        }
        let document = self.document(repo, &commit.clone().into(), self.inner.upstream.anonymous(), PUBLIC).await;
        document.is_ok_and(|document| document.stale.is_none() && document.value.publicity == Publicity::Public)
    }

    fn note_staleness<V>(&self, kept: &Kept<V>) {
        if let Some(why) = &kept.stale {
            self.inner.metrics.stale.inc_by(1);
            tracing::debug!(?why, "old metadata is served");
        }
    }
}

fn key_of(repo: &RepoId, revision: &Revision, audience: &str) -> String {
    format!("{repo}@{revision}#{audience}")
}

/// Whether the hub may say more to somebody with a token.
fn may_be_private(error: &HubError) -> bool {
    matches!(error, HubError::RepoNotFound { .. } | HubError::Unauthorized { .. } | HubError::Gated { .. })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(flags: Value, expected: Publicity) {
        let mut json = json!({"sha": "a".repeat(40)});
        if let (Some(json), Some(flags)) = (json.as_object_mut(), flags.as_object()) {
            json.extend(flags.clone());
        }
        assert_eq!(Document::read(json).expect("a document").publicity, expected, "{flags}");
    }

    #[test]
    fn a_document_says_who_may_read() {
        check(json!({}), Publicity::Public);
        check(json!({"gated": false, "private": false}), Publicity::Public);
        check(json!({"gated": "auto"}), Publicity::Gated);
        check(json!({"gated": "manual", "private": true}), Publicity::Private);
        assert_eq!(Document::read(json!({"sha": "main"})), None);
    }
}
