//! A hub, a server with an empty cache, and clients of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use speech_flow_cache_server::{Deps, Server, Settings, bind};
use speech_flow_demo_hub::{DemoHub, DemoHubBuilder, Endpoint, Repository, RequestRecord};
use speech_flow_model_manager::ModelManager;
use speech_flow_model_manager::config::{Config, ConfigSources, SystemFacts};
use speech_flow_model_manager::lockfile::Lockfile;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Ask, Reply};

pub(crate) const REPO: &str = "acme/model";
/// Larger than what is kept in memory and than one segment.
pub(crate) const SIZE: u64 = 5 << 20;
pub(crate) const FILE: &str = "/acme/model/resolve/main/model.bin";

pub(crate) struct Scene {
    pub(crate) hub: DemoHub,
    pub(crate) server: Running,
    pub(crate) folder: Arc<TempDir>,
}

/// A server and its address.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A repository with a small file and a large one.
pub(crate) fn repository(name: &str) -> Repository {
    let builder = Repository::builder(name).file("config.json", "{}\n").file("onnx/notes.txt", "notes\n");
    builder.generated("model.bin", SIZE, 7).build().expect("builds")
}

/// Changes settings before a server starts.
pub(crate) type Change = fn(&mut Settings);

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::of(DemoHub::builder().repository(repository(REPO)), |_| {}).await
    }

    pub(crate) async fn of(builder: DemoHubBuilder, change: Change) -> Self {
        let hub = builder.start().await.expect("starts");
        let folder = Arc::new(TempDir::new().expect("temp folder"));
        let server = start(&hub.endpoint(), folder.path(), &[], change, None).await;
        Self { hub, server, folder }
    }

    /// Another server; the cache is what the first one left or uses.
    pub(crate) async fn another(&self, endpoint: &str, change: Change) -> Running {
        start(endpoint, self.folder.path(), &[], change, None).await
    }

    pub(crate) fn get(&self, path: impl Into<String>) -> Ask {
        Ask::new(self.server.address, "GET", path)
    }

    pub(crate) fn head(&self, path: impl Into<String>) -> Ask {
        Ask::new(self.server.address, "HEAD", path)
    }

    /// What the hub has under a name.
    pub(crate) fn digest(&self, file: &str) -> String {
        let files = self.hub.files(REPO, "main");
        files.iter().find(|summary| summary.path == file).expect("the hub has it").digest.to_string()
    }

    pub(crate) fn commit(&self) -> String {
        self.hub.commit(REPO, "main").expect("the hub has it").to_string()
    }

    #[track_caller]
    pub(crate) fn assert_right(&self, reply: &Reply) {
        assert_eq!((reply.status, reply.is_whole), (200, true));
        assert_eq!(sha256(&reply.body), self.digest("model.bin"));
    }

    /// Requests that were answered with bytes of a file.
    pub(crate) fn body_requests(&self) -> Vec<RequestRecord> {
        let is_body = |record: &RequestRecord| {
            record.method == "GET"
                && matches!(record.endpoint, Endpoint::Resolve | Endpoint::Cdn)
                && matches!(record.status, 200 | 206)
        };
        self.hub.requests().into_iter().filter(is_body).collect()
    }

    pub(crate) fn metadata_requests(&self) -> usize {
        let is_body = |endpoint| matches!(endpoint, Endpoint::Resolve | Endpoint::Cdn);
        self.hub.requests().iter().filter(|record| !is_body(record.endpoint)).count()
    }

    /// Where the blob of the large file is, or would be.
    pub(crate) fn blob(&self) -> PathBuf {
        let repo = self.folder.path().join("whisper/models--acme--model");
        repo.join("blobs").join(self.digest("model.bin"))
    }
}

impl Running {
    pub(crate) fn get(&self, path: impl Into<String>) -> Ask {
        Ask::new(self.address, "GET", path)
    }

    /// Ends the server as SIGTERM does.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("ends well");
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Starts a server on a free port.
pub(crate) async fn start(
    endpoint: &str,
    folder: &Path,
    variables: &[(&str, &str)],
    change: Change,
    lockfile: Option<Lockfile>,
) -> Running {
    let config = config(endpoint, folder, variables);
    let mut settings = Settings::of(&config);
    settings.drain = Duration::from_secs(5);
    change(&mut settings);
    let manager = ModelManager::new(&config).expect("opens");
    let server = Server::new(Deps { config, settings, manager, lockfile }).expect("starts");
    let bound = bind(server, ([127, 0, 0, 1], 0).into()).await.expect("listens");
    let (address, stop) = (bound.address(), CancellationToken::new());
    let serving = bound.serve(stop.clone());
    let task = tokio::spawn(serving);
    Running { address, stop, task }
}

/// A manager on the folder's caches.
pub(crate) fn manager(endpoint: &str, folder: &Path) -> ModelManager {
    ModelManager::new(&config(endpoint, folder, &[])).expect("opens")
}

fn config(endpoint: &str, folder: &Path, variables: &[(&str, &str)]) -> Config {
    let mut environment = HashMap::from([
        ("HF_ENDPOINT", endpoint.to_owned()),
        ("MODEL_CACHE_DIR", folder.display().to_string()),
        ("MODEL_DOWNLOAD_RETRY_DELAY", "0.01".to_owned()),
        ("SPEECH_FLOW_SEGMENT_SIZE", "1MiB".to_owned()),
    ]);
    environment.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let config = Config::load(&ConfigSources {
        env: &|name| environment.get(name).map(Into::into),
        flags: Vec::new(),
        files: Vec::new(),
        facts: SystemFacts { current_dir: folder.to_owned(), ..SystemFacts::default() },
        is_folder: &|_| false,
    });
    config.expect("a good configuration")
}
