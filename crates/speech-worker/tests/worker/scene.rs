//! A hub, a cache and a worker between them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use speech_flow_demo_hub::{DemoHub, EmbeddedModel};
use speech_flow_model_manager::EnsureOptions;
use speech_flow_model_manager::config::{Config, ConfigSources, SystemFacts};
use speech_flow_speech_engine::ctranslate2;
use speech_flow_speech_engine::vad::SileroVad;
use speech_flow_speech_worker::{Error, Kind, Options, bind, run};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::client;

pub(crate) const WHISPER: &str = "acme/whisper";
pub(crate) const LID: &str = "acme/lid";

/// A hub and a cache.
pub(crate) struct Scene {
    pub(crate) hub: DemoHub,
    pub(crate) folder: TempDir,
}

/// A worker that runs.
pub(crate) struct Worker {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) reload: Arc<Notify>,
    ended: Option<std::thread::JoinHandle<Result<(), Error>>>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let whisper = EmbeddedModel::TinyWhisperCt2.builder(WHISPER).build().expect("builds");
        let lid = EmbeddedModel::TinyLid.builder(LID).build().expect("builds");
        let hub = DemoHub::builder().repository(whisper).repository(lid).start_blocking().expect("starts");
        Self { hub, folder: TempDir::new().expect("a folder") }
    }

    pub(crate) fn config(&self, variables: &[(&str, &str)]) -> Config {
        let mut environment = HashMap::from([
            ("HF_ENDPOINT", self.hub.endpoint()),
            ("MODEL_CACHE_DIR", self.folder.path().display().to_string()),
            ("MODEL_DOWNLOAD_RETRY_DELAY", "0.01".to_owned()),
            ("MODEL_DOWNLOAD_MAX_RETRIES", "1".to_owned()),
            ("WHISPER_MODEL_NAME", WHISPER.to_owned()),
            ("WHISPER_COMPUTE_TYPE", "float32".to_owned()),
            ("LID_MODEL_ID", LID.to_owned()),
        ]);
        environment.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let facts = SystemFacts { current_dir: self.folder.path().to_owned(), ..SystemFacts::default() };
        let config = Config::load(&ConfigSources {
            env: &|name| environment.get(name).map(Into::into),
            flags: Vec::new(),
            files: Vec::new(),
            facts,
            is_folder: &Path::is_dir,
        });
        config.expect("a good configuration")
    }

    /// A worker that is ready.
    pub(crate) fn ready(&self, kind: Kind, variables: &[(&str, &str)]) -> Worker {
        let worker = self.start(kind, variables);
        worker.until_ready();
        worker
    }

    /// A worker that starts.
    pub(crate) fn start(&self, kind: Kind, variables: &[(&str, &str)]) -> Worker {
        let config = self.config(variables);
        let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
        let options = Options {
            kind,
            config,
            ensure: EnsureOptions::default(),
            vad: Some(Arc::new(SileroVad::load(&fixtures().join("silero-vad")).expect("a detector"))),
            stop: stop.clone(),
            reload: Arc::clone(&reload),
        };
        let (tell, told) = std::sync::mpsc::channel();
        let ended = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("starts");
            runtime.block_on(async {
                let listener = bind(([127, 0, 0, 1], 0).into(), &options.config).await.expect("binds");
                tell.send(listener.address()).expect("somebody waits");
                run(listener, options).await
            })
        });
        Worker { address: told.recv().expect("an address"), stop, reload, ended: Some(ended) }
    }

    /// The file behind a name in the model's snapshot.
    pub(crate) fn model_file(&self, name: &str) -> PathBuf {
        let snapshots = self.folder.path().join("whisper/models--acme--whisper/snapshots");
        let commit = std::fs::read_dir(snapshots).expect("a cache").flatten().next().expect("a snapshot").path();
        commit.join(name).canonicalize().expect("a file")
    }
}

impl Worker {
    pub(crate) fn until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = client::get(self.address, "/readyz");
            if answer.status == 200 {
                return;
            }
            assert!(Instant::now() < deadline, "not ready: {}", answer.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The value of a metric.
    #[track_caller]
    pub(crate) fn metric(&self, line_start: &str) -> f64 {
        let text = client::get(self.address, "/metrics").text();
        let line = text.lines().find(|line| line.starts_with(line_start));
        let value = line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok());
        value.unwrap_or_else(|| panic!("no `{line_start}` in\n{text}"))
    }

    /// Tells it to end and says how it ended.
    pub(crate) fn end(mut self) -> Result<(), Error> {
        self.stop.cancel();
        self.join()
    }

    /// Waits for its end.
    pub(crate) fn join(&mut self) -> Result<(), Error> {
        self.ended.take().expect("joined once").join().expect("no panic")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.cancel();
        // The test's process must not end in the middle of a batch.
        ctranslate2::wait_for_calls(Duration::from_secs(30));
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// A clip of the fixtures.
pub(crate) fn clip(name: &str) -> Vec<u8> {
    let path = fixtures().join("audio").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A WAV file of mono 16-bit samples.
pub(crate) fn wav(rate: u32, samples: &[i16]) -> Vec<u8> {
    let bytes = u32::try_from(samples.len() * 2).expect("short");
    let mut file = Vec::with_capacity(44 + samples.len() * 2);
    file.extend(b"RIFF");
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 1, 0]);
    file.extend(rate.to_le_bytes());
    file.extend((rate * 2).to_le_bytes());
    file.extend([2, 0, 16, 0]);
    file.extend(b"data");
    file.extend(bytes.to_le_bytes());
    samples.iter().for_each(|sample| file.extend(sample.to_le_bytes()));
    file
}

/// Speech of about so many seconds: a clip again and again.
pub(crate) fn speech(seconds: usize) -> Vec<u8> {
    let clip = clip("en05.wav");
    let samples: Vec<i16> = clip[44..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let long: Vec<i16> = samples.iter().copied().cycle().take(seconds * 16_000).collect();
    wav(16_000, &long)
}
