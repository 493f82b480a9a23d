//! Brings what a snapshot lacks: plan, reserve, fetch, verify, commit, link.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use speech_flow_model_cache::{Cache, CacheError, Mismatch, Stage, StagedBlob, Staging, VerifiedBlob, verify};
use speech_flow_model_hub::{Demand, FetchItem, HubError, Progress, SinkError, Unexpected, WaitReason};
use speech_flow_model_types::{Plan, RemoteFile, Resolved};
use tokio::runtime::Handle;

use crate::asked::Asked;
use crate::error::{Error, IntegrityFailure};
use crate::events::{Event, Events};
use crate::manager::ModelManager;
use crate::sink::StagingSink;

/// Files whose bodies are fetched at once; the lanes they share are limited apart from this.
const FILES_AT_ONCE: usize = 8;

/// How often it is looked whether another process has finished a file.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How often what is missing is fetched, when a clean-up takes it away meanwhile.
const ROUNDS: usize = 3;

/// A body that arrives damaged is fetched this often before it is given up.
const ATTEMPTS_AT_INTEGRITY: usize = 2;

impl ModelManager {
    /// Makes the snapshot complete and says how many bytes the network brought.
    pub(crate) async fn download(
        &self,
        asked: &Asked<'_>,
        cache: &Cache,
        resolved: &Resolved,
        wanted: &[&RemoteFile],
    ) -> Result<u64, Error> {
        let received = Arc::new(Received { bytes: AtomicU64::new(0), events: asked.options.events.clone() });
        let mut round = 1;
        loop {
            self.fetch_missing(asked, cache, resolved, wanted, &received).await?;
            let files: Vec<RemoteFile> = wanted.iter().map(|file| (*file).clone()).collect();
            let (cache, repo, commit) = (cache.clone(), asked.repo.clone(), resolved.commit.clone());
            match blocking(move || cache.link(&repo, &commit, &files)).await {
                // A clean-up took a blob that no snapshot named yet.
                Err(Error::Cache(CacheError::BlobMissing { .. })) if round < ROUNDS => round += 1,
                linked => return linked.map(|()| received.bytes.load(Ordering::Relaxed)),
            }
        }
    }

    /// Brings the blobs that are not there.
    async fn fetch_missing(
        &self,
        asked: &Asked<'_>,
        cache: &Cache,
        resolved: &Resolved,
        wanted: &[&RemoteFile],
        received: &Arc<Received>,
    ) -> Result<(), Error> {
        let plan = Plan::new(wanted.iter().copied(), &cache.view(asked.repo, &resolved.commit));
        asked.options.events.event(Event::Planned {
            model: asked.spec.to_string(),
            files: plan.files.len(),
            bytes_total: plan.bytes_total(),
            bytes_to_fetch: plan.bytes_to_fetch(),
        });
        let to_fetch = plan.to_fetch();
        // Held until the end: other processes count what this one is about to write.
        let files: Vec<RemoteFile> = to_fetch.iter().map(|planned| planned.file.clone()).collect();
        let (reserving, repo) = (cache.clone(), asked.repo.clone());
        let _reservation = blocking(move || reserving.reserve(&repo, &files)).await?;

        let fetches = to_fetch.into_iter().map(|planned| {
            let received = Arc::clone(received);
            let job = Job { manager: self, asked, cache, resolved, file: &planned.file, received };
            async move { job.run().await }
        });
        stream::iter(fetches).buffer_unordered(FILES_AT_ONCE).try_collect().await
    }
}

/// One file on its way.
struct Job<'a> {
    manager: &'a ModelManager,
    asked: &'a Asked<'a>,
    cache: &'a Cache,
    resolved: &'a Resolved,
    file: &'a RemoteFile,
    received: Arc<Received>,
}

impl Job<'_> {
    async fn run(&self) -> Result<(), Error> {
        for attempt in 1..=ATTEMPTS_AT_INTEGRITY {
            let Some(staging) = self.stage().await? else { return Ok(()) };
            let staged = match self.fetch(staging).await {
                // Another process took this one for dead, as after a long suspend, and goes on itself.
                Err(Error::Cache(CacheError::PartialLost { .. })) => continue,
                staged => staged?,
            };
            let mismatch = match verify(staged, self.file) {
                Ok(verified) => match self.commit(verified).await {
                    Err(Error::Cache(CacheError::PartialLost { .. })) => continue,
                    committed => return committed,
                },
                Err(mismatch) => mismatch,
            };
            if attempt == ATTEMPTS_AT_INTEGRITY {
                return Err(self.quarantine(mismatch));
            }
            let reason = format!("`{}` arrived damaged and is fetched again", self.file.path);
            self.asked.options.events.event(Event::Discarded { bytes: self.file.size, reason });
        }
        Err(Error::KeptLosing { file: self.file.path.clone() })
    }

    /// A place for the bytes; `None` when the blob is there, since another process brought it meanwhile.
    async fn stage(&self) -> Result<Option<Staging>, Error> {
        let mut told = false;
        let (cache, repo, file) = (self.cache.clone(), self.asked.repo.clone(), self.file.clone());
        let mut stage = blocking(move || cache.stage(&repo, &file)).await?;
        loop {
            let busy = match stage {
                Stage::Present => return Ok(None),
                Stage::Ready(staging) => return Ok(Some(*staging)),
                Stage::Busy(busy) => busy,
            };
            if !told {
                told = true;
                self.asked.options.events.event(Event::WaitingForOther { path: self.file.path.to_string() });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
            stage = blocking(move || busy.try_again()).await?;
        }
    }

    /// Puts bytes that were wrong twice out of the way, with what they seem to be.
    fn quarantine(&self, mismatch: Box<Mismatch>) -> Error {
        let seems = Unexpected::judge(self.file, &mismatch.head());
        let (expected, actual) = (self.file.digest, mismatch.actual);
        let mut reason = format!("fetched twice from {} with a wrong digest", self.manager.source_name());
        if let Some(seems) = &seems {
            reason.push_str(&format!("; it seems to be {seems}"));
        }
        let quarantined = match self.cache.quarantine(mismatch, &reason) {
            Ok(folder) => Some(folder),
            Err(error) => {
                tracing::warn!(repo = %self.asked.repo, file = %self.file.path, %error, "a damaged file was deleted, its reason could not be kept");
                None
            }
        };
        let (repo, file) = (self.asked.repo.clone(), self.file.path.clone());
        let seems = seems.map(|seems| seems.to_string());
        let from_hub = self.manager.asks_hub();
        Error::Integrity(Box::new(IntegrityFailure { repo, file, expected, actual, seems, quarantined, from_hub }))
    }

    async fn fetch(&self, staging: Staging) -> Result<StagedBlob, Error> {
        let sink = Arc::new(StagingSink::new(staging));
        let item = FetchItem {
            repo: self.asked.repo.clone(),
            commit: self.resolved.commit.clone(),
            file: self.file.clone(),
            demand: Demand::default(),
        };
        let cancel = self.asked.options.cancel.clone();
        let network = self.manager.network()?;
        network
            .fetcher
            .fetch(item, sink.clone(), self.received.clone(), cancel)
            .await
            .map_err(|error| self.fetch_error(error))?;
        let staging = Arc::into_inner(sink).and_then(StagingSink::into_staging);
        let staging = staging.expect("the fetcher lets go of the sink before it returns");
        // The end of a download waits for its last bytes to be synced, and so does its drop.
        let (runtime, cancel) = (Handle::current(), self.asked.options.cancel.clone());
        let finish = move || runtime.block_on(cancel.run_until_cancelled(staging.finish()));
        match tokio::task::spawn_blocking(finish).await? {
            Some(staged) => Ok(staged?),
            None => Err(Error::Cancelled),
        }
    }

    /// What the disk said comes back as itself, not as a fault of the hub.
    fn fetch_error(&self, error: HubError) -> Error {
        match error {
            HubError::Sink { source, .. } => match source.into_inner().downcast::<CacheError>() {
                Ok(cache) => Error::Cache(*cache),
                Err(other) => {
                    self.asked.hub_error(HubError::Sink { file: self.file.path.clone(), source: SinkError::new(other) })
                }
            },
            other => self.asked.hub_error(other),
        }
    }

    async fn commit(&self, verified: VerifiedBlob) -> Result<(), Error> {
        let cache = self.cache.clone();
        blocking(move || cache.commit_blob(verified)).await?;
        let (path, bytes) = (self.file.path.to_string(), self.file.size);
        self.asked.options.events.event(Event::FileDone { path, bytes });
        Ok(())
    }
}

/// Runs work that waits for the disk where it holds up no other task.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
) -> Result<T, Error> {
    Ok(tokio::task::spawn_blocking(work).await??)
}

/// Counts what arrives and passes it on.
struct Received {
    bytes: AtomicU64,
    events: Arc<dyn Events>,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Progress for Received {
    fn received(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.events.event(Event::Received { bytes });
    }

    fn waiting(&self, reason: &WaitReason, delay: Duration) {
        self.events.event(Event::Waiting { reason: reason.to_string(), delay });
    }

    fn restarted(&self) {
        self.events.event(Event::Discarded { bytes: 0, reason: "a file is fetched from its start again".to_owned() });
    }
}
