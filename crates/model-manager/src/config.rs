//! The configuration: flag over environment over `speech-flow.toml` over default, each value with its origin.
//!
//! **Invariant:** merging is pure. [`Config::load`] gets the environment, the files' text and facts about the
//! machine as values; [`read()`] is the one place that looks at the disk, and it is handed the environment by
//! the binary's `main`.
//!
//! Every setting is declared once, in the module `options`; the reference page is generated from there.

mod contradictions;
mod error;
mod expand;
mod file;
mod layers;
mod listen;
mod models;
mod options;
mod origin;
mod read;
mod reference;
mod registry;
mod server;
mod store;
mod values;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use speech_flow_model_types::{ByteSize, ModelSpec, Revision};
use url::Url;

pub use contradictions::{Contradiction, contradictions};
pub use error::ConfigError;
pub use layers::{ConfigSources, Flag, Row, SystemFacts};
pub use listen::TlsSettings;
pub use models::{ConfiguredModel, Role};
pub use options::{DECLARATIONS, Declaration};
pub use origin::{Origin, Setting};
pub use read::{machine_facts, read};
pub use reference::reference_markdown;
pub use registry::RegistrySettings;
pub use server::ServerSettings;
pub use speech_flow_model_hub::Secret;
pub use store::StoreSettings;
pub use values::{ComputeType, Device, EncoderWindow, LogFormat, UpdatePolicy, VerifyAtStart, without_credentials};
pub use worker::{EngineSettings, VadSettings, WorkerSettings};

use layers::{Layers, Reach};
use options::Declared;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where models are kept.
    pub cache: CacheSettings,
    /// The Hub and how it is asked.
    pub hub: HubSettings,
    /// How files are fetched.
    pub download: DownloadSettings,
    /// Proxies and certificates.
    pub network: NetworkSettings,
    /// The Whisper model.
    pub whisper: WhisperSettings,
    /// The language identification model.
    pub lid: LidSettings,
    /// The voice activity detection model.
    pub vad: VadSettings,
    /// The inference engine.
    pub engine: EngineSettings,
    /// How a worker is reached, and its limits.
    pub worker: WorkerSettings,
    /// The cache server.
    pub server: ServerSettings,
    /// Registries of artifacts.
    pub registry: RegistrySettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// The lockfile.
    pub lockfile: Setting<PathBuf>,
    /// The configuration files that were read, the strongest first.
    pub files: Vec<PathBuf>,
    /// What the machine is like.
    pub facts: SystemFacts,
    extra: Vec<ConfiguredModel>,
    rows: Vec<Row>,
    seen: Vec<contradictions::Seen>,
}

/// Where models are kept.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// Base of all caches.
    pub dir: Setting<PathBuf>,
    /// Hugging Face home.
    pub hf_home: Setting<PathBuf>,
    /// Cache of every model but Whisper.
    pub hub: Setting<PathBuf>,
    /// Cache of Whisper models.
    pub whisper: Setting<PathBuf>,
    /// What is ours alone: leases, journals, quarantine, usage.
    pub state_dir: PathBuf,
    /// Where readers of a read-only cache leave their leases.
    pub lease_dir: Setting<Option<PathBuf>>,
    /// How long `gc` keeps what is new where readers can leave no lease.
    pub grace_period: Setting<Duration>,
    /// Whether plain files are written even where symlinks work.
    pub disable_symlinks: Setting<bool>,
}

/// The Hub and how it is asked.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// The Hub, or a mirror of it; no slash at the end of its path.
    pub endpoint: Setting<Url>,
    /// What is asked when it does not answer.
    pub fallback_endpoint: Setting<Option<Url>>,
    /// The token that is sent, when there is one and sending is not switched off.
    pub token: Setting<Option<Secret>>,
    /// Files that may hold the token, the first that exists counts.
    pub token_files: Vec<PathBuf>,
    /// Why the token file that exists could not be used.
    pub token_file_problem: Option<String>,
    /// Whether no token is sent at all.
    pub disable_implicit_token: Setting<bool>,
    /// Whether no request is made.
    pub offline: Setting<bool>,
    /// How long a request about a model or file may take.
    pub etag_timeout: Setting<Duration>,
}

/// How files are fetched.
#[derive(Debug, Clone)]
pub struct DownloadSettings {
    /// Retries without progress in between.
    pub max_retries: Setting<u32>,
    /// Wait before the first retry.
    pub retry_delay: Setting<Duration>,
    /// How long a connection may bring no byte.
    pub stall_timeout: Setting<Duration>,
    /// Connections at once, over all files.
    pub lanes: Setting<u32>,
    /// Connections at once for one file.
    pub lanes_per_file: Setting<u32>,
    /// Bytes of one request.
    pub segment_size: Setting<ByteSize>,
    /// Bytes a second for the whole process.
    pub rate_limit: Setting<Option<ByteSize>>,
}

/// Proxies and certificates.
#[derive(Debug, Clone)]
pub struct NetworkSettings {
    /// Proxy for `http` addresses.
    pub http_proxy: Setting<Option<Url>>,
    /// Proxy for `https` addresses.
    pub https_proxy: Setting<Option<Url>>,
    /// Proxy where neither of the two is set.
    pub all_proxy: Setting<Option<Url>>,
    /// What is reached without a proxy.
    pub no_proxy: Setting<Vec<String>>,
    /// PEM file with the certificate authorities to trust.
    pub ca_file: Setting<Option<PathBuf>>,
}

/// The Whisper model.
#[derive(Debug, Clone)]
pub struct WhisperSettings {
    /// The model as named, without the revision below.
    pub model: Setting<ModelSpec>,
    /// The revision for a name without one of its own.
    pub revision: Setting<Revision>,
    /// Where it runs.
    pub device: Setting<Device>,
    /// What it computes in.
    pub compute_type: Setting<ComputeType>,
}

/// The language identification model.
#[derive(Debug, Clone)]
pub struct LidSettings {
    /// The model as named, without the revision below.
    pub model: Setting<ModelSpec>,
    /// The revision for a name without one of its own.
    pub revision: Setting<Revision>,
    /// Where it runs.
    pub device: Setting<Device>,
    /// What it computes in.
    pub compute_type: Setting<ComputeType>,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A level or a filter of `tracing`.
    pub filter: Setting<String>,
    /// How lines look.
    pub format: Setting<LogFormat>,
}

/// The Hub's address when nobody sets another.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
/// The base of all caches on a worker with a model volume.
pub(crate) const MODELS_DIR: &str = "/models";
const DEFAULT_ETAG_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_STALL_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_RETRY_DELAY: Duration = Duration::from_secs(5);
const DEFAULT_GRACE_PERIOD: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_SEGMENT: ByteSize = ByteSize(16 << 20);

impl Config {
    /// Merges the layers.
    ///
    /// The token's file is not read here; see [`Config::with_token_file`].
    ///
    /// # Errors
    /// [`ConfigError`] for the first value that its setting does not take, an unknown key of a file, or no
    /// place for the cache.
    pub fn load(sources: &ConfigSources<'_>) -> Result<Self, ConfigError> {
        let files = sources.files.iter().map(|(path, text)| file::parse(path, text)).collect::<Result<_, _>>()?;
        let mut layers = Layers { sources, files, rows: Vec::new() };
        layers.optional(&options::CONFIG_FILE)?;
        let cache = load_cache(&mut layers)?;
        let hub = load_hub(&mut layers, &cache)?;
        let config = Self {
            download: load_download(&mut layers)?,
            network: load_network(&mut layers)?,
            whisper: load_whisper(&mut layers)?,
            lid: load_lid(&mut layers)?,
            vad: worker::load_vad(&mut layers)?,
            engine: worker::load_engine(&mut layers)?,
            worker: worker::load_worker(&mut layers)?,
            server: server::load_server(&mut layers)?,
            registry: registry::load_registry(&mut layers)?,
            log: load_log(&mut layers)?,
            lockfile: layers.setting(&options::LOCKFILE, || Ok(sources.facts.current_dir.join("speech-flow.lock")))?,
            files: sources.files.iter().map(|(path, _)| path.clone()).collect(),
            facts: sources.facts.clone(),
            extra: models::extra(&layers)?,
            seen: contradictions::seen(sources.env),
            rows: in_order_of_declaration(layers.rows),
            cache,
            hub,
        };
        Ok(config)
    }

    /// Every setting with its value and origin, in the order of the reference page.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The configuration with a token that a file held, unless the environment already gave one or sending
    /// is switched off.
    pub fn with_token_file(mut self, path: PathBuf, text: &str) -> Self {
        if self.hub.token.is_some() || *self.hub.disable_implicit_token {
            return self;
        }
        match values::secret(text, &Layers::nowhere()) {
            Ok(token) => {
                let origin = Origin::File { path, line: None };
                if let Some(row) = self.rows.iter_mut().find(|row| row.key == options::TOKEN.declaration.key) {
                    row.value = values::Shown::shown(&token);
                    row.origin = origin.clone();
                }
                self.hub.token = Setting { value: token, origin };
            }
            Err(_) => self.hub.token_file_problem = Some(format!("`{}` holds no token", path.display())),
        }
        self
    }
}

fn load_cache(layers: &mut Layers<'_>) -> Result<CacheSettings, ConfigError> {
    let facts = &layers.sources.facts;
    let dir = layers.setting(&options::CACHE_DIR, || default_cache_dir(facts))?;
    // `--cache-dir` asks for a cache in that folder; a variable must not send the models elsewhere.
    let reach = if matches!(dir.origin, Origin::Flag(_)) { Reach::FlagsOnly } else { Reach::All };
    let hf_home = layers.setting_within(&options::HF_HOME, reach, || Ok(dir.join("huggingface")))?;
    let hub = layers.setting_within(&options::HUB_CACHE, reach, || Ok(hf_home.join("hub")))?;
    let whisper = layers.setting_within(&options::WHISPER_CACHE, reach, || Ok(dir.join("whisper")))?;
    Ok(CacheSettings {
        state_dir: dir.join(".speech-flow"),
        lease_dir: layers.optional(&options::LEASE_DIR)?,
        grace_period: layers.setting(&options::GRACE_PERIOD, || Ok(DEFAULT_GRACE_PERIOD))?,
        disable_symlinks: layers.setting(&options::DISABLE_SYMLINKS, || Ok(false))?,
        dir,
        hf_home,
        hub,
        whisper,
    })
}

fn default_cache_dir(facts: &SystemFacts) -> Result<PathBuf, ConfigError> {
    if facts.models_dir_exists {
        return Ok(PathBuf::from(MODELS_DIR));
    }
    facts.cache_home.as_ref().map(|home| home.join("speech-flow")).ok_or(ConfigError::NoCacheDir)
}

fn load_hub(layers: &mut Layers<'_>, cache: &CacheSettings) -> Result<HubSettings, ConfigError> {
    let sources = layers.sources;
    let disable_implicit_token = layers.setting(&options::DISABLE_IMPLICIT_TOKEN, || Ok(false))?;
    let mut token = layers.setting(&options::TOKEN, || Ok(None))?;
    if *disable_implicit_token {
        token.value = None;
    }
    // Where the user's token is does not depend on where `--cache-dir` puts this run's models.
    let token_home = layers.find(&options::HF_HOME, Reach::All)?;
    let home = token_home.as_ref().map_or_else(|| cache.hf_home.to_path_buf(), |home| home.to_path_buf());
    let token_path = layers.setting(&options::TOKEN_PATH, || Ok(home.join("token")))?;
    let mut token_files = vec![token_path.to_path_buf()];
    if !token_path.origin.is_explicit() && token_home.is_none() {
        // Our Hugging Face home is not the Python client's; `hf auth login` left the token in that one.
        token_files.extend(sources.facts.cache_home.iter().map(|cache| cache.join("huggingface").join("token")));
    }
    Ok(HubSettings {
        endpoint: layers.setting(&options::ENDPOINT, || {
            Ok(Url::parse(DEFAULT_ENDPOINT).expect("the constant above is an address"))
        })?,
        fallback_endpoint: layers.optional(&options::FALLBACK_ENDPOINT)?,
        token,
        token_files,
        token_file_problem: None,
        disable_implicit_token,
        offline: layers.setting(&options::OFFLINE, || Ok(false))?,
        etag_timeout: layers
            .setting(&options::ETAG_TIMEOUT, || Ok(Some(DEFAULT_ETAG_TIMEOUT)))?
            .map(|timeout| timeout.unwrap_or(DEFAULT_ETAG_TIMEOUT)),
    })
}

fn load_download(layers: &mut Layers<'_>) -> Result<DownloadSettings, ConfigError> {
    Ok(DownloadSettings {
        max_retries: layers.setting(&options::MAX_RETRIES, || Ok(3))?,
        retry_delay: layers.setting(&options::RETRY_DELAY, || Ok(DEFAULT_RETRY_DELAY))?,
        stall_timeout: layers
            .setting(&options::STALL_TIMEOUT, || Ok(Some(DEFAULT_STALL_TIMEOUT)))?
            .map(|timeout| timeout.unwrap_or(DEFAULT_STALL_TIMEOUT)),
        lanes: layers.setting(&options::LANES, || Ok(8))?,
        lanes_per_file: layers.setting(&options::LANES_PER_FILE, || Ok(4))?,
        segment_size: layers.setting(&options::SEGMENT, || Ok(DEFAULT_SEGMENT))?,
        rate_limit: layers.setting(&options::RATE_LIMIT, || Ok(None))?,
    })
}

fn load_network(layers: &mut Layers<'_>) -> Result<NetworkSettings, ConfigError> {
    Ok(NetworkSettings {
        http_proxy: layers.optional(&options::HTTP_PROXY)?,
        https_proxy: layers.optional(&options::HTTPS_PROXY)?,
        all_proxy: layers.optional(&options::ALL_PROXY)?,
        no_proxy: layers.setting(&options::NO_PROXY, || Ok(Vec::new()))?,
        ca_file: layers.optional(&options::CA_FILE)?,
    })
}

fn load_whisper(layers: &mut Layers<'_>) -> Result<WhisperSettings, ConfigError> {
    let (device, on_cuda) = load_device(layers, &options::WHISPER_DEVICE)?;
    let compute_type = if on_cuda { ComputeType::Float16 } else { ComputeType::Int8 };
    Ok(WhisperSettings {
        model: layers.setting(&options::WHISPER_MODEL, || Ok(models::default_spec("large-v3")))?,
        revision: layers.setting(&options::WHISPER_REVISION, || Ok(Revision::main()))?,
        device,
        compute_type: layers.setting(&options::WHISPER_COMPUTE_TYPE, || Ok(compute_type))?,
    })
}

fn load_lid(layers: &mut Layers<'_>) -> Result<LidSettings, ConfigError> {
    let (device, on_cuda) = load_device(layers, &options::LID_DEVICE)?;
    let compute_type = if on_cuda { ComputeType::Float16 } else { ComputeType::Float32 };
    Ok(LidSettings {
        device,
        compute_type: layers.setting(&options::LID_COMPUTE_TYPE, || Ok(compute_type))?,
        model: layers.setting(&options::LID_MODEL, || Ok(models::default_spec("facebook/mms-lid-126")))?,
        revision: layers.setting(&options::LID_REVISION, || Ok(Revision::main()))?,
    })
}

/// The device that is asked for, and whether it is a GPU as far as one can tell here.
fn load_device(layers: &mut Layers<'_>, declared: &Declared<Device>) -> Result<(Setting<Device>, bool), ConfigError> {
    let cuda_usable = layers.sources.facts.cuda_usable;
    let device = layers.setting(declared, || Ok(if cuda_usable { Device::Cuda } else { Device::Cpu }))?;
    let on_cuda = *device == Device::Cuda || *device == Device::Auto && cuda_usable;
    Ok((device, on_cuda))
}

fn load_log(layers: &mut Layers<'_>) -> Result<LogSettings, ConfigError> {
    Ok(LogSettings {
        filter: layers.setting(&options::LOG, || Ok("warn".to_owned()))?,
        format: layers.setting(&options::LOG_FORMAT, || Ok(LogFormat::Text))?,
    })
}

fn in_order_of_declaration(mut rows: Vec<Row>) -> Vec<Row> {
    let place = |key: &str| DECLARATIONS.iter().position(|declaration| declaration.key == key);
    rows.sort_by_key(|row| place(row.key));
    rows
}

#[cfg(test)]
mod tests;
