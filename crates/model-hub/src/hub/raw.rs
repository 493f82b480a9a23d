//! Documents of the API as the hub sends them: for a mirror, which hands them on.

use serde_json::Value;
use speech_flow_model_types::{RepoId, Revision};

use super::Hub;
use super::answers::Asked;
use crate::HubError;

/// Largest document that is handed on.
const MAX_DOCUMENT: usize = 16 << 20;

/// A document of the API. Which path it has is the caller's knowledge; what it is about decides on errors.
#[derive(Debug, Clone)]
pub struct RawRequest<'a> {
    /// The repository that it is about; without one it is about the account.
    pub repo: Option<&'a RepoId>,
    /// The revision that it is about.
    pub revision: Option<&'a Revision>,
    /// The path below `/api/models/{repo}`, or below `/api`; each segment is escaped.
    pub path: &'a [&'a str],
    /// The query, escaped.
    pub query: Option<&'a str>,
}

/// What a hub answered.
#[derive(Debug, Clone, PartialEq)]
pub struct RawDocument {
    /// The JSON.
    pub json: Value,
    /// The query of the next page, where the hub names one.
    pub next_query: Option<String>,
}

impl Hub {
    /// Gets a document as it is. Its content is not checked, only that it is JSON of bounded length.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    ///
    /// # Errors
    /// [`HubError`] when the hub cannot be reached, refuses, or does not answer as a hub.
    pub async fn raw(&self, request: RawRequest<'_>) -> Result<RawDocument, HubError> {
        let mut url = match request.repo {
            Some(repo) => self.api_url(repo, request.path),
            None => self.url(["api"].into_iter().chain(request.path.iter().copied())),
        };
        url.set_query(request.query);
        let asked = match (request.repo, request.revision) {
            (Some(repo), Some(revision)) => Asked::Revision(repo, revision),
            (Some(repo), None) => Asked::Repo(repo),
            (None, _) => Asked::Account,
        };
        let document = self.document(&url, asked, MAX_DOCUMENT).await?;
        let next = document.next.as_deref().and_then(|link| crate::headers::next_page(&document.url, link));
        let next_query = next.and_then(|next| next.query().map(str::to_owned));
        Ok(RawDocument { json: document.json()?, next_query })
    }
}
