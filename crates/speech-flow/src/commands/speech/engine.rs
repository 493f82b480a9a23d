//! The engine, as the configuration wants it: opened once, with the threads that this process may use.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

use speech_flow_model_manager::config::{ComputeType, Config, Device, Setting};
use speech_flow_speech_engine::audio::Audio;
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::ctranslate2::{self, Library, ModelConfig};
use speech_flow_speech_engine::lid::{Identification, IdentifyOptions, LidModel};
use speech_flow_speech_engine::vad::SileroVad;
use speech_flow_speech_engine::whisper::{
    Event, Models, TranscribeOptions, TranscriptionInfo, WhisperModel, transcribe, transcribe_batched,
};

use super::Ready;
use crate::report::Failure;

/// What is asked of the engine.
pub(crate) struct Setup {
    root: Option<PathBuf>,
    device: Device,
    compute_type: ComputeType,
    threads: usize,
}

impl Setup {
    /// Reads it from the configuration; device and compute type are those of one kind of model.
    pub(crate) fn new(config: &Config, device: &Setting<Device>, compute_type: &Setting<ComputeType>) -> Self {
        // What the control group and the processors that this process is bound to leave.
        let limit = std::thread::available_parallelism().map_or(1, NonZero::get);
        let asked = config.worker.threads.value.map(|threads| threads as usize);
        Self {
            root: config.engine.root.value.clone(),
            device: device.value,
            compute_type: compute_type.value,
            threads: asked.unwrap_or(limit).clamp(1, limit),
        }
    }

    /// Opens the engine, and says how a model is loaded.
    pub(crate) fn open(&self) -> Result<(Arc<Library>, ModelConfig), Failure> {
        let library = Library::open(self.root.as_deref())?;
        let device = match self.device {
            Device::Cpu => ctranslate2::Device::Cpu,
            Device::Cuda => ctranslate2::Device::Cuda(0),
            Device::Auto if library.cuda_device_count() > 0 => ctranslate2::Device::Cuda(0),
            Device::Auto => {
                tracing::info!("no GPU is usable: the model runs on the processor");
                ctranslate2::Device::Cpu
            }
        };
        let compute_type = self.compute_type.as_str().parse().map_err(|error: ctranslate2::InvalidComputeType| {
            Failure::usage(error.to_string(), "see `--compute-type`")
        })?;
        let config = ModelConfig { device, compute_type, intra_threads: self.threads, replicas: 1 };
        Ok((library, config))
    }
}

/// What the engine made of what was asked.
pub(crate) struct Loaded {
    pub(crate) device: String,
    pub(crate) compute_type: &'static str,
}

/// A Whisper model, ready to run.
pub(crate) struct Whisper {
    model: WhisperModel,
    vad: Option<SileroVad>,
    pub(crate) loaded: Loaded,
}

impl Whisper {
    /// Loads the model, from weights that are prepared where there are some.
    pub(crate) fn load(ready: &Ready, setup: &Setup, vad: Option<SileroVad>) -> Result<Self, Failure> {
        let (library, config) = setup.open()?;
        let folder = &ready.model.path;
        let prepared = ready.prepared(setup.compute_type.as_str()).and_then(|prepared| {
            let config = prepared.config(&config)?;
            WhisperModel::load_with(folder, &prepared.files(folder), &library, &config)
                .inspect_err(|error| tracing::warn!(%error, "the prepared weights do not load: the model's own do"))
                .ok()
        });
        let model = match prepared {
            Some(model) => model,
            None => WhisperModel::load(folder, &library, &config)?,
        };
        let loaded = Loaded { device: model.device().to_string(), compute_type: model.compute_type().name() };
        tracing::info!(
            device = loaded.device,
            compute_type = loaded.compute_type,
            threads = config.intra_threads,
            "a model is loaded"
        );
        Ok(Self { model, vad, loaded })
    }

    /// Transcribes, in batches where a size is given.
    pub(crate) fn transcribe(
        &self,
        audio: &Audio,
        options: &TranscribeOptions,
        batch_size: Option<usize>,
        stop: &Cancel,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<TranscriptionInfo, Failure> {
        let models = Models { backend: &self.model, tokenizer: self.model.tokenizer(), vad: self.vad.as_ref() };
        let info = match batch_size {
            Some(size) => transcribe_batched(models, audio, options, size, stop, on_event),
            None => transcribe(models, audio, options, stop, on_event),
        };
        Ok(info?)
    }
}

/// A language identification model, ready to run.
pub(crate) struct Classifier {
    model: LidModel,
    vad: Option<SileroVad>,
    pub(crate) loaded: Loaded,
}

impl Classifier {
    /// Loads the model.
    pub(crate) fn load(ready: &Ready, setup: &Setup, vad: Option<SileroVad>) -> Result<Self, Failure> {
        let (library, config) = setup.open()?;
        let model = LidModel::load(&ready.model.path, &library, &config)?;
        let loaded = Loaded { device: model.device().to_string(), compute_type: model.compute_type().name() };
        Ok(Self { model, vad, loaded })
    }

    /// Says which language is spoken.
    pub(crate) fn identify(
        &self,
        audio: &Audio,
        options: &IdentifyOptions,
        stop: &Cancel,
    ) -> Result<Identification, Failure> {
        Ok(self.model.identify(audio.samples(), options, self.vad.as_ref(), stop)?)
    }
}
