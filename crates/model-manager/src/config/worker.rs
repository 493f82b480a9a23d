//! What the workers take from the configuration: the engine, the limits, the way they are reached.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use speech_flow_model_hub::Secret;
use speech_flow_model_types::{ByteSize, ModelKind, ModelSpec};

use super::layers::Layers;
use super::listen::{DEFAULT_KEEP_ALIVE, TlsSettings, worker_tls};
use super::origin::Setting;
use super::values::{EncoderWindow, VerifyAtStart};
use super::{Config, ConfigError, options};

/// The voice activity detection model.
#[derive(Debug, Clone)]
pub struct VadSettings {
    /// The model as named; without one, the weights that come with the program.
    pub model: Setting<Option<ModelSpec>>,
}

/// The inference engine.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Folder of the engine's libraries, in place of those that come with the program.
    pub root: Setting<Option<PathBuf>>,
}

/// How a worker is reached, and its limits.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Where it listens.
    pub listen: Setting<SocketAddr>,
    /// Its certificate, where it speaks TLS.
    pub tls: TlsSettings,
    /// Connections at once.
    pub max_connections: Setting<u32>,
    /// How long a connection may stay open without a request.
    pub keep_alive: Setting<Duration>,
    /// The key that callers must send, when one is set.
    pub api_key: Setting<Option<Secret>>,
    /// Largest upload.
    pub max_upload: Setting<ByteSize>,
    /// Longest audio of one request.
    pub max_duration: Setting<Duration>,
    /// Audio that may wait or be worked on; more is refused.
    pub queue: Setting<Duration>,
    /// Requests that may wait or be worked on; more are refused.
    pub max_requests: Setting<u32>,
    /// How long one request may take.
    pub deadline: Setting<Duration>,
    /// Windows of one batch.
    pub max_batch: Setting<u32>,
    /// How much of the encoder's window is filled where a request does not say.
    pub encoder_window: Setting<EncoderWindow>,
    /// Threads of each replica; as many as the processor limit allows when `None`.
    pub threads: Setting<Option<u32>>,
    /// Copies of the model that work at the same time.
    pub replicas: Setting<u32>,
    /// How long one call of the engine may take before the worker says that it is stuck.
    pub stuck_after: Setting<Duration>,
    /// How closely the model is looked at when the worker starts.
    pub verify: Setting<VerifyAtStart>,
    /// Where uploads are kept while they are worked on.
    pub temp_dir: Setting<PathBuf>,
}

impl Config {
    /// The voice activity detection model, where one is configured.
    pub fn vad_model(&self) -> Option<ModelSpec> {
        self.vad.model.value.clone().map(|spec| spec.of_kind(ModelKind::Other))
    }
}

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
const DEFAULT_MAX_UPLOAD: ByteSize = ByteSize(2 << 30);
const DEFAULT_MAX_DURATION: Duration = Duration::from_secs(4 * 3600);
const DEFAULT_QUEUE: Duration = Duration::from_secs(2 * 3600);
const DEFAULT_DEADLINE: Duration = Duration::from_secs(3600);
const DEFAULT_STUCK_AFTER: Duration = Duration::from_secs(600);

pub(super) fn load_vad(layers: &mut Layers<'_>) -> Result<VadSettings, ConfigError> {
    Ok(VadSettings { model: layers.optional(&options::VAD_MODEL)? })
}

pub(super) fn load_engine(layers: &mut Layers<'_>) -> Result<EngineSettings, ConfigError> {
    Ok(EngineSettings { root: layers.optional(&options::ENGINE_ROOT)? })
}

pub(super) fn load_worker(layers: &mut Layers<'_>) -> Result<WorkerSettings, ConfigError> {
    Ok(WorkerSettings {
        listen: layers.setting(&options::WORKER_LISTEN, || Ok(DEFAULT_LISTEN))?,
        tls: worker_tls(layers)?,
        max_connections: layers.setting(&options::WORKER_CONNECTIONS, || Ok(1024))?,
        keep_alive: layers.setting(&options::WORKER_KEEP_ALIVE, || Ok(DEFAULT_KEEP_ALIVE))?,
        api_key: layers.setting(&options::WORKER_API_KEY, || Ok(None))?,
        max_upload: layers.setting(&options::WORKER_MAX_UPLOAD, || Ok(DEFAULT_MAX_UPLOAD))?,
        max_duration: layers.setting(&options::WORKER_MAX_DURATION, || Ok(DEFAULT_MAX_DURATION))?,
        queue: layers.setting(&options::WORKER_QUEUE, || Ok(DEFAULT_QUEUE))?,
        max_requests: layers.setting(&options::WORKER_MAX_REQUESTS, || Ok(64))?,
        deadline: layers.setting(&options::WORKER_DEADLINE, || Ok(DEFAULT_DEADLINE))?,
        max_batch: layers.setting(&options::WORKER_MAX_BATCH, || Ok(8))?,
        encoder_window: layers.setting(&options::WORKER_ENCODER_WINDOW, || Ok(EncoderWindow::Full))?,
        threads: layers.optional(&options::WORKER_THREADS)?,
        replicas: layers.setting(&options::WORKER_REPLICAS, || Ok(1))?,
        stuck_after: layers.setting(&options::WORKER_STUCK_AFTER, || Ok(DEFAULT_STUCK_AFTER))?,
        verify: layers.setting(&options::WORKER_VERIFY, || Ok(VerifyAtStart::Quick))?,
        temp_dir: layers.setting(&options::WORKER_TEMP_DIR, || Ok(PathBuf::from("/tmp")))?,
    })
}
