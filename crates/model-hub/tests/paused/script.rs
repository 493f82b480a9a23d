//! A source that answers by a script, and a sink that counts.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream;
use speech_flow_model_hub::{Answer, BlobSink, FileBody, FileRequest, HubError, RepoInfo, RepoRef, SinkError, Source};
use speech_flow_model_types::{CommitHash, RangeSet, RemoteFile, RepoId, Revision};

/// What one request meets. When the script is over, requests succeed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// All bytes.
    Whole,
    /// So many bytes, then silence.
    StallAfter(u64),
    /// So many bytes, then the end.
    EndAfter(u64),
    /// A byte each so often.
    Drip(Duration),
    /// `429` with this wish.
    Busy(Duration),
    /// No answer at all.
    Silence,
    /// All bytes, under another name of the version.
    Renamed,
    /// Never a range.
    NoRanges,
    /// The network is gone.
    Down,
}

/// Serves the byte `offset % 251` at each offset.
pub(crate) struct Script {
    pub(crate) steps: Mutex<VecDeque<Step>>,
    pub(crate) asked: Mutex<Vec<Range<u64>>>,
    /// Bytes of one chunk.
    pub(crate) chunk: u64,
    /// Time that each chunk takes.
    pub(crate) chunk_time: Duration,
    /// Most requests at the same time so far, and now.
    pub(crate) open: Arc<Mutex<(usize, usize)>>,
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Arc<Self> {
        Arc::new(Self::with(steps, 1000, Duration::ZERO))
    }

    pub(crate) fn with(steps: impl IntoIterator<Item = Step>, chunk: u64, chunk_time: Duration) -> Self {
        let steps = Mutex::new(steps.into_iter().collect());
        Self { steps, asked: Mutex::default(), chunk, chunk_time, open: Arc::default() }
    }

    fn body(&self, range: Range<u64>, step: Step) -> FileBody {
        let whole = range.clone();
        let (chunk, pause, end) = match step {
            Step::Drip(pause) => (1, pause, range.end),
            Step::StallAfter(bytes) | Step::EndAfter(bytes) => (self.chunk, self.chunk_time, range.start + bytes),
            _ => (self.chunk, self.chunk_time, range.end),
        };
        let open = Opened::new(&self.open);
        let sent = stream::unfold(range.start, move |at| {
            let _ = &open;
            async move {
                if at >= end {
                    return None;
                }
                tokio::time::sleep(pause).await;
                let next = (at + chunk).min(end);
                Some((Ok((at..next).map(|byte| (byte % 251) as u8).collect::<Bytes>()), next))
            }
        });
        let validator = if matches!(step, Step::Renamed) { "\"b\"" } else { "\"a\"" };
        let body = match step {
            Step::StallAfter(_) => FileBody::new(whole, Box::pin(sent.chain(stream::pending()))),
            _ => FileBody::new(whole, Box::pin(sent)),
        };
        body.with_validator(Some(validator.to_owned()))
    }
}

/// Counts open bodies.
struct Opened(Arc<Mutex<(usize, usize)>>);

impl Opened {
    fn new(counts: &Arc<Mutex<(usize, usize)>>) -> Self {
        let mut now = counts.lock().unwrap();
        now.1 += 1;
        now.0 = now.0.max(now.1);
        Self(Arc::clone(counts))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.lock().unwrap().1 -= 1;
    }
}

impl Source for Script {
    fn resolve<'a>(&'a self, _: &'a RepoId, _: &'a Revision) -> BoxFuture<'a, Result<RepoInfo, HubError>> {
        unreachable!("the fetcher does not resolve")
    }

    fn list<'a>(&'a self, _: &'a RepoId, _: &'a CommitHash) -> BoxFuture<'a, Result<Vec<RemoteFile>, HubError>> {
        unreachable!("the fetcher does not list")
    }

    fn refs<'a>(&'a self, _: &'a RepoId) -> BoxFuture<'a, Result<Vec<RepoRef>, HubError>> {
        unreachable!("the fetcher does not list")
    }

    fn check_access<'a>(&'a self, _: &'a RepoId) -> BoxFuture<'a, Result<(), HubError>> {
        unreachable!("the fetcher does not ask")
    }

    fn open<'a>(&'a self, request: FileRequest<'a>) -> BoxFuture<'a, Result<FileBody, HubError>> {
        self.asked.lock().unwrap().push(request.range.clone());
        let step = self.steps.lock().unwrap().pop_front().unwrap_or(Step::Whole);
        Box::pin(async move {
            let file = request.file.path.clone();
            match step {
                Step::Silence => std::future::pending().await,
                Step::Busy(delay) => {
                    Err(HubError::RateLimited { retry_after: Some(delay), source: Box::new(answer(429)) })
                }
                Step::Down => Err(HubError::Server { status: 503, retry_after: None, source: Box::new(answer(503)) }),
                Step::NoRanges if request.range != (0..request.file.size) => Err(HubError::RangeIgnored { file }),
                step => Ok(self.body(request.range, step)),
            }
        })
    }
}

fn answer(status: u16) -> Answer {
    let url = "http://hub.example/x".parse().unwrap();
    Answer { url, status, code: None, message: None, request_id: speech_flow_model_hub::RequestId::random() }
}

/// Counts bytes and checks that each is the right one at its place.
pub(crate) struct CheckingSink {
    size: u64,
    have: Mutex<RangeSet>,
    pub(crate) restarts: Mutex<u32>,
    /// What each write takes.
    pub(crate) write_time: Duration,
}

impl CheckingSink {
    pub(crate) fn new(size: u64) -> Arc<Self> {
        Arc::new(Self { size, have: Mutex::default(), restarts: Mutex::default(), write_time: Duration::ZERO })
    }

    pub(crate) fn slow(size: u64, write_time: Duration) -> Arc<Self> {
        Arc::new(Self { size, have: Mutex::default(), restarts: Mutex::default(), write_time })
    }

    pub(crate) fn held(&self) -> u64 {
        self.have.lock().unwrap().len()
    }
}

impl BlobSink for CheckingSink {
    fn missing(&self) -> Vec<Range<u64>> {
        self.have.lock().unwrap().missing(self.size).iter().collect()
    }

    fn write(&self, offset: u64, bytes: Bytes) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            tokio::time::sleep(self.write_time).await;
            let right = bytes.iter().zip(offset..).all(|(byte, at)| *byte == (at % 251) as u8);
            if !right {
                return Err(SinkError::new(format!("wrong bytes at {offset}")));
            }
            self.have.lock().unwrap().insert(offset..offset + bytes.len() as u64);
            Ok(())
        })
    }

    fn restart(&self) -> BoxFuture<'_, Result<(), SinkError>> {
        *self.restarts.lock().unwrap() += 1;
        *self.have.lock().unwrap() = RangeSet::new();
        Box::pin(async { Ok(()) })
    }
}
