//! Whole files, in segments over several lanes.
//!
//! One [`Fetcher`] serves the whole process: its lanes, its rate limit and its judgement of the network are
//! shared by all files. Each segment is one request, retried on its own from its last byte.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use speech_flow_model_types::{CommitHash, RangeSet, RemoteFile, RepoId, TokenBucket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{BlobSink, FetchConfig, HubError, Progress, SinkError, Source};

mod demand;
mod gate;
mod lane;

pub use demand::Demand;
use gate::LaneGate;
use lane::{Job, Mode, Stop};

/// Brings files from a source to sinks. Clones share lanes and limits.
#[derive(Clone)]
pub struct Fetcher {
    shared: Arc<Shared>,
}

/// What all files share.
struct Shared {
    source: Arc<dyn Source>,
    config: FetchConfig,
    gate: Arc<LaneGate>,
    bucket: Option<Mutex<TokenBucket>>,
}

/// One file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchItem {
    /// The repository.
    pub repo: RepoId,
    /// The commit.
    pub commit: CommitHash,
    /// The file.
    pub file: RemoteFile,
    /// What somebody waits for, which is fetched before the rest.
    pub demand: Demand,
}

/// What a fetch took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FetchReport {
    /// Bytes given to the sink, those that were later dropped by a restart included.
    pub bytes_received: u64,
    /// Requests for ranges, the first tries and the retries.
    pub requests: u64,
    /// Repeated requests.
    pub retries: u64,
    /// How often the file was started over.
    pub restarts: u64,
}

#[derive(Debug, Default)]
struct Counters {
    bytes: AtomicU64,
    requests: AtomicU64,
    retries: AtomicU64,
    restarts: AtomicU64,
}

impl Fetcher {
    /// A fetcher for one source.
    pub fn new(source: Arc<dyn Source>, config: FetchConfig) -> Self {
        let now = config.clock.monotonic();
        let gate = Arc::new(LaneGate::new(config.lanes_total, now));
        let bucket = config.rate_limit.filter(|rate| *rate > 0).map(|rate| Mutex::new(TokenBucket::new(rate, now)));
        Self { shared: Arc::new(Shared { source, config, gate, bucket }) }
    }

    /// Fetches what the sink misses of a file. The bytes are not verified here.
    ///
    /// When the content changed on the hub since the listing, or a server ignores ranges, the sink is
    /// restarted; a change that stays is an error.
    ///
    /// # Cancel safety
    /// Safe to drop: all lanes end at their next await, and what the sink took stays taken. With `cancel`
    /// the call also waits until no lane writes any more.
    ///
    /// # Errors
    /// [`HubError`] after the retries are used up, at once for what no retry can mend, and
    /// [`HubError::Cancelled`].
    pub async fn fetch(
        &self,
        item: FetchItem,
        sink: Arc<dyn BlobSink>,
        progress: Arc<dyn Progress>,
        cancel: CancellationToken,
    ) -> Result<FetchReport, HubError> {
        let counters = Arc::new(Counters::default());
        let mut mode = Mode::Ranged;
        let mut has_changed = false;
        loop {
            let missing: RangeSet = sink.missing().into_iter().collect();
            let segments = match mode {
                Mode::Ranged => missing.segments(self.shared.config.segment_bytes.max(1)),
                Mode::Whole => missing.iter().collect(),
            };
            let job = Arc::new(Job::new(
                Arc::clone(&self.shared),
                item.clone(),
                Arc::clone(&sink),
                Arc::clone(&progress),
                Arc::clone(&counters),
                mode,
                segments,
            ));
            match run_lanes(job, &cancel).await {
                Ok(()) => return Ok(counters.report()),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::RangeIgnored(error)) if mode == Mode::Whole => return Err(error),
                Err(Stop::RangeIgnored(_)) => mode = Mode::Whole,
                Err(Stop::Changed(error)) if has_changed => return Err(error),
                Err(Stop::Changed(_)) => has_changed = true,
            }
            tracing::warn!(file = %item.file.path, repo = %item.repo, "the file is fetched from the start");
            restart(&*sink, &*progress, &counters).await.map_err(|error| sink_error(&item, error))?;
        }
    }
}

/// Runs the lanes of one file until its segments are done or one lane stops. No lane is left behind.
async fn run_lanes(job: Arc<Job>, cancel: &CancellationToken) -> Result<(), Stop> {
    let mut lanes = JoinSet::new();
    for _ in 0..job.lanes() {
        lanes.spawn(Arc::clone(&job).run());
    }
    let ended = loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => break Err(Stop::Failed(HubError::Cancelled)),
            lane = lanes.join_next() => match lane {
                None => break Ok(()),
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(stop))) => break Err(stop),
                Some(Err(error)) => match error.try_into_panic() {
                    // A sink or source that panics has broken its promise; hiding it would lose bytes.
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => break Err(Stop::Failed(HubError::Cancelled)),
                },
            },
        }
    };
    lanes.shutdown().await;
    ended
}

async fn restart(sink: &dyn BlobSink, progress: &dyn Progress, counters: &Counters) -> Result<(), SinkError> {
    sink.restart().await?;
    counters.restarts.fetch_add(1, Ordering::Relaxed);
    progress.restarted();
    Ok(())
}

fn sink_error(item: &FetchItem, source: SinkError) -> HubError {
    HubError::Sink { file: item.file.path.clone(), source }
}

impl Counters {
    fn report(&self) -> FetchReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FetchReport {
            bytes_received: read(&self.bytes),
            requests: read(&self.requests),
            retries: read(&self.retries),
            restarts: read(&self.restarts),
        }
    }
}
