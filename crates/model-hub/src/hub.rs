//! The source that speaks the Hub's HTTP protocol: huggingface.co, its mirrors, and the demo hub.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::header::HeaderMap;
use speech_flow_model_types::retry::Backoff;
use speech_flow_model_types::{CommitHash, RemoteFile, RepoId, Revision};
use url::Url;

use crate::redirects::{self, Follow};
use crate::retrying::wait_or_give_up;
use crate::transport::{Deadline, Transport};
use crate::{ConfigError, FileBody, FileRequest, HubConfig, HubError, RepoInfo, RepoRef, Secret, Source};

mod account;
mod answers;
mod info;
mod links;
pub mod listing;
mod open;
pub mod raw;
mod refs;

use answers::Asked;
use links::Links;

/// A hub. Clones share connections.
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: HubConfig,
    transport: Transport,
    links: Links,
}

impl Hub {
    /// Sets up connections to a hub. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting that cannot be used.
    pub fn new(config: HubConfig) -> Result<Self, ConfigError> {
        let transport = Transport::new(&config)?;
        Ok(Self { shared: Arc::new(Shared { config, transport, links: Links::default() }) })
    }

    /// The same hub for another account, over the same connections. What this one learned of signed addresses
    /// is not shared: they are for its own account.
    ///
    /// # Errors
    /// [`ConfigError::Header`] for a token that cannot stand in a header.
    pub fn with_token(&self, token: Option<Secret>) -> Result<Self, ConfigError> {
        let transport = self.shared.transport.with_token(token.as_ref())?;
        let config = HubConfig { token, ..self.shared.config.clone() };
        Ok(Self { shared: Arc::new(Shared { config, transport, links: Links::default() }) })
    }

    /// The hub's root.
    pub fn endpoint(&self) -> &Url {
        self.shared.transport.endpoint()
    }

    /// An address below the endpoint; every segment is escaped on its own.
    fn url<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.endpoint().clone();
        url.path_segments_mut()
            .expect("`Transport::new` takes only addresses with a host")
            .pop_if_empty()
            .extend(segments);
        url
    }

    /// `/api/models/{repo}/…`
    fn api_url<'a>(&self, repo: &'a RepoId, segments: &[&'a str]) -> Url {
        let prefix = ["api", "models"].into_iter();
        self.url(prefix.chain(repo.as_str().split('/')).chain(segments.iter().copied()))
    }

    /// Gets a small document, with retries. The answer's head comes with it.
    async fn document(&self, url: &Url, asked: Asked<'_>, most: usize) -> Result<Document, HubError> {
        self.retrying(|| async {
            let transport = &self.shared.transport;
            let deadline = Deadline::after(self.shared.config.etag_timeout);
            let headers = HeaderMap::new();
            let exchange =
                redirects::get(transport, url.clone(), headers, Follow::Metadata, deadline, |_| Ok(())).await?;
            if !exchange.response.status().is_success() {
                return Err(self.error_of(&exchange, asked));
            }
            let next = exchange.header("link").and_then(crate::headers::parse_next_link).map(str::to_owned);
            let (url, request_id) = (exchange.url.clone(), exchange.request_id);
            let body = exchange.read_bounded(most).await?;
            Ok(Document { body, next, url, request_id })
        })
        .await
    }

    async fn retrying<T, F: Future<Output = Result<T, HubError>>>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, HubError> {
        let config = &self.shared.config;
        let mut backoff = Backoff::new(config.retry);
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                // Whoever asked is told when to come back; waiting on would only make the line longer.
                Err(error @ HubError::OwnLimit { .. }) => return Err(error),
                Err(error) => wait_or_give_up(error, &mut backoff, &*config.clock, &*config.progress).await?,
            }
        }
    }
}

/// A document and where it came from.
struct Document {
    body: Vec<u8>,
    /// Address of the next page, as the server wrote it.
    next: Option<String>,
    url: Url,
    request_id: crate::RequestId,
}

impl Document {
    fn fault(&self, source: crate::ProtocolFault) -> HubError {
        HubError::Protocol { url: self.url.clone().into(), request_id: self.request_id, source }
    }

    fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, HubError> {
        if crate::unexpected::looks_like_html(&self.body) {
            return Err(self.fault(crate::ProtocolFault::HtmlPage));
        }
        serde_json::from_slice(&self.body).map_err(|error| self.fault(crate::ProtocolFault::Json(error)))
    }
}

impl Source for Hub {
    fn resolve<'a>(&'a self, repo: &'a RepoId, revision: &'a Revision) -> BoxFuture<'a, Result<RepoInfo, HubError>> {
        Box::pin(self.resolve_revision(repo, revision))
    }

    fn list<'a>(
        &'a self,
        repo: &'a RepoId,
        commit: &'a CommitHash,
    ) -> BoxFuture<'a, Result<Vec<RemoteFile>, HubError>> {
        Box::pin(self.list_files(repo, commit))
    }

    fn open<'a>(&'a self, request: FileRequest<'a>) -> BoxFuture<'a, Result<FileBody, HubError>> {
        Box::pin(async move { self.open_range(&request).await })
    }

    fn refs<'a>(&'a self, repo: &'a RepoId) -> BoxFuture<'a, Result<Vec<RepoRef>, HubError>> {
        Box::pin(self.list_refs(repo))
    }

    fn check_access<'a>(&'a self, repo: &'a RepoId) -> BoxFuture<'a, Result<(), HubError>> {
        Box::pin(self.ask_access(repo))
    }
}
