//! The hub behind this server, seen with different tokens.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use speech_flow_model_hub::{FileBody, FileRequest, Hub, HubError, RepoInfo, RepoRef, Secret, Source};
use speech_flow_model_types::{CommitHash, RemoteFile, RepoId, Revision};

use crate::answer::Refusal;

/// The hub as this server reaches it. One set of connections serves all tokens.
#[derive(Debug)]
pub(crate) struct Upstream {
    anonymous: Hub,
    own: Hub,
}

impl Upstream {
    /// `own` has the server's own token, where there is one.
    pub(crate) fn new(own: Hub) -> Result<Self, speech_flow_model_hub::ConfigError> {
        Ok(Self { anonymous: own.with_token(None)?, own })
    }

    /// Without a token.
    pub(crate) fn anonymous(&self) -> &Hub {
        &self.anonymous
    }

    /// With the server's own token: for repositories that the configuration names, and no others.
    pub(crate) fn own(&self) -> &Hub {
        &self.own
    }

    /// With a caller's token.
    pub(crate) fn as_caller(&self, token: &Secret) -> Result<Hub, Refusal> {
        self.anonymous
            .with_token(Some(token.clone()))
            .map_err(|error| Refusal::new(axum::http::StatusCode::BAD_REQUEST, error.to_string()))
    }
}

/// Gives each fetch the hub that may read its repository, so that all share one fetcher and its lanes.
#[derive(Debug)]
pub(crate) struct Credentials {
    is_offline: bool,
    hubs: Mutex<HashMap<RepoId, Hub>>,
}

impl Credentials {
    /// Offline there is no hub for any.
    pub(crate) fn new(is_offline: bool) -> Self {
        Self { is_offline, hubs: Mutex::default() }
    }

    /// From now on the repository is read through this hub.
    pub(crate) fn set(&self, repo: &RepoId, hub: Hub) {
        self.hubs.lock().unwrap_or_else(PoisonError::into_inner).insert(repo.clone(), hub);
    }

    /// The repository is read no more.
    pub(crate) fn remove(&self, repo: &RepoId) {
        self.hubs.lock().unwrap_or_else(PoisonError::into_inner).remove(repo);
    }

    fn find(&self, repo: &RepoId) -> Result<Hub, HubError> {
        if self.is_offline {
            return Err(HubError::Offline);
        }
        let hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        hubs.get(repo).cloned().ok_or(HubError::Cancelled)
    }
}

impl Source for Credentials {
    fn resolve<'a>(&'a self, repo: &'a RepoId, revision: &'a Revision) -> BoxFuture<'a, Result<RepoInfo, HubError>> {
        Box::pin(async move { self.find(repo)?.resolve(repo, revision).await })
    }

    fn list<'a>(
        &'a self,
        repo: &'a RepoId,
        commit: &'a CommitHash,
    ) -> BoxFuture<'a, Result<Vec<RemoteFile>, HubError>> {
        Box::pin(async move { self.find(repo)?.list(repo, commit).await })
    }

    fn open<'a>(&'a self, request: FileRequest<'a>) -> BoxFuture<'a, Result<FileBody, HubError>> {
        Box::pin(async move { self.find(request.repo)?.open(request).await })
    }

    fn refs<'a>(&'a self, repo: &'a RepoId) -> BoxFuture<'a, Result<Vec<RepoRef>, HubError>> {
        Box::pin(async move { self.find(repo)?.refs(repo).await })
    }

    fn check_access<'a>(&'a self, repo: &'a RepoId) -> BoxFuture<'a, Result<(), HubError>> {
        Box::pin(async move { self.find(repo)?.check_access(repo).await })
    }
}
