//! The engine is opened and the model loaded.

use std::path::PathBuf;
use std::sync::Arc;

use speech_flow_model_manager::config::{Config, Device as AskedDevice, VerifyAtStart};
use speech_flow_model_manager::{Model, ModelManager, PreparedPlace};
use speech_flow_speech_engine::ctranslate2::{ComputeType, Device, Library, ModelConfig};
use speech_flow_speech_engine::lid::LidModel;
use speech_flow_speech_engine::prepared::Prepared;
use speech_flow_speech_engine::whisper::WhisperModel;

use crate::Kind;
use crate::engine::lid::LidEngine;
use crate::engine::whisper::WhisperEngine;
use crate::error::Error;
use crate::http::error::Chain;
use crate::model::ModelInfo;
use crate::schedule::{Pool, PoolConfig, PoolEvents};
use crate::serving::Loaded;
use crate::threads;

/// All that is needed to load a model, so that it can be done on another thread.
pub(super) struct Plan {
    kind: Kind,
    model: Model,
    /// Where prepared weights may be.
    prepared: Option<PreparedPlace>,
    /// Whether they are hashed first.
    is_verified: bool,
    library: Option<PathBuf>,
    device: AskedDevice,
    compute_type: String,
    threads: Option<usize>,
    replicas: usize,
    max_batch: usize,
}

/// A model that is loaded, and what the engine made of it.
pub(super) struct Ready {
    pub(super) info: ModelInfo,
    pub(super) loaded: Loaded,
}

impl Plan {
    pub(super) fn new(kind: Kind, config: &Config, manager: &ModelManager, model: &Model) -> Self {
        let (device, compute_type) = match kind {
            Kind::Whisper => (*config.whisper.device, *config.whisper.compute_type),
            Kind::Lid => (*config.lid.device, *config.lid.compute_type),
        };
        Self {
            kind,
            model: model.clone(),
            prepared: manager.prepared_place(model, compute_type.as_str()),
            is_verified: *config.worker.verify == VerifyAtStart::Full,
            library: config.engine.root.value.clone(),
            device,
            compute_type: compute_type.as_str().to_owned(),
            threads: config.worker.threads.map(|threads| threads as usize),
            replicas: *config.worker.replicas as usize,
            max_batch: *config.worker.max_batch as usize,
        }
    }

    /// Loads the model. Blocks for as long as that takes.
    pub(super) fn load(self, events: Arc<dyn PoolEvents>) -> Result<Ready, Error> {
        let library = Library::open(self.library.as_deref()).map_err(no_engine)?;
        let (device, compute_type) = self.place(&library)?;
        let replicas = match device {
            Device::Cpu => threads::replicas(self.replicas),
            _ => self.replicas,
        };
        let intra_threads = threads::for_each_replica(replicas, self.threads);
        let config = ModelConfig { device, compute_type, intra_threads, replicas };
        let pool = PoolConfig { replicas, max_batch: self.max_batch };
        tracing::info!(device = %device, threads = intra_threads, replicas, "the model is loaded");
        match self.kind {
            Kind::Lid => {
                let loaded = LidModel::load(&self.model.path, &library, &config);
                let model = loaded.map_err(|source| self.failed(source))?;
                let info = ModelInfo::new(&self.model, model.compute_type().name(), model.device().to_string());
                Ok(Ready { info, loaded: Loaded::Lid(Box::new(LidEngine::new(model, events))) })
            }
            Kind::Whisper => {
                let model = self.load_whisper(&library, &config)?;
                let info = ModelInfo::new(&self.model, model.compute_type().name(), model.device().to_string());
                let pool = Pool::start(WhisperEngine::new(model), pool, events);
                Ok(Ready { info, loaded: Loaded::Whisper(pool.map_err(no_threads)?) })
            }
        }
    }

    /// Loads prepared weights where there are some for this model, else the model's own.
    fn load_whisper(&self, library: &Arc<Library>, config: &ModelConfig) -> Result<WhisperModel, Error> {
        if let Some(prepared) = self.prepared()
            && let Some(config) = prepared.config(config)
        {
            match WhisperModel::load_with(&self.model.path, &prepared.files(&self.model.path), library, &config) {
                Ok(model) => return Ok(model),
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the prepared weights do not load: the model's own do")
                }
            }
        }
        WhisperModel::load(&self.model.path, library, config).map_err(|source| self.failed(source))
    }

    /// The prepared weights of this model, in the asked number format.
    fn prepared(&self) -> Option<Prepared> {
        let place = self.prepared.as_ref()?;
        let found = match Prepared::of(&place.folder, &place.source_digest) {
            Ok(found) => found?,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "the prepared weights cannot be read: the model's own are loaded");
                return None;
            }
        };
        if self.is_verified
            && let Err(error) = found.verify()
        {
            tracing::warn!(error = %Chain(&error), "the prepared weights are damaged: the model's own are loaded");
            return None;
        }
        Some(found)
    }

    /// Where the model runs and in which number format. `auto` takes the GPU where there is one, and says so where
    /// there is none.
    fn place(&self, library: &Library) -> Result<(Device, ComputeType), Error> {
        let asked = self.compute_type.parse().unwrap_or(ComputeType::Default);
        match self.device {
            AskedDevice::Cpu => Ok((Device::Cpu, asked)),
            AskedDevice::Cuda => Ok((Device::Cuda(0), asked)),
            AskedDevice::Auto if library.cuda_device_count() > 0 => Ok((Device::Cuda(0), asked)),
            AskedDevice::Auto => {
                tracing::warn!("no GPU is usable: the model runs on the processor");
                let possible = library.supported_compute_types(Device::Cpu).map_err(no_engine)?;
                let usable = possible.contains(&asked) || matches!(asked, ComputeType::Default | ComputeType::Auto);
                Ok((Device::Cpu, if usable { asked } else { ComputeType::Int8 }))
            }
        }
    }

    fn failed(&self, source: speech_flow_speech_engine::error::Error) -> Error {
        let (model, folder) = (self.model.name.clone(), self.model.path.clone());
        Error::Engine { model, folder, step: "load", source: Box::new(source) }
    }
}

fn no_engine(source: speech_flow_speech_engine::ctranslate2::Error) -> Error {
    Error::Library(Box::new(source))
}

fn no_threads(source: std::io::Error) -> Error {
    Error::System { what: "start the engine's threads", source }
}
