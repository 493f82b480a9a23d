//! One HTTP/1.1 connection pool with our rules: no hidden redirects, no environment, no compression.
//!
//! HTTP/2 is not compiled in: it would put all lanes on one TCP connection.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Client, NoProxy, Proxy, Response, redirect};
use tokio::time::Instant;
use url::Url;

use crate::{
    Clock, ConfigError, HubConfig, HubError, ProtocolFault, ProxyConfig, RequestId, RequestLimit, SafeUrl, Secret, tls,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Most headers of an answer; their bytes are bounded by hyper's read buffer, about 400 KiB.
const MAX_HEADERS: usize = 100;

/// Sends requests.
#[derive(Debug)]
pub(crate) struct Transport {
    client: Client,
    endpoint: Url,
    authorization: Option<HeaderValue>,
    limit: Option<(RequestLimit, Arc<dyn Clock>)>,
}

/// An answer, and the request it answers.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) response: Response,
    pub(crate) url: Url,
    pub(crate) request_id: RequestId,
    pub(crate) deadline: Deadline,
}

/// Until when an answer must be here, over all redirects on the way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    after: Duration,
}

impl Deadline {
    pub(crate) fn after(after: Duration) -> Self {
        Self { at: Instant::now() + after, after }
    }

    /// Waits for a part of the answer; the error says to which request it belongs.
    pub(crate) async fn limit<T>(
        self,
        part: impl Future<Output = T>,
        url: &Url,
        request_id: RequestId,
    ) -> Result<T, HubError> {
        tokio::time::timeout_at(self.at, part).await.map_err(|_| {
            let what = format!("the answer of `{}` (request `{request_id}`)", SafeUrl::from(url.clone()));
            HubError::Timeout { what, after: self.after }
        })
    }
}

impl Transport {
    pub(crate) fn new(config: &HubConfig) -> Result<Self, ConfigError> {
        let endpoint = checked_endpoint(&config.endpoint)?;
        let authorization = authorization(config.token.as_ref())?;
        let client = http_client(config)?;
        let limit = config.request_limit.clone().map(|limit| (limit, Arc::clone(&config.clock)));
        Ok(Self { client, endpoint, authorization, limit })
    }

    /// The same connections for another account.
    pub(crate) fn with_token(&self, token: Option<&Secret>) -> Result<Self, ConfigError> {
        let authorization = authorization(token)?;
        let (client, endpoint, limit) = (self.client.clone(), self.endpoint.clone(), self.limit.clone());
        Ok(Self { client, endpoint, authorization, limit })
    }

    /// The hub's root, without a slash at its end.
    pub(crate) fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// Whether a token is sent to the endpoint.
    pub(crate) fn has_token(&self) -> bool {
        self.authorization.is_some()
    }

    /// Whether an address belongs to the endpoint, and so may get the token.
    pub(crate) fn is_endpoint(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin()
    }

    /// Sends one GET and waits for the head of the answer. Redirects are answers like any other.
    pub(crate) async fn get(&self, url: Url, headers: HeaderMap, deadline: Deadline) -> Result<Exchange, HubError> {
        let request_id = RequestId::random();
        if let Some((limit, clock)) = self.limit.as_ref().filter(|_| self.is_endpoint(&url)) {
            limit.turn(&**clock).await?;
        }
        let mut request = self.client.get(url.clone()).headers(headers).header(REQUEST_ID, request_id.to_string());
        if let Some(authorization) = self.authorization.as_ref().filter(|_| self.is_endpoint(&url)) {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        match deadline.limit(request.send(), &url, request_id).await? {
            Ok(response) => {
                let status = response.status().as_u16();
                tracing::debug!(status, %request_id, "a request was answered");
                Ok(Exchange { response, url, request_id, deadline })
            }
            Err(error) => Err(network_error(error, url, request_id)),
        }
    }
}

impl Exchange {
    /// A header's value, when it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The error for an answer that breaks the protocol.
    pub(crate) fn fault(&self, source: ProtocolFault) -> HubError {
        HubError::Protocol { url: self.url.clone().into(), request_id: self.request_id, source }
    }

    /// Reads a whole body of bounded length.
    pub(crate) async fn read_bounded(mut self, most: usize) -> Result<Vec<u8>, HubError> {
        if self.response.content_length().is_some_and(|length| length > most as u64) {
            return Err(self.fault(ProtocolFault::TooLarge(most)));
        }
        let mut body = Vec::new();
        loop {
            match self.deadline.limit(self.response.chunk(), &self.url, self.request_id).await? {
                Ok(None) => return Ok(body),
                Ok(Some(chunk)) if body.len() + chunk.len() > most => {
                    return Err(self.fault(ProtocolFault::TooLarge(most)));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Err(error) => return Err(network_error(error, self.url, self.request_id)),
            }
        }
    }
}

/// Wraps the client's error. Its own idea of the address is dropped: it would show the query.
pub(crate) fn network_error(error: reqwest::Error, url: Url, request_id: RequestId) -> HubError {
    let untrusted = is_untrusted(&error);
    let (url, source) = (url.into(), error.without_url().into());
    if untrusted {
        HubError::Untrusted { url, request_id, source }
    } else {
        HubError::Network { url, request_id, source }
    }
}

/// Whether a request failed because the server's certificate was refused. An [`io::Error`] hides what it wraps from `source`.
pub fn is_untrusted(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}

/// Connections with the proxies, certificates and time limits of a configuration, also for a server that is no
/// hub. They follow no redirect, and no request gets a token.
///
/// # Errors
/// [`ConfigError`] names the setting that cannot be used.
pub fn http_client(config: &HubConfig) -> Result<Client, ConfigError> {
    let mut headers = HeaderMap::new();
    let user_agent = HeaderValue::from_str(&config.user_agent).map_err(|_| ConfigError::Header("user agent"))?;
    headers.insert(USER_AGENT, user_agent);
    // Lengths and ranges count the bytes of the file itself.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls::client_config(config.ca_file.as_deref())?)
        .http1_only()
        .http1_max_headers(MAX_HEADERS)
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .default_headers(headers)
        .connect_timeout(config.connect_timeout)
        .tcp_keepalive(Duration::from_secs(60))
        // Also turns off reqwest's own look at the environment.
        .no_proxy();
    for proxy in proxies(&config.proxies)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| ConfigError::Client(error.into()))
}

fn authorization(token: Option<&Secret>) -> Result<Option<HeaderValue>, ConfigError> {
    let Some(token) = token else { return Ok(None) };
    let mut value =
        HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| ConfigError::Header("token"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn checked_endpoint(endpoint: &Url) -> Result<Url, ConfigError> {
    let usable = matches!(endpoint.scheme(), "http" | "https")
        && endpoint.has_host()
        && endpoint.query().is_none()
        && endpoint.fragment().is_none();
    if !usable {
        return Err(ConfigError::Endpoint(endpoint.clone().into()));
    }
    Ok(endpoint.clone())
}

/// The proxies in the order in which reqwest asks them: the scheme's own before the one for all.
fn proxies(config: &ProxyConfig) -> Result<Vec<Proxy>, ConfigError> {
    type Make = fn(Url) -> reqwest::Result<Proxy>;
    let rules: [(&Option<SafeUrl>, Make); 3] =
        [(&config.http, Proxy::http), (&config.https, Proxy::https), (&config.all, Proxy::all)];
    let mut proxies = Vec::new();
    for (url, make) in rules {
        let Some(url) = url else { continue };
        if !matches!(url.expose().scheme(), "http" | "https") || !url.expose().has_host() {
            return Err(ConfigError::Proxy(url.clone()));
        }
        let proxy = make(url.expose().clone()).map_err(|_| ConfigError::Proxy(url.clone()))?;
        proxies.push(proxy.no_proxy(config.no_proxy.as_deref().and_then(NoProxy::from_string)));
    }
    Ok(proxies)
}
