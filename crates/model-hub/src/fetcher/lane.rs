//! One lane: segment after segment, each from its last byte after a failure.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use speech_flow_model_types::retry::Backoff;
use tokio::time::{Instant, Sleep, timeout};

use super::{Counters, FetchItem, Shared, restart, sink_error};
use crate::retrying::wait_or_give_up;
use crate::{BlobSink, FileBody, FileRequest, HubError, Progress, RequestId};

/// How the file can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// In ranges.
    Ranged,
    /// Only from its start to its end, over one lane.
    Whole,
}

/// Why the lanes of a file stop before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// For good.
    Failed(HubError),
    /// The server gives the whole file for every range.
    RangeIgnored(HubError),
    /// The content is another one than before.
    Changed(HubError),
}

/// One run over a file's missing segments.
pub(super) struct Job {
    shared: Arc<Shared>,
    item: FetchItem,
    sink: Arc<dyn BlobSink>,
    progress: Arc<dyn Progress>,
    counters: Arc<Counters>,
    mode: Mode,
    lanes: usize,
    segments: Mutex<VecDeque<Range<u64>>>,
    /// The server's name for the content, from the first body on.
    validator: Mutex<Option<String>>,
}

impl Job {
    pub(super) fn new(
        shared: Arc<Shared>,
        item: FetchItem,
        sink: Arc<dyn BlobSink>,
        progress: Arc<dyn Progress>,
        counters: Arc<Counters>,
        mode: Mode,
        segments: Vec<Range<u64>>,
    ) -> Self {
        let most = if mode == Mode::Whole { 1 } else { shared.config.lanes_per_file.max(1) };
        let lanes = segments.len().min(most);
        let (segments, validator) = (Mutex::new(segments.into()), Mutex::default());
        Self { shared, item, sink, progress, counters, mode, lanes, segments, validator }
    }

    /// Lanes worth opening.
    pub(super) fn lanes(&self) -> usize {
        self.lanes
    }

    /// Fetches segments until none is left.
    pub(super) async fn run(self: Arc<Self>) -> Result<(), Stop> {
        let _worker = self.shared.gate.worker();
        while let Some(segment) = self.next_segment() {
            self.fetch(segment).await?;
        }
        Ok(())
    }

    fn next_segment(&self) -> Option<Range<u64>> {
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        match self.item.demand.first_of(&segments) {
            Some(wanted) => segments.remove(wanted),
            None => segments.pop_front(),
        }
    }

    async fn fetch(&self, segment: Range<u64>) -> Result<(), Stop> {
        let Shared { config, gate, .. } = &*self.shared;
        let mut backoff = Backoff::new(config.retry);
        let mut at = segment.start;
        // A body that always breaks at the same byte is no progress, however often it comes that far.
        let mut farthest = at;
        let mut permit = Some(gate.enter().await);
        while at < segment.end {
            let outcome = self.attempt(&mut at, segment.end).await;
            if at > farthest {
                farthest = at;
                backoff.progressed();
            }
            let error = match outcome {
                Ok(()) => continue,
                Err(error @ HubError::RangeIgnored { .. }) => return Err(Stop::RangeIgnored(error)),
                Err(error @ HubError::ContentChanged { .. }) => return Err(Stop::Changed(error)),
                Err(error) => error,
            };
            if matches!(error, HubError::RateLimited { .. }) {
                // The lane stays taken while it waits: another file's request would be refused as well.
                gate.refused(config.clock.monotonic());
            } else {
                permit = None;
            }
            wait_or_give_up(error, &mut backoff, &*config.clock, &*self.progress).await.map_err(Stop::Failed)?;
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
            if self.mode == Mode::Whole && at > segment.start {
                let restarted = restart(&*self.sink, &*self.progress, &self.counters).await;
                restarted.map_err(|error| Stop::Failed(sink_error(&self.item, error)))?;
                at = segment.start;
            }
            if permit.is_none() {
                permit = Some(gate.enter().await);
            }
        }
        Ok(())
    }

    /// One request. `at` moves on with every chunk that the sink took.
    async fn attempt(&self, at: &mut u64, end: u64) -> Result<(), HubError> {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let Shared { source, config, .. } = &*self.shared;
        let FetchItem { repo, commit, file, .. } = &self.item;
        let validator = self.validator.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let request = FileRequest { repo, commit, file, range: *at..end, validator: validator.as_deref() };
        let opened = timeout(config.stall_timeout, source.open(request)).await;
        let body = opened.unwrap_or_else(|_| Err(self.stalled(None)))?;
        self.check_validator(&body)?;
        self.stream(body, at, end).await
    }

    /// All bodies of one file must be of one version.
    fn check_validator(&self, body: &FileBody) -> Result<(), HubError> {
        let Some(now) = body.validator() else { return Ok(()) };
        let mut known = self.validator.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            None => *known = Some(now.to_owned()),
            Some(known) if known == now => {}
            Some(known) => {
                let (expected, actual) = (known.clone(), now.to_owned());
                return Err(HubError::ContentChanged { file: self.item.file.path.clone(), expected, actual });
            }
        }
        Ok(())
    }

    async fn stream(&self, mut body: FileBody, at: &mut u64, end: u64) -> Result<(), HubError> {
        let Shared { config, gate, bucket, .. } = &*self.shared;
        let body_end = body.range().end.min(end);
        if body.range().start != *at {
            return Err(HubError::RangeIgnored { file: self.item.file.path.clone() });
        }
        let mut timer = pin!(tokio::time::sleep(config.stall_timeout));
        loop {
            let chunk = match next_chunk(&mut body, timer.as_mut(), config.stall_timeout).await {
                Some(Ok(chunk)) => chunk,
                // All bytes are here; how the connection ends does not matter.
                None | Some(Err(_)) if *at >= body_end => return Ok(()),
                Some(Err(Broken::Stalled)) => return Err(self.stalled(body.request_id())),
                Some(Err(Broken::Failed(error))) => return Err(error),
                None => {
                    let file = self.item.file.path.clone();
                    return Err(HubError::Truncated { file, offset: *at, expected: body_end });
                }
            };
            let room = body_end - *at;
            let chunk = if chunk.len() as u64 > room { chunk.slice(..room as usize) } else { chunk };
            if chunk.is_empty() && room == 0 {
                return Ok(());
            }
            let length = chunk.len() as u64;
            self.sink.write(*at, chunk).await.map_err(|error| sink_error(&self.item, error))?;
            *at += length;
            self.counters.bytes.fetch_add(length, Ordering::Relaxed);
            self.progress.received(length);
            let now = config.clock.monotonic();
            gate.received(length, now);
            if let Some(bucket) = bucket {
                let wait = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(length, now);
                if !wait.is_zero() {
                    config.clock.sleep(wait).await;
                }
            }
        }
    }

    fn stalled(&self, request_id: Option<RequestId>) -> HubError {
        let request = request_id.map(|id| format!(" (request `{id}`)")).unwrap_or_default();
        let what = format!("more of `{}`{request}", self.item.file.path);
        HubError::Timeout { what, after: self.shared.config.stall_timeout }
    }
}

enum Broken {
    Stalled,
    Failed(HubError),
}

/// The next chunk, or the end, or the error that ends the body.
///
/// One timer serves the whole body: it is moved only when it goes off and finds that bytes have come since,
/// so a chunk costs no timer.
async fn next_chunk(body: &mut FileBody, mut timer: Pin<&mut Sleep>, stall: Duration) -> Option<Result<Bytes, Broken>> {
    let deadline = Instant::now() + stall;
    poll_fn(|cx| {
        if let Poll::Ready(chunk) = Pin::new(&mut *body).poll_next(cx) {
            return Poll::Ready(chunk.map(|chunk| chunk.map_err(Broken::Failed)));
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(Some(Err(Broken::Stalled)));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    })
    .await
}
