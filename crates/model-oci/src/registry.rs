//! The registry's HTTP protocol: requests with retries, logins and our own rules for redirects.
//!
//! Source: the OCI distribution specification 1.1.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, LOCATION};
use reqwest::{Client, Method, Response};
use speech_flow_model_hub::{HubConfig, RequestId, http_client, is_untrusted};
use speech_flow_model_types::retry::{Backoff, Failure, Retry};
use speech_flow_model_types::retry_after::server_delay;
use url::Url;

use crate::credentials::Credentials;
use crate::error::{Answer, Fault, OciError};
use crate::reference::Reference;

mod login;
mod manifest;
mod upload;

use login::Login;

/// Docker's own registry answers under another name than the one that references have.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");
/// Most redirects in a row.
const MAX_REDIRECTS: usize = 5;
/// Longest document of an error that is read.
const MAX_ERROR_BYTES: usize = 16 << 10;
/// Longest part of a registry's message that is shown.
const MAX_MESSAGE: usize = 300;
/// A body that goes slower than this is given up, in bytes per second.
const SLOWEST: u64 = 32 << 10;

/// What a request may do in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Pull,
    /// Read and write.
    Push,
}

/// How a registry is reached.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// Proxies, certificates, time limits, retries; its endpoint and token are not used.
    pub http: HubConfig,
    /// Whether plain HTTP is spoken to a registry that is not on this machine.
    pub plain_http: bool,
    /// How we log in.
    pub credentials: Credentials,
    /// What is done there.
    pub access: Access,
}

/// One repository of a registry.
#[derive(Debug)]
pub struct Registry {
    client: Client,
    config: RegistryConfig,
    reference: Reference,
    root: Url,
    login: Mutex<Option<Login>>,
}

/// An answer, and the request that it answers.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) response: Response,
    pub(crate) url: Url,
    pub(crate) request_id: RequestId,
    after: Duration,
}

/// A request that may be sent more than once.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
}

impl Request {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None }
    }
}

impl Registry {
    /// Sets up connections to an artifact's registry. One on this machine is asked over TLS first, and spoken to
    /// without it where it has none, as other clients do.
    ///
    /// # Errors
    /// [`OciError::Setup`] names the setting that cannot be used.
    pub async fn connect(reference: &Reference, config: RegistryConfig) -> Result<Self, OciError> {
        let host = if reference.host() == DOCKER_HUB.0 { DOCKER_HUB.1 } else { reference.host() };
        let root = |scheme| Url::parse(&format!("{scheme}://{host}/")).expect("a reference's host makes an address");
        let client = http_client(&config.http)?;
        let scheme = if config.plain_http { "http" } else { "https" };
        let (reference, login) = (reference.clone(), Mutex::new(None));
        let mut registry = Self { client, config, root: root(scheme), reference, login };
        if registry.reference.is_loopback() && !registry.config.plain_http && !registry.speaks_tls().await {
            registry.root = root("http");
        }
        Ok(registry)
    }

    async fn speaks_tls(&self) -> bool {
        let mut url = self.root.clone();
        url.set_path("/v2/");
        // A certificate that is not trusted is a registry with TLS all the same.
        !matches!(self.send_once(&Request::new(Method::GET, url)).await, Err(OciError::Network { .. }))
    }

    /// The artifact that was asked for.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// An address of the repository.
    pub(crate) fn url(&self, kind: &str, what: &str) -> Url {
        let mut url = self.root.clone();
        url.set_path(&format!("/v2/{}/{kind}/{what}", self.reference.name()));
        url
    }

    /// Whether an address is the registry's own, and so may get a login.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.root.origin()
    }

    /// Sends a request; logs in where the registry asks for it; follows redirects of reads.
    pub(crate) async fn send(&self, request: Request) -> Result<Exchange, OciError> {
        let mut request = request;
        let mut redirects = 0;
        let mut has_logged_in = false;
        loop {
            let exchange = self.send_once(&request).await?;
            let status = exchange.response.status().as_u16();
            if status == 401 && !has_logged_in && self.is_own(&request.url) {
                has_logged_in = true;
                if self.log_in(&exchange).await? {
                    continue;
                }
            }
            let is_read = matches!(request.method, Method::GET | Method::HEAD);
            if !is_read || !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return Ok(exchange);
            }
            redirects += 1;
            request.url = target(&exchange)
                .filter(|_| redirects <= MAX_REDIRECTS)
                .ok_or_else(|| exchange.fault(Fault::Redirect))?;
        }
    }

    async fn send_once(&self, request: &Request) -> Result<Exchange, OciError> {
        let request_id = RequestId::random();
        let length = request.body.as_ref().map_or(0, Bytes::len) as u64;
        let after = self.config.http.read_timeout + slowest(length);
        let mut builder = self
            .client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .header("x-request-id", request_id.to_string());
        if self.is_own(&request.url)
            && let Some(login) = self.present_login()
        {
            builder = builder.header(reqwest::header::AUTHORIZATION, login);
        }
        builder = match &request.body {
            Some(body) => builder.body(body.clone()),
            // Without it some servers wait for a body.
            None if request.method == Method::POST => builder.header(CONTENT_LENGTH, 0),
            None => builder,
        };
        let url = request.url.clone();
        match tokio::time::timeout(after, builder.send()).await {
            Ok(Ok(response)) => {
                tracing::debug!(status = response.status().as_u16(), %request_id, "a registry answered");
                Ok(Exchange { response, url, request_id, after })
            }
            Ok(Err(error)) => Err(network_error(error, url, request_id)),
            Err(_) => Err(OciError::Timeout { url: url.into(), request_id, after }),
        }
    }

    /// Repeats what may succeed later.
    pub(crate) async fn retrying<T, F: Future<Output = Result<T, OciError>>>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, OciError> {
        let mut backoff = Backoff::new(self.config.http.retry);
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => {
                    let failure = error.failure();
                    self.wait_or_give_up(error, failure, &mut backoff).await?;
                }
            }
        }
    }

    /// Waits as the policy says, or gives the error back when it is final.
    pub(crate) async fn wait_or_give_up(
        &self,
        error: OciError,
        failure: Failure,
        backoff: &mut Backoff,
    ) -> Result<(), OciError> {
        match backoff.failed(failure, rand::random()) {
            Retry::GiveUp => Err(error),
            Retry::After(delay) => {
                tracing::debug!(%error, attempt = backoff.failures(), "a request is repeated after a wait");
                self.config.http.progress.waiting(&error.reason(), delay);
                self.config.http.clock.sleep(delay).await;
                Ok(())
            }
        }
    }

    /// The error that an answer without success stands for.
    pub(crate) async fn error_of(&self, exchange: Exchange, what: impl Into<String>) -> OciError {
        let status = exchange.response.status().as_u16();
        let date = self.config.http.clock.date();
        let retry_after = server_delay(exchange.header("retry-after"), exchange.header("ratelimit"), date);
        let (url, request_id, is_own) = (exchange.url.clone(), exchange.request_id, self.is_own(&exchange.url));
        let body = exchange.read_bounded(MAX_ERROR_BYTES).await.unwrap_or_default();
        let source = Box::new(Answer { url: url.into(), status, message: message_of(&body), request_id });
        let what = what.into();
        match status {
            429 => OciError::RateLimited { retry_after, source },
            408 | 500..=599 => OciError::Server { retry_after, source },
            // A signed address of a storage runs out of time; the registry gives a new one.
            _ if !is_own => OciError::Server { retry_after, source },
            401 | 403 => {
                let (sent, helper) = match &self.config.credentials {
                    Credentials::Anonymous { helper } => (false, helper.clone()),
                    Credentials::Login { .. } => (true, None),
                };
                OciError::Unauthorized { what, sent, helper, source }
            }
            404 | 410 => OciError::NotFound { what, source },
            _ => OciError::Refused { what, source },
        }
    }
}

impl Exchange {
    /// A header's value, when it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The error for an answer that breaks the protocol.
    pub(crate) fn fault(&self, fault: Fault) -> OciError {
        OciError::Protocol { url: self.url.clone().into(), request_id: self.request_id, fault }
    }

    /// Reads a whole body of bounded length.
    pub(crate) async fn read_bounded(self, most: usize) -> Result<Vec<u8>, OciError> {
        let too_large = self.fault(Fault::TooLarge(most));
        if self.response.content_length().is_some_and(|length| length > most as u64) {
            return Err(too_large);
        }
        let Self { response, url, request_id, after } = self;
        let after = after + slowest(most as u64);
        let read = async {
            let mut body = Vec::new();
            let mut chunks = response.bytes_stream();
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(|error| network_error(error, url.clone(), request_id))?;
                if body.len() + chunk.len() > most {
                    return Err(too_large);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(body)
        };
        let late = || OciError::Timeout { url: url.clone().into(), request_id, after };
        tokio::time::timeout(after, read).await.unwrap_or_else(|_| Err(late()))
    }
}

/// How long so many bytes may take.
fn slowest(bytes: u64) -> Duration {
    Duration::from_secs(bytes / SLOWEST)
}

/// Where a redirect leads, when it is followed: never out of encryption.
fn target(exchange: &Exchange) -> Option<Url> {
    let location = exchange.response.headers().get(LOCATION)?.to_str().ok()?;
    let target = exchange.url.join(location).ok()?;
    let followed = matches!((exchange.url.scheme(), target.scheme()), (_, "https") | ("http", "http"));
    (followed && target.has_host()).then_some(target)
}

/// The first code and message of a registry's errors.
fn message_of(body: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let first = document.get("errors")?.get(0)?;
    let text = |name| first.get(name).and_then(serde_json::Value::as_str);
    let words: Vec<&str> = [text("code"), text("message")].into_iter().flatten().collect();
    let message = words.join(": ");
    (!message.is_empty()).then(|| message.chars().take(MAX_MESSAGE).collect())
}

/// Wraps the client's error. Its own idea of the address is dropped: it would show the query.
pub(crate) fn network_error(error: reqwest::Error, url: Url, request_id: RequestId) -> OciError {
    let untrusted = is_untrusted(&error);
    let (url, source) = (url.into(), error.without_url().into());
    if untrusted {
        OciError::Untrusted { url, request_id, source }
    } else {
        OciError::Network { url, request_id, source }
    }
}
