//! What the tests share: a sink in memory, a clock that waits in no time, a watcher, and a set-up hub.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sha2::Digest as _;
use speech_flow_demo_hub::{DemoHub, DemoHubBuilder, Repository};
use speech_flow_model_hub::{
    BlobSink, Clock, Demand, FetchConfig, FetchItem, FetchReport, Fetcher, Hub, HubConfig, HubError, Progress,
    SinkError, Source, WaitReason,
};
use speech_flow_model_types::{CommitHash, Digest, RangeSet, RemoteFile, RepoId, RetryPolicy, Revision};
use tokio_util::sync::CancellationToken;

/// The segment that tests use; small, so that a file of some hundred kilobytes has several.
pub(crate) const SEGMENT: u64 = 64 << 10;
/// Size of the test repository's large file: four segments and a bit.
pub(crate) const LARGE: u64 = 4 * SEGMENT + 1000;

/// A clock that writes down each wait and lets it pass at once.
#[derive(Debug)]
pub(crate) struct InstantClock {
    start: Instant,
    waits: Mutex<Vec<Duration>>,
}

impl InstantClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), waits: Mutex::default() })
    }

    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.waits.lock().unwrap().clone()
    }
}

impl Clock for InstantClock {
    fn monotonic(&self) -> Duration {
        self.start.elapsed() + self.waits.lock().unwrap().iter().sum::<Duration>()
    }

    fn date(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, delay: Duration) -> BoxFuture<'static, ()> {
        self.waits.lock().unwrap().push(delay);
        Box::pin(tokio::task::yield_now())
    }
}

/// Keeps what it is given, and refuses bytes that it has not asked for.
pub(crate) struct MemorySink {
    state: Mutex<(Vec<u8>, RangeSet)>,
}

impl MemorySink {
    pub(crate) fn new(size: u64) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new((vec![0; size as usize], RangeSet::new())) })
    }

    /// A sink that has a range already, as after a resume.
    pub(crate) fn with(size: u64, range: Range<u64>, bytes: &[u8]) -> Arc<Self> {
        let sink = Self::new(size);
        {
            let mut state = sink.state.lock().unwrap();
            state.0[range.start as usize..range.end as usize].copy_from_slice(bytes);
            state.1.insert(range);
        }
        sink
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        self.state.lock().unwrap().0.clone()
    }

    pub(crate) fn held(&self) -> u64 {
        self.state.lock().unwrap().1.len()
    }
}

impl BlobSink for MemorySink {
    fn missing(&self) -> Vec<Range<u64>> {
        let state = self.state.lock().unwrap();
        state.1.missing(state.0.len() as u64).iter().collect()
    }

    fn write(&self, offset: u64, bytes: Bytes) -> BoxFuture<'_, Result<(), SinkError>> {
        let mut state = self.state.lock().unwrap();
        let range = offset..offset + bytes.len() as u64;
        if !bytes.is_empty() && state.1.iter().any(|have| have.start < range.end && range.start < have.end) {
            return Box::pin(async move { Err(SinkError::new(format!("{range:?} came twice"))) });
        }
        state.0[range.start as usize..range.end as usize].copy_from_slice(&bytes);
        state.1.insert(range);
        Box::pin(async { Ok(()) })
    }

    fn restart(&self) -> BoxFuture<'_, Result<(), SinkError>> {
        self.state.lock().unwrap().1 = RangeSet::new();
        Box::pin(async { Ok(()) })
    }
}

/// Remembers why there were waits.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) waits: Mutex<Vec<(WaitReason, Duration)>>,
}

impl Progress for Watch {
    fn waiting(&self, reason: &WaitReason, delay: Duration) {
        self.waits.lock().unwrap().push((reason.clone(), delay));
    }
}

/// A running demo hub with our client set up for it.
pub(crate) struct Scene {
    pub(crate) hub: DemoHub,
    pub(crate) client: Hub,
    pub(crate) clock: Arc<InstantClock>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) fetch: FetchConfig,
    pub(crate) repo: RepoId,
}

/// One large file, one small one, a card.
pub(crate) fn repository() -> Repository {
    Repository::builder("org/model")
        .file("README.md", "---\nlicense: apache-2.0\nbase_model: openai/whisper-tiny\n---\n# A model\n")
        .file("config.json", "{\"model_type\": \"whisper\"}")
        .generated("model.bin", LARGE, 7)
        .tag("v1")
        .build()
        .unwrap()
}

/// Waits that can be told apart and have nothing random.
pub(crate) fn policy() -> RetryPolicy {
    RetryPolicy { max_retries: 3, jitter: 0.0, ..RetryPolicy::default() }
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::of(DemoHub::builder().repository(repository()), |_| {}).await
    }

    pub(crate) async fn of(builder: DemoHubBuilder, change: impl FnOnce(&mut HubConfig)) -> Self {
        let hub = builder.start().await.unwrap();
        let (clock, watch) = (InstantClock::new(), Arc::new(Watch::default()));
        let mut config = HubConfig::new(hub.endpoint().parse().unwrap());
        config.retry = policy();
        config.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        config.progress = Arc::clone(&watch) as Arc<dyn Progress>;
        change(&mut config);
        let client = Hub::new(config).unwrap();
        let fetch = FetchConfig {
            segment_bytes: SEGMENT,
            retry: policy(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ..FetchConfig::default()
        };
        Self { hub, client, clock, watch, fetch, repo: "org/model".parse().unwrap() }
    }

    pub(crate) async fn item(&self, path: &str) -> FetchItem {
        let commit = self.client.resolve(&self.repo, &Revision::main()).await.unwrap().commit;
        let files = self.client.list(&self.repo, &commit).await.unwrap();
        self.hub.clear_requests();
        pick(self.repo.clone(), commit, files, path)
    }

    pub(crate) async fn fetch_into(&self, item: FetchItem, sink: &Arc<MemorySink>) -> Result<FetchReport, HubError> {
        let fetcher = Fetcher::new(Arc::new(self.client.clone()), self.fetch.clone());
        let progress = Arc::clone(&self.watch) as Arc<dyn Progress>;
        fetcher.fetch(item, Arc::clone(sink) as Arc<dyn BlobSink>, progress, CancellationToken::new()).await
    }

    /// Fetches the large file into an empty sink and checks its digest.
    pub(crate) async fn fetch_large(&self) -> Result<FetchReport, HubError> {
        let item = self.item("model.bin").await;
        let (sink, digest) = (MemorySink::new(LARGE), item.file.digest);
        let report = self.fetch_into(item, &sink).await?;
        assert_eq!(sha256(&sink.content()), digest);
        Ok(report)
    }

    /// Bodies of files that were asked for, as (range, status).
    pub(crate) fn ranges(&self) -> VecDeque<(Option<String>, u16)> {
        let requests = self.hub.requests().into_iter().filter(|request| request.file.is_some());
        requests.map(|request| (request.range, request.status)).collect()
    }
}

pub(crate) fn pick(repo: RepoId, commit: CommitHash, files: Vec<RemoteFile>, path: &str) -> FetchItem {
    let file = files.into_iter().find(|file| file.path.as_str() == path).expect("listed");
    FetchItem { repo, commit, file, demand: Demand::default() }
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::Sha256(sha2::Sha256::digest(bytes).into())
}

/// The error with all its causes, as a person would see it.
pub(crate) fn full_text(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(|error| format!("{error}\n")).collect()
}

pub(crate) fn seconds(seconds: &[u64]) -> Vec<Duration> {
    seconds.iter().copied().map(Duration::from_secs).collect()
}
