//! Settings of a hub and of a fetcher. Plain values: who reads the environment fills them in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use speech_flow_model_types::RetryPolicy;
use url::Url;

use crate::{Clock, NoProgress, Progress, RequestLimit, SafeUrl, Secret, SystemClock};

/// Where a hub is and how to speak to it.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Root of the hub, e.g. `https://huggingface.co`; a mirror may stand below a path.
    pub endpoint: Url,
    /// Token for the endpoint; no other origin ever gets it.
    pub token: Option<Secret>,
    /// Value of `User-Agent`.
    pub user_agent: String,
    /// Retries of metadata requests.
    pub retry: RetryPolicy,
    /// Longest wait for the answer to a metadata request, its body included.
    pub etag_timeout: Duration,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the head of a file's answer.
    pub read_timeout: Duration,
    /// Proxies.
    pub proxies: ProxyConfig,
    /// PEM bundle of certificates to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// How many requests a second the endpoint gets; shared by all hubs that are made with it.
    pub request_limit: Option<RequestLimit>,
    /// Tells the time and waits between retries.
    pub clock: Arc<dyn Clock>,
    /// Hears about waits between retries of metadata requests.
    pub progress: Arc<dyn Progress>,
}

impl HubConfig {
    /// The public hub's root.
    pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

    /// Default settings for a hub.
    pub fn new(endpoint: Url) -> Self {
        Self {
            endpoint,
            token: None,
            user_agent: concat!("speech-flow/", env!("CARGO_PKG_VERSION")).to_owned(),
            retry: RetryPolicy::default(),
            etag_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            proxies: ProxyConfig::default(),
            ca_file: None,
            request_limit: None,
            clock: Arc::new(SystemClock::new()),
            progress: Arc::new(NoProgress),
        }
    }
}

impl Default for HubConfig {
    fn default() -> Self {
        Self::new(Url::parse(Self::DEFAULT_ENDPOINT).expect("the constant above is a URL"))
    }
}

/// Proxies, as `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name them.
#[derive(Debug, Clone, Default)]
pub struct ProxyConfig {
    /// Proxy for `http` addresses.
    pub http: Option<SafeUrl>,
    /// Proxy for `https` addresses.
    pub https: Option<SafeUrl>,
    /// Proxy for addresses that have no proxy of their scheme.
    pub all: Option<SafeUrl>,
    /// Hosts, domains and networks that are reached without a proxy, separated by commas.
    pub no_proxy: Option<String>,
}

/// How files are fetched.
#[derive(Debug, Clone)]
pub struct FetchConfig {
    /// Connections of the whole process.
    pub lanes_total: usize,
    /// Connections of one file.
    pub lanes_per_file: usize,
    /// Bytes that one request asks for at most.
    pub segment_bytes: u64,
    /// Limit over all lanes, in bytes per second.
    pub rate_limit: Option<u64>,
    /// A lane that has received nothing for so long is connected anew.
    pub stall_timeout: Duration,
    /// Retries of each segment.
    pub retry: RetryPolicy,
    /// Tells the time and waits between retries and for the rate limit.
    pub clock: Arc<dyn Clock>,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            lanes_total: 8,
            lanes_per_file: 4,
            segment_bytes: 16 << 20,
            rate_limit: None,
            stall_timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            clock: Arc::new(SystemClock::new()),
        }
    }
}

/// Settings with which no hub can be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The endpoint cannot be the root of a hub.
    #[error("`{0}` is not the address of a hub: it takes `http://…` or `https://…` without a query")]
    Endpoint(SafeUrl),
    /// A proxy that cannot be used.
    #[error("`{0}` is not a proxy this program can use: it takes `http://host:port` or `https://host:port`")]
    Proxy(SafeUrl),
    /// The bundle of certificates cannot be read.
    #[error("cannot read the certificates in `{}`", path.display())]
    CaFile {
        /// The bundle.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The bundle has no certificate, or one that is none.
    #[error("`{}` holds no certificate that can be trusted", .0.display())]
    NoCertificate(PathBuf),
    /// A token or user agent that cannot stand in a header.
    #[error("the {0} holds characters that cannot stand in an HTTP header")]
    Header(&'static str),
    /// The HTTP client refuses the settings.
    #[error("cannot set up the HTTP client")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}
