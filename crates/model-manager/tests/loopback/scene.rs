//! A hub, an empty cache, and a manager between them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use speech_flow_demo_hub::{DemoHub, DemoHubBuilder, EmbeddedModel, Endpoint, Repository};
use speech_flow_model_manager::config::{Config, ConfigSources, SystemFacts};
use speech_flow_model_manager::types::ModelSpec;
use speech_flow_model_manager::{EnsureOptions, Event, Events, ModelManager};
use tempfile::TempDir;

pub(crate) const WHISPER: &str = "acme/whisper";
pub(crate) const LID: &str = "acme/lid";

pub(crate) struct Scene {
    pub(crate) hub: DemoHub,
    pub(crate) manager: ModelManager,
    pub(crate) folder: TempDir,
}

impl Scene {
    /// A hub with one Whisper and one language identification model.
    pub(crate) async fn new() -> Self {
        let whisper = tiny_whisper();
        let lid = EmbeddedModel::TinyLid.builder(LID).build().expect("builds");
        Self::of(DemoHub::builder().repository(whisper).repository(lid)).await
    }

    pub(crate) async fn of(builder: DemoHubBuilder) -> Self {
        let hub = builder.start().await.expect("starts");
        let folder = TempDir::new().expect("temp folder");
        let manager = manager(&hub.endpoint(), &folder, &[]);
        Self { hub, manager, folder }
    }

    /// Another process' manager on the same cache, as far as a process can tell.
    pub(crate) fn other_manager(&self, variables: &[(&str, &str)]) -> ModelManager {
        manager(&self.hub.endpoint(), &self.folder, variables)
    }

    pub(crate) fn spec(&self, text: &str) -> ModelSpec {
        ModelSpec::parse(text, |_| false).expect("names a model")
    }

    /// Requests that were answered with a file's bytes.
    pub(crate) fn body_requests(&self) -> usize {
        let is_body = |endpoint| matches!(endpoint, Endpoint::Resolve | Endpoint::Cdn);
        let with_bytes = |record: &&speech_flow_demo_hub::RequestRecord| {
            record.method == "GET" && is_body(record.endpoint) && matches!(record.status, 200 | 206)
        };
        self.hub.requests().iter().filter(with_bytes).count()
    }

    /// Every file below the cache's folder of blobs of a repository.
    pub(crate) fn blobs(&self, cache: &str, repo: &str) -> Vec<PathBuf> {
        let folder = self.folder.path().join(cache).join(format!("models--{}", repo.replace('/', "--"))).join("blobs");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }
}

/// The Whisper model.
pub(crate) fn tiny_whisper() -> Repository {
    EmbeddedModel::TinyWhisperCt2.builder(WHISPER).tag("v1").build().expect("builds")
}

fn manager(endpoint: &str, folder: &TempDir, variables: &[(&str, &str)]) -> ModelManager {
    let mut environment = HashMap::from([
        ("HF_ENDPOINT", endpoint.to_owned()),
        ("MODEL_CACHE_DIR", folder.path().display().to_string()),
        ("MODEL_DOWNLOAD_RETRY_DELAY", "0.01".to_owned()),
        ("WHISPER_MODEL_NAME", WHISPER.to_owned()),
        ("LID_MODEL_ID", LID.to_owned()),
    ]);
    environment.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let config = Config::load(&ConfigSources {
        env: &|name| environment.get(name).map(Into::into),
        flags: Vec::new(),
        files: Vec::new(),
        facts: SystemFacts {
            home: None,
            cache_home: None,
            models_dir_exists: false,
            cuda_usable: false,
            current_dir: folder.path().to_owned(),
        },
        is_folder: &|_| false,
    });
    ModelManager::new(&config.expect("a good configuration")).expect("opens")
}

/// Remembers what it hears.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<Event>>);

impl Heard {
    pub(crate) fn has(&self, test: impl Fn(&Event) -> bool) -> bool {
        self.0.lock().expect("no panic").iter().any(test)
    }

    pub(crate) fn options(self: &Arc<Self>) -> EnsureOptions {
        EnsureOptions { events: Arc::clone(self) as _, ..EnsureOptions::default() }
    }
}

impl Events for Heard {
    fn event(&self, event: Event) {
        self.0.lock().expect("no panic").push(event);
    }
}
