//! The one way in: from a model's name to a folder that an engine can load.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use speech_flow_model_cache::{Cache, CacheConfig, Symlinks, WriteBudget};
use speech_flow_model_hub::{
    Fallback, FetchConfig, Fetcher, Hub, HubConfig, Named, ProxyConfig, SafeUrl, Source, SystemClock,
};
use speech_flow_model_types::{ModelKind, ModelSpec, RetryPolicy};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::{Config, without_credentials};
use crate::error::Error;
use crate::events::{Events, Silent};
use crate::lockfile::Lockfile;
use crate::model::Model;
use crate::single_flight::SingleFlight;

/// Makes models ready. Clones are cheap and share connections, limits and turns.
///
/// Making one touches neither disk nor network: the first stage that needs them does.
#[derive(Clone)]
pub struct ModelManager {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) whisper: Cache,
    pub(crate) hub_cache: Cache,
    pub(crate) flights: SingleFlight<String>,
    network: OnceLock<Network>,
    /// Where models come from in place of the configured hub, by name.
    elsewhere: Option<String>,
}

/// What a download needs; made when the first request is, since trust stores take time to read.
pub(crate) struct Network {
    pub(crate) hub: Arc<dyn Source>,
    pub(crate) fetcher: Fetcher,
}

/// How [`ModelManager::ensure_with`] goes about it.
#[derive(Clone)]
pub struct EnsureOptions {
    /// Make no request, even where the configuration allows them.
    pub offline: bool,
    /// Hash every file, also those that passed before and have not changed since; corrupt ones are fetched again.
    /// Not on a read-only cache, where nothing can be mended: there [`ModelManager::verify`] says what is wrong.
    pub recheck: bool,
    /// Write down what was asked for where nobody did: something else than this call brought the files, for it.
    pub adopt: bool,
    /// The lockfile whose commits are used.
    pub lock: Option<LockChoice>,
    /// Hears of what happens.
    pub events: Arc<dyn Events>,
    /// Ends the work; what has arrived is kept.
    pub cancel: CancellationToken,
}

/// A lockfile and how strictly it is followed.
#[derive(Debug, Clone)]
pub struct LockChoice {
    /// The locked models.
    pub lockfile: Lockfile,
    /// Whether a model that it does not name is refused.
    pub strict: bool,
}

impl Default for EnsureOptions {
    fn default() -> Self {
        Self {
            offline: false,
            recheck: false,
            adopt: false,
            lock: None,
            events: Arc::new(Silent),
            cancel: CancellationToken::new(),
        }
    }
}

static GLOBAL: OnceLock<ModelManager> = OnceLock::new();

impl ModelManager {
    /// A manager with its own limits. A process that needs one takes [`ModelManager::global`].
    ///
    /// # Errors
    /// [`Error::Cache`] when something other than a folder stands where a cache should be.
    pub fn new(config: &Config) -> Result<Self, Error> {
        Self::of(config, OnceLock::new(), None)
    }

    /// A manager that fetches from a source in place of the configured hub; records say its name.
    ///
    /// # Errors
    /// As [`ModelManager::new`].
    pub fn with_source(config: &Config, source: Arc<dyn Source>, name: String) -> Result<Self, Error> {
        let network = OnceLock::from(Network::from_source(source, config));
        Self::of(config, network, Some(name))
    }

    fn of(config: &Config, network: OnceLock<Network>, elsewhere: Option<String>) -> Result<Self, Error> {
        let budget = WriteBudget::default();
        let cache = |root: &Path| Cache::open(cache_config(config, root, budget.clone()));
        Ok(Self {
            inner: Arc::new(Inner {
                whisper: cache(&config.cache.whisper.value)?,
                hub_cache: cache(&config.cache.hub.value)?,
                flights: SingleFlight::new(),
                network,
                elsewhere,
                config: config.clone(),
            }),
        })
    }

    /// The manager of this process; the first call makes it, and later ones ignore their argument.
    ///
    /// # Errors
    /// As [`ModelManager::new`].
    pub fn global(config: &Config) -> Result<&'static Self, Error> {
        if let Some(manager) = GLOBAL.get() {
            return Ok(manager);
        }
        let manager = Self::new(config)?;
        Ok(GLOBAL.get_or_init(|| manager))
    }

    /// Makes the model ready: on disk, verified, validated. The easy path.
    ///
    /// # Errors
    /// [`Error`] says what was tried and what to do.
    ///
    /// # Cancel safety
    /// May be dropped at any time; what has arrived is kept and the next call goes on from there.
    pub async fn ensure(&self, spec: &ModelSpec) -> Result<Model, Error> {
        self.ensure_with(spec, &EnsureOptions::default()).await
    }

    /// The caches in which a model of this kind may be, the likelier first.
    pub(crate) fn caches_for(&self, kind: Option<ModelKind>) -> Vec<&Cache> {
        let Inner { whisper, hub_cache, .. } = &*self.inner;
        let mut caches = match kind {
            Some(ModelKind::Whisper) => vec![whisper],
            Some(_) => vec![hub_cache],
            None => vec![hub_cache, whisper],
        };
        // Both may be one folder, by configuration.
        caches.dedup_by(|a, b| a.layout().root() == b.layout().root());
        caches
    }

    /// The cache in which a model of this kind is kept.
    pub(crate) fn cache_of(&self, kind: ModelKind) -> &Cache {
        match kind {
            ModelKind::Whisper => &self.inner.whisper,
            _ => &self.inner.hub_cache,
        }
    }

    /// Both caches, each folder once.
    pub(crate) fn all_caches(&self) -> Vec<&Cache> {
        let mut caches = vec![&self.inner.whisper, &self.inner.hub_cache];
        caches.dedup_by(|a, b| a.layout().root() == b.layout().root());
        caches
    }

    /// The cache of Whisper models.
    pub fn whisper_cache(&self) -> &Cache {
        &self.inner.whisper
    }

    /// The cache of all other models.
    pub fn hub_cache(&self) -> &Cache {
        &self.inner.hub_cache
    }

    /// The hub's address without credentials, or the name of the source in its place.
    pub(crate) fn source_name(&self) -> String {
        let elsewhere = self.inner.elsewhere.clone();
        elsewhere.unwrap_or_else(|| without_credentials(&self.inner.config.hub.endpoint.value))
    }

    /// Whether models come from the configured hub.
    pub(crate) fn asks_hub(&self) -> bool {
        self.inner.elsewhere.is_none()
    }

    /// Whether no request may be made.
    pub(crate) fn is_offline(&self, options: &EnsureOptions) -> bool {
        options.offline || self.inner.config.hub.offline.value
    }

    /// The hub and the fetcher, made at the first call.
    pub(crate) fn network(&self) -> Result<&Network, Error> {
        if let Some(network) = self.inner.network.get() {
            return Ok(network);
        }
        let network = Network::new(&self.inner.config)?;
        Ok(self.inner.network.get_or_init(|| network))
    }
}

impl Network {
    fn new(config: &Config) -> Result<Self, Error> {
        let first: Arc<dyn Source> = Arc::new(Hub::new(hub_config(config))?);
        let hub: Arc<dyn Source> = match &config.hub.fallback_endpoint.value {
            None => first,
            Some(endpoint) => {
                let second = HubConfig { endpoint: endpoint.clone(), ..hub_config(config) };
                let second: Arc<dyn Source> = Arc::new(Hub::new(second)?);
                let named = |endpoint: &Url, source| Named { name: without_credentials(endpoint), source };
                let (first, second) = (named(&config.hub.endpoint.value, first), named(endpoint, second));
                Arc::new(Fallback::new(first, second, Arc::new(SystemClock::new())))
            }
        };
        Ok(Self::from_source(hub, config))
    }

    fn from_source(hub: Arc<dyn Source>, config: &Config) -> Self {
        Self { fetcher: Fetcher::new(Arc::clone(&hub), fetch_config(config)), hub }
    }
}

fn retry_policy(config: &Config) -> RetryPolicy {
    RetryPolicy {
        max_retries: config.download.max_retries.value,
        base_delay: config.download.retry_delay.value,
        ..RetryPolicy::default()
    }
}

/// How the configuration has the hub be asked.
pub fn hub_config(config: &Config) -> HubConfig {
    HubConfig {
        token: config.hub.token.value.clone(),
        retry: retry_policy(config),
        etag_timeout: config.hub.etag_timeout.value,
        proxies: ProxyConfig {
            http: config.network.http_proxy.value.clone().map(SafeUrl::from),
            https: config.network.https_proxy.value.clone().map(SafeUrl::from),
            all: config.network.all_proxy.value.clone().map(SafeUrl::from),
            no_proxy: Some(config.network.no_proxy.value.join(",")).filter(|hosts| !hosts.is_empty()),
        },
        ca_file: config.network.ca_file.value.clone(),
        read_timeout: config.download.stall_timeout.value,
        ..HubConfig::new(config.hub.endpoint.value.clone())
    }
}

/// How the configuration has files be fetched.
pub fn fetch_config(config: &Config) -> FetchConfig {
    FetchConfig {
        retry: retry_policy(config),
        lanes_total: config.download.lanes.value as usize,
        lanes_per_file: config.download.lanes_per_file.value as usize,
        segment_bytes: config.download.segment_size.value.0,
        rate_limit: config.download.rate_limit.value.map(|limit| limit.0),
        stall_timeout: config.download.stall_timeout.value,
        ..FetchConfig::default()
    }
}

fn cache_config(config: &Config, root: &Path, write_budget: WriteBudget) -> CacheConfig {
    CacheConfig {
        symlinks: if config.cache.disable_symlinks.value { Symlinks::Never } else { Symlinks::Auto },
        segment_bytes: config.download.segment_size.value.0,
        lease_dir: config.cache.lease_dir.value.clone(),
        write_budget,
        ..CacheConfig::new(root, &config.cache.state_dir)
    }
}
