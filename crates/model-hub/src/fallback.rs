//! A source that is asked when another one does not answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use speech_flow_model_types::{CommitHash, RemoteFile, RepoId, Revision};

use crate::clock::Clock;
use crate::error::HubError;
use crate::source::{FileBody, FileRequest, RepoInfo, RepoRef, Source};

/// For how long the first source is left alone once it has not answered: a file has many ranges, and each would wait
/// for it anew.
const LEFT_ALONE: Duration = Duration::from_secs(30);

/// Asks the first source, and where that one does not answer, the second.
///
/// Only what can get better by itself counts as no answer: a refused connection, a timeout, a 5xx. A source that says
/// "not found" or "no access" has answered, and the second is not asked. What comes from the second is as little
/// trusted as what comes from the first: sizes and hashes are checked by the same callers.
pub struct Fallback {
    first: Named,
    second: Named,
    clock: Arc<dyn Clock>,
    left_alone_until: Mutex<Option<Duration>>,
}

/// A source, and how the log calls it.
pub struct Named {
    /// Its address without credentials.
    pub name: String,
    /// The source.
    pub source: Arc<dyn Source>,
}

impl Fallback {
    /// Asks `first`, then `second`.
    pub fn new(first: Named, second: Named, clock: Arc<dyn Clock>) -> Self {
        Self { first, second, clock, left_alone_until: Mutex::new(None) }
    }

    async fn ask<'a, T>(
        &'a self,
        what: &str,
        question: impl Fn(&'a dyn Source) -> BoxFuture<'a, Result<T, HubError>>,
    ) -> Result<T, HubError> {
        if self.is_left_alone() {
            return question(&*self.second.source).await;
        }
        match question(&*self.first.source).await {
            Err(error) if error.is_transient() => {
                tracing::warn!(
                    source = self.first.name,
                    next = self.second.name,
                    %error,
                    "{what} did not come from the first source: the next one is asked"
                );
                *self.lock() = Some(self.clock.monotonic() + LEFT_ALONE);
                question(&*self.second.source).await
            }
            answer => answer,
        }
    }

    fn is_left_alone(&self) -> bool {
        self.lock().is_some_and(|until| self.clock.monotonic() < until)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Duration>> {
        self.left_alone_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Fallback {
    fn resolve<'a>(&'a self, repo: &'a RepoId, revision: &'a Revision) -> BoxFuture<'a, Result<RepoInfo, HubError>> {
        Box::pin(self.ask("a commit", move |source| source.resolve(repo, revision)))
    }

    fn list<'a>(
        &'a self,
        repo: &'a RepoId,
        commit: &'a CommitHash,
    ) -> BoxFuture<'a, Result<Vec<RemoteFile>, HubError>> {
        Box::pin(self.ask("a list of files", move |source| source.list(repo, commit)))
    }

    fn open<'a>(&'a self, request: FileRequest<'a>) -> BoxFuture<'a, Result<FileBody, HubError>> {
        Box::pin(async move { self.ask("a file", |source| source.open(request.clone())).await })
    }

    fn refs<'a>(&'a self, repo: &'a RepoId) -> BoxFuture<'a, Result<Vec<RepoRef>, HubError>> {
        Box::pin(self.ask("a list of branches", move |source| source.refs(repo)))
    }

    fn check_access<'a>(&'a self, repo: &'a RepoId) -> BoxFuture<'a, Result<(), HubError>> {
        Box::pin(self.ask("access", move |source| source.check_access(repo)))
    }
}
