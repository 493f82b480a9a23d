//! Reading: a range of a file from the store, and from the source behind it where that does not work.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use object_store::{Error, GetOptions, GetRange, GetResult};
use speech_flow_model_hub::{FileBody, FileRequest, HubError, RepoInfo, RepoRef, Source};
use speech_flow_model_types::{CommitHash, RelPath, RemoteFile, RepoId, Revision};
use tokio::time::{Instant, timeout};

use super::Tier;
use super::counts::Read;

/// A store that is slower than this, in bytes per second, is no help.
const SLOWEST: f64 = 512.0 * 1024.0;

/// A source behind the store.
pub(crate) struct TieredSource {
    tier: Arc<Tier>,
    inner: Arc<dyn Source>,
}

impl TieredSource {
    pub(crate) fn new(tier: Arc<Tier>, inner: Arc<dyn Source>) -> Self {
        Self { tier, inner }
    }
}

impl Source for TieredSource {
    fn resolve<'a>(&'a self, repo: &'a RepoId, revision: &'a Revision) -> BoxFuture<'a, Result<RepoInfo, HubError>> {
        self.inner.resolve(repo, revision)
    }

    fn list<'a>(
        &'a self,
        repo: &'a RepoId,
        commit: &'a CommitHash,
    ) -> BoxFuture<'a, Result<Vec<RemoteFile>, HubError>> {
        self.inner.list(repo, commit)
    }

    fn open<'a>(&'a self, request: FileRequest<'a>) -> BoxFuture<'a, Result<FileBody, HubError>> {
        Box::pin(async move {
            match Tier::open(&self.tier, request.file, &request.range).await {
                Some(body) => Ok(body),
                None => self.inner.open(request).await,
            }
        })
    }

    fn refs<'a>(&'a self, repo: &'a RepoId) -> BoxFuture<'a, Result<Vec<RepoRef>, HubError>> {
        self.inner.refs(repo)
    }

    fn check_access<'a>(&'a self, repo: &'a RepoId) -> BoxFuture<'a, Result<(), HubError>> {
        self.inner.check_access(repo)
    }
}

impl Tier {
    /// A range of a blob, if the store has it and answers in time.
    async fn open(self: &Arc<Self>, file: &RemoteFile, range: &Range<u64>) -> Option<FileBody> {
        let digest = &file.digest;
        if !self.knowledge.may_ask(digest, Instant::now()) {
            self.counts.read(Read::Skipped);
            return None;
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let answer = match timeout(self.patience, self.objects.get_opts(&self.place(digest), options)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(Error::NotFound { .. })) => {
                self.counts.read(Read::Miss);
                self.knowledge.missing(digest, Instant::now());
                return None;
            }
            Ok(Err(error)) => {
                self.failed(file, Read::Error, &error.to_string());
                return None;
            }
            Err(_) => {
                self.failed(file, Read::Slow, "it did not answer in time");
                return None;
            }
        };
        if answer.meta.size != file.size || answer.range != *range {
            self.counts.read(Read::Damaged);
            self.knowledge.damaged(digest, Instant::now());
            tracing::warn!(digest = %digest.prefixed(), "the object store has another size of a blob: it is passed by");
            return None;
        }
        self.counts.read(Read::Hit);
        self.knowledge.serves(digest);
        Some(FileBody::new(range.clone(), Arc::clone(self).stream(answer, file, range)))
    }

    /// The bytes of an answer. It ends with an error that has the rest fetched from the hub.
    fn stream(
        self: Arc<Self>,
        answer: GetResult,
        file: &RemoteFile,
        range: &Range<u64>,
    ) -> BoxStream<'static, Result<Bytes, HubError>> {
        let reading = Reading {
            tier: self,
            bytes: answer.into_stream(),
            file: file.clone(),
            at: range.start,
            range: range.clone(),
            waited: Duration::ZERO,
        };
        Box::pin(stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    /// Notes that the store failed for a file.
    fn failed(&self, file: &RemoteFile, how: Read, why: &str) {
        self.counts.read(how);
        if self.knowledge.failed(&file.digest, Instant::now()) {
            tracing::warn!(why, "the object store fails again and again: it is left alone for a while");
        } else {
            tracing::debug!(why, digest = %file.digest.prefixed(), "the object store failed");
        }
    }
}

/// An answer that is being read.
struct Reading {
    tier: Arc<Tier>,
    bytes: BoxStream<'static, object_store::Result<Bytes>>,
    file: RemoteFile,
    at: u64,
    range: Range<u64>,
    /// Time that was spent waiting for bytes, not that for which the reader took to take them.
    waited: Duration,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, HubError> {
        let asked = Instant::now();
        let arrived = timeout(self.allowance(), self.bytes.next()).await;
        self.waited += asked.elapsed();
        match arrived {
            Ok(Some(Ok(bytes))) => {
                let length = bytes.len() as u64;
                self.at += length;
                self.tier.counts.read_bytes.inc_by(length);
                Ok(Some(bytes))
            }
            Ok(None) if self.at >= self.range.end => {
                self.tier.knowledge.answered();
                Ok(None)
            }
            Ok(None) => Err(self.broken("it ended its answer early")),
            Ok(Some(Err(error))) => Err(self.broken(&error.to_string())),
            Err(_) => {
                self.tier.failed(&self.file, Read::Slow, "its bytes come too slowly");
                let what = format!("more of `{}` from the object store", self.file.path);
                Err(HubError::Timeout { what, after: self.tier.patience })
            }
        }
    }

    /// How long the next bytes may take: what came so far earns time at the slowest rate.
    fn allowance(&self) -> Duration {
        let earned = Duration::from_secs_f64((self.at - self.range.start) as f64 / SLOWEST);
        (self.tier.patience + earned).saturating_sub(self.waited)
    }

    fn broken(&self, why: &str) -> HubError {
        self.tier.failed(&self.file, Read::Error, why);
        let file: RelPath = self.file.path.clone();
        HubError::Truncated { file, offset: self.at, expected: self.range.end }
    }
}
