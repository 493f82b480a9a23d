//! What all requests share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use speech_flow_model_cache::{Cache, Lease};
use speech_flow_model_hub::{FetchConfig, Fetcher, Hub, HubConfig, RequestLimit, Source};
use speech_flow_model_manager::lockfile::Lockfile;
use speech_flow_model_manager::{Config, ModelManager, fetch_config, hub_config};
use speech_flow_model_types::{CommitHash, ModelKind, RemoteFile, RepoId};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::Error;
use crate::flight::Flights;
use crate::jobs::Jobs;
use crate::locked::Locked;
use crate::log::ProblemLog;
use crate::metadata::Document;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::store::Trusted;
use crate::tier::{Tier, TieredSource};
use crate::turns::FetchTurns;
use crate::upstream::{Credentials, Upstream};

/// Metadata requests to the hub at once.
const METADATA_AT_ONCE: usize = 16;
/// Documents, listings and decisions that are kept in memory.
const MOST_KEPT: usize = 4096;
/// Documents that are handed on may be large.
const MOST_RAW: usize = 256;
/// Listings are large; those that are not kept are read from disk again.
const MOST_LISTINGS: usize = 256;
/// A commit's listing never changes.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
/// A lane of the hub that is silent for so long is connected anew: clients wait ten seconds.
const STALL: Duration = Duration::from_secs(8);
/// First delay between retries; clients wait meanwhile.
const RETRY_DELAY: Duration = Duration::from_millis(250);
const RETRIES: u32 = 6;

/// What a server is made of.
#[derive(Clone)]
pub struct Deps {
    /// The configuration: the hub, the limits.
    pub config: Config,
    /// How the server behaves; [`Settings::of`] the configuration.
    pub settings: Settings,
    /// The caches, and what fills them on request.
    pub manager: ModelManager,
    /// Models whose commits are settled.
    pub lockfile: Option<Lockfile>,
}

/// A running server. Clones are the same one.
#[derive(Clone)]
pub struct Server {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) config: Config,
    pub(crate) manager: ModelManager,
    /// Makes models ready without the server's own token.
    anonymous_manager: std::sync::OnceLock<ModelManager>,
    pub(crate) locked: Locked,
    /// Held while this server looks for updates.
    pub(crate) updating: tokio::sync::Mutex<()>,
    pub(crate) upstream: Upstream,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) fetcher: Fetcher,
    /// The object store behind this server, where there is one.
    pub(crate) tier: Option<Arc<Tier>>,
    pub(crate) documents: Shelf<Arc<Document>>,
    pub(crate) listings: Shelf<Arc<Vec<RemoteFile>>>,
    pub(crate) raw: Shelf<Arc<speech_flow_model_hub::RawDocument>>,
    pub(crate) decisions: Shelf<()>,
    pub(crate) metadata_turns: Semaphore,
    pub(crate) fetch_turns: FetchTurns,
    pub(crate) flights: Flights,
    pub(crate) trusted: Trusted,
    pub(crate) leases: Mutex<HashMap<(RepoId, CommitHash), std::sync::Weak<Lease>>>,
    pub(crate) jobs: Jobs,
    pub(crate) metrics: Metrics,
    pub(crate) log: ProblemLog,
    /// What this server writes down beside the caches.
    pub(crate) state_dir: PathBuf,
    /// Ends what runs without a client.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Set when no more requests should come.
    pub(crate) is_draining: std::sync::atomic::AtomicBool,
    pub(crate) started: jiff::Timestamp,
}

impl Server {
    /// Makes a server. Nothing is asked and nothing is written yet.
    ///
    /// # Errors
    /// [`Error::Hub`] and [`Error::Store`] for settings with which the hub or the object store cannot be reached.
    pub fn new(deps: Deps) -> Result<Self, Error> {
        let Deps { config, settings, manager, lockfile } = deps;
        let hub = hub_config(&config);
        let mut retry = hub.retry;
        (retry.max_retries, retry.base_delay) = (1, RETRY_DELAY);
        let request_limit = settings.request_limit.map(|limit| RequestLimit::new(limit, &*hub.clock));
        let hub = HubConfig { retry, etag_timeout: hub.etag_timeout.min(settings.patience), request_limit, ..hub };
        let upstream = Upstream::new(Hub::new(hub).map_err(Error::Hub)?).map_err(Error::Hub)?;
        let fetch = fetch_config(&config);
        let mut retry = fetch.retry;
        (retry.max_retries, retry.base_delay) = (RETRIES.max(retry.max_retries), RETRY_DELAY.min(retry.base_delay));
        let fetch = FetchConfig { retry, stall_timeout: STALL.min(fetch.stall_timeout), ..fetch };
        let credentials = Arc::new(Credentials::new(settings.offline));
        let tier = Tier::new(&config)?;
        let source: Arc<dyn Source> = match &tier {
            Some(tier) => Arc::new(TieredSource::new(Arc::clone(tier), Arc::<Credentials>::clone(&credentials))),
            None => Arc::<Credentials>::clone(&credentials),
        };
        let state_dir = config.cache.state_dir.join("server");
        Ok(Self {
            inner: Arc::new(Inner {
                fetcher: Fetcher::new(source, fetch),
                tier,
                credentials,
                upstream,
                documents: Shelf::new(settings.metadata_ttl, MOST_KEPT),
                listings: Shelf::new(FOREVER, MOST_LISTINGS),
                raw: Shelf::new(settings.metadata_ttl, MOST_RAW),
                decisions: Shelf::new(settings.access_ttl, MOST_KEPT),
                metadata_turns: Semaphore::new(METADATA_AT_ONCE),
                fetch_turns: FetchTurns::new(settings.fetches),
                flights: Flights::default(),
                trusted: Trusted::new(state_dir.join("verified")),
                leases: Mutex::default(),
                jobs: Jobs::default(),
                metrics: Metrics::new(known_models(&config, lockfile.as_ref())).map_err(Error::Metrics)?,
                log: ProblemLog::default(),
                state_dir,
                stop: CancellationToken::new(),
                tasks: TaskTracker::new(),
                is_draining: false.into(),
                started: jiff::Timestamp::now(),
                settings,
                anonymous_manager: std::sync::OnceLock::new(),
                locked: Locked::new(config.lockfile.value.clone(), lockfile),
                updating: tokio::sync::Mutex::default(),
                config,
                manager,
            }),
        })
    }

    /// The caches in which files are looked for.
    pub(crate) fn caches(&self) -> impl Iterator<Item = &Cache> {
        let (hub, whisper) = (self.inner.manager.hub_cache(), self.inner.manager.whisper_cache());
        // Both may be one folder, by configuration.
        let other = (hub.layout().root() != whisper.layout().root()).then_some(whisper);
        [hub].into_iter().chain(other)
    }

    /// The cache in which models of this kind are kept.
    pub(crate) fn cache_of(&self, kind: ModelKind) -> &Cache {
        match kind {
            ModelKind::Whisper => self.inner.manager.whisper_cache(),
            _ => self.inner.manager.hub_cache(),
        }
    }

    /// What makes a model of a repository ready: the server's own token is for those that the configuration names.
    pub(crate) fn manager_for(&self, repo: &RepoId) -> Result<ModelManager, speech_flow_model_manager::Error> {
        if self.inner.settings.is_shared(repo) {
            return Ok(self.inner.manager.clone());
        }
        if let Some(manager) = self.inner.anonymous_manager.get() {
            return Ok(manager.clone());
        }
        let mut config = self.inner.config.clone();
        config.hub.token.value = None;
        let manager = ModelManager::new(&config)?;
        Ok(self.inner.anonymous_manager.get_or_init(|| manager).clone())
    }

    /// Ends what runs without a client and waits for it. What has arrived of downloads is kept.
    ///
    /// # Cancel safety
    /// Dropping it leaves the work to end by itself.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Says that a model is in use for as long as the answer lives. `None` where the volume cannot be told.
    pub(crate) fn lease(&self, cache: &Cache, repo: &RepoId, commit: &CommitHash) -> Option<Arc<Lease>> {
        let key = (repo.clone(), commit.clone());
        let mut leases = self.inner.leases.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(lease) = leases.get(&key).and_then(std::sync::Weak::upgrade) {
            return Some(lease);
        }
        leases.retain(|_, lease| lease.strong_count() > 0);
        let lease = Arc::new(cache.lease(repo, commit).ok()?);
        leases.insert(key, Arc::downgrade(&lease));
        Some(lease)
    }
}

/// Repositories that have a metric of their own.
fn known_models(config: &Config, lockfile: Option<&Lockfile>) -> Vec<String> {
    let configured = [config.whisper_model().spec, config.lid_model().spec];
    let configured = configured.into_iter().filter_map(|spec| match spec.source {
        speech_flow_model_types::ModelSource::Hub { repo, .. } => Some(repo.to_string()),
        speech_flow_model_types::ModelSource::Folder(_) => None,
    });
    let locked = lockfile.into_iter().flat_map(|lockfile| lockfile.models()).map(|model| model.repo().to_string());
    let mut known: Vec<String> = configured.chain(locked).collect();
    known.sort();
    known.dedup();
    known
}
