//! The work of one download: turn, room, fetch, verify, commit, link.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use speech_flow_model_cache::{
    Busy, Cache, CacheError, Growth, Mismatch, Reservation, Stage, Staging, VerifiedBlob, verify,
};
use speech_flow_model_hub::{FetchItem, HubError, Progress, Unexpected, WaitReason};
use speech_flow_model_manager::StagingSink;
use speech_flow_model_types::{ModelKind, RemoteFile, RepoId};
use tokio::runtime::Handle;

use super::{Flight, Phase, stopping};
use crate::answer::Refusal;
use crate::metrics::Fetched;
use crate::server::Server;
use crate::shelf::Unanswered;
use crate::taint::Mark;
use crate::turns::FetchTurn;

/// A body that arrives damaged is fetched this often before it is given up.
const ATTEMPTS_AT_INTEGRITY: usize = 2;
/// How often it is looked whether another process has finished a file.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Smaller files are not counted before they are fetched.
const RESERVED_FROM: u64 = 1 << 20;
/// When a client may come back to a full volume.
const WHEN_FULL: Duration = Duration::from_secs(60);

impl Server {
    /// Brings a file into the cache.
    pub(super) async fn fetch(&self, flight: &Arc<Flight>) -> Result<Option<Growth>, Refusal> {
        let Flight { repo, file, .. } = &**flight;
        let cache = self.cache_for(flight).await;
        let mut mark = None;
        for attempt in 1..=ATTEMPTS_AT_INTEGRITY {
            let Some((staging, _turn, _room)) = self.stage(&cache, flight).await? else {
                let followed = self.followed(&cache, flight).await;
                return self.link(&cache, flight).await.map(|()| followed);
            };
            self.inner.metrics.fetching.add(1);
            let _counted = Counted(self.clone());
            let growth = staging.growth();
            let arrived = self.bring(flight, staging, &mut mark).await;
            let mismatch = match arrived? {
                Ok(verified) => {
                    let (committing, server, repo, file) = (cache.clone(), self.clone(), repo.clone(), file.clone());
                    let mark = mark.take();
                    blocking(move || {
                        committing.commit_blob(verified)?;
                        server.trust_blob(&committing, &repo, &file);
                        if let Some(mark) = mark {
                            mark.clear();
                        }
                        Ok(())
                    })
                    .await?;
                    self.link(&cache, flight).await?;
                    self.share(&flight.repo, &flight.commit, &flight.file);
                    return Ok(growth);
                }
                Err(mismatch) => mismatch,
            };
            self.inner.metrics.verification_failures.inc_by(1);
            self.distrust_object(file).await;
            if attempt == ATTEMPTS_AT_INTEGRITY {
                return Err(self.give_up(&cache, repo, file, mismatch));
            }
            self.inner.log.note(format!("`{}` of `{repo}` arrived damaged and is fetched again", file.path), None);
            drop(mismatch);
        }
        Err(Refusal::internal("no attempt was made"))
    }

    /// The cache that holds the repository already, else the one for its kind.
    async fn cache_for(&self, flight: &Flight) -> Cache {
        let (server, repo, commit) = (self.clone(), flight.repo.clone(), flight.commit.clone());
        let found = tokio::task::spawn_blocking(move || {
            let listed = server.caches().find_map(|cache| cache.read_tree(&repo, &commit));
            let kind = listed.map_or(ModelKind::Other, |files| ModelKind::detect(files.iter().map(|file| &file.path)));
            server.cache_of(kind).clone()
        });
        found.await.unwrap_or_else(|_| self.cache_of(ModelKind::Other).clone())
    }

    /// A place for the bytes, a turn and room; `None` when the file is there.
    async fn stage(
        &self,
        cache: &Cache,
        flight: &Flight,
    ) -> Result<Option<(Staging, FetchTurn, Option<Reservation>)>, Refusal> {
        let Flight { repo, file, phase, .. } = flight;
        let mut busy: Option<Busy> = None;
        let mut following = None;
        loop {
            let waiting = Waiting::new(self);
            let turn = tokio::select! {
                turn = self.inner.fetch_turns.turn(file.size) => turn,
                () = self.inner.stop.cancelled() => return Err(stopping()),
            };
            drop(waiting);
            let (staging, of, wanted) = (cache.clone(), repo.clone(), file.clone());
            let looked = tokio::task::spawn_blocking(move || match busy {
                None => staging.stage(&of, &wanted),
                Some(busy) => busy.try_again(),
            });
            match looked.await.map_err(|_| Refusal::internal("a look at the cache ended early"))? {
                Ok(Stage::Present) => return Ok(None),
                Ok(Stage::Busy(mut held)) => {
                    let followed = tokio::task::spawn_blocking(move || {
                        let growth = held.follow();
                        (held, growth)
                    });
                    let (held, growth) =
                        followed.await.map_err(|_| Refusal::internal("a look at a download was lost"))?;
                    busy = Some(held);
                    // Another process of this program brings it: its recorded bytes are served meanwhile.
                    if let (Some(growth), Phase::Waiting) = (growth, &*phase.borrow()) {
                        following = Some(growth);
                    }
                    if let Some(growth) = following.take() {
                        phase.send_replace(Phase::Growing(growth));
                    }
                }
                Ok(Stage::Ready(staging)) => {
                    let room = self.reserve(cache, repo, file).await?;
                    return Ok(Some((*staging, turn, room)));
                }
                Err(error @ (CacheError::NoSpace { .. } | CacheError::VolumeFull { .. })) => return Err(full(&error)),
                Err(error) => return Err(self.disk_error(&error)),
            }
            drop(turn);
            tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = self.inner.stop.cancelled() => return Err(stopping()),
            }
        }
    }

    /// What was followed of another process' download, if that is what came under the final name.
    async fn followed(&self, cache: &Cache, flight: &Flight) -> Option<Growth> {
        let Phase::Growing(growth) = flight.phase.borrow().clone() else { return None };
        let blob = cache.layout().blob(&flight.repo, &flight.file.digest);
        let looked = tokio::task::spawn_blocking(move || {
            let blob = std::fs::File::open(blob).ok()?;
            growth.is_of_same_file(&blob).then_some(growth)
        });
        looked.await.ok().flatten()
    }

    /// Promises room; makes some where there is none.
    async fn reserve(&self, cache: &Cache, repo: &RepoId, file: &RemoteFile) -> Result<Option<Reservation>, Refusal> {
        if file.size < RESERVED_FROM {
            return Ok(None);
        }
        for cleaned in [false, true] {
            let (asking, repo, wanted) = (cache.clone(), repo.clone(), file.clone());
            match blocking(move || asking.reserve(&repo, [&wanted])).await {
                Ok(room) => return Ok(Some(room)),
                Err(Blocked::Cache(error @ CacheError::NoSpace { .. })) if !cleaned => {
                    tracing::info!(%error, "room is made");
                    self.make_room(file.size).await;
                }
                Err(Blocked::Cache(error @ (CacheError::NoSpace { .. } | CacheError::VolumeFull { .. }))) => {
                    self.inner.log.problem("there is no room", &error, Some("enlarge the volume, or unpin models"));
                    return Err(full(&error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Fetches and hashes; what came is right or not.
    async fn bring(
        &self,
        flight: &Arc<Flight>,
        staging: Staging,
        mark: &mut Option<Mark>,
    ) -> Result<Result<VerifiedBlob, Box<Mismatch>>, Refusal> {
        let Flight { repo, commit, file, phase, .. } = &**flight;
        let growth = staging.growth();
        if let Some(growth) = &growth {
            *mark = Some(self.mark(mark.take(), file, staging.resumed_bytes() > 0).await?);
            phase.send_replace(Phase::Growing(growth.clone()));
        }
        let sink = Arc::new(StagingSink::new(staging));
        let item =
            FetchItem { repo: repo.clone(), commit: commit.clone(), file: file.clone(), demand: flight.demand.clone() };
        let progress = Arc::new(Received { server: self.clone() });
        let fetched = self.inner.fetcher.fetch(item, sink.clone(), progress, self.inner.stop.clone()).await;
        if let Some(growth) = &growth
            && growth.reach(0).restarts > 0
            && let Some(mark) = mark
        {
            mark.suspect().map_err(|error| Refusal::internal(error.to_string()))?;
        }
        match &fetched {
            Ok(report) => self.inner.metrics.upstream_ranges(report.requests, report.retries),
            Err(error) => self.inner.metrics.upstream_request("range", Some(error)),
        }
        fetched.map_err(|error| self.fetch_error(flight, error))?;
        let staging = Arc::into_inner(sink).and_then(StagingSink::into_staging);
        let Some(staging) = staging else { return Err(Refusal::internal("the download's place is in use")) };
        // The end of a download waits for its last bytes to be synced, and so does its drop.
        let (runtime, stop) = (Handle::current(), self.inner.stop.clone());
        let finish = move || runtime.block_on(stop.run_until_cancelled(staging.finish()));
        match tokio::task::spawn_blocking(finish).await {
            Ok(Some(Ok(staged))) => Ok(verify(staged, file)),
            Ok(Some(Err(error))) => Err(self.disk_error(&error)),
            Ok(None) => Err(stopping()),
            Err(_) => Err(Refusal::internal("the end of a download was lost")),
        }
    }

    /// Marks the file before a byte of it leaves.
    async fn mark(&self, earlier: Option<Mark>, file: &RemoteFile, is_resumed: bool) -> Result<Mark, Refusal> {
        let (server, digest) = (self.clone(), file.digest);
        let set = tokio::task::spawn_blocking(move || {
            let mut mark = match earlier {
                Some(mut earlier) => {
                    earlier.suspect()?;
                    earlier
                }
                None => Mark::set(&server, &digest)?,
            };
            // Its first part is of another process, whose clients may hold bytes that were not recorded.
            if is_resumed {
                mark.suspect()?;
            }
            Ok::<_, std::io::Error>(mark)
        });
        match set.await {
            Ok(Ok(mark)) => Ok(mark),
            Ok(Err(error)) => {
                self.inner.log.problem("the state folder cannot be written to", &error, None::<String>);
                Err(unusable(error.to_string()))
            }
            Err(_) => Err(Refusal::internal("a mark was lost")),
        }
    }

    /// Names the file in its snapshot, so that readers of the volume and clean-ups see it.
    async fn link(&self, cache: &Cache, flight: &Flight) -> Result<(), Refusal> {
        let (cache, repo, commit, file) =
            (cache.clone(), flight.repo.clone(), flight.commit.clone(), flight.file.clone());
        let link = move || {
            cache.link(&repo, &commit, [&file])?;
            cache.record_use(&repo, &commit);
            Ok(())
        };
        match blocking(link).await {
            // A clean-up took it already: whoever still wants it asks again.
            Err(Blocked::Cache(CacheError::BlobMissing { .. })) => {
                Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the file was removed meanwhile")
                    .later(POLL_INTERVAL))
            }
            linked => Ok(linked?),
        }
    }

    fn give_up(&self, cache: &Cache, repo: &RepoId, file: &RemoteFile, mismatch: Box<Mismatch>) -> Refusal {
        let seems = Unexpected::judge(file, &mismatch.head());
        let what = seems.map(|seems| format!("; it seems to be {seems}")).unwrap_or_default();
        let message = format!("the hub sent `{}` of `{repo}` twice with a wrong digest{what}", file.path);
        match cache.quarantine(mismatch, &message) {
            Ok(_) => self.inner.metrics.quarantined.inc_by(1),
            Err(error) => tracing::warn!(%error, "a damaged file was deleted, its reason could not be kept"),
        }
        self.inner
            .log
            .note(message.clone(), Some("check the mirror or proxy between this server and the hub".to_owned()));
        Refusal::new(StatusCode::BAD_GATEWAY, message).counted_as(Fetched::Damaged)
    }

    /// What the disk said comes back as itself, not as a fault of the hub.
    fn fetch_error(&self, flight: &Flight, error: HubError) -> Refusal {
        match error {
            HubError::Cancelled => stopping(),
            HubError::Offline => Unanswered::Offline.into(),
            HubError::Sink { source, .. } => match source.inner().downcast_ref::<CacheError>() {
                Some(error) => self.disk_error(error),
                None => Refusal::internal(source.to_string()),
            },
            error => {
                let what = format!("`{}` of `{}` could not be fetched", flight.file.path, flight.repo);
                self.inner.log.problem(&what, &error, error.hint());
                Refusal::of_hub(&error).counted_as(Fetched::Hub)
            }
        }
    }

    pub(crate) fn disk_error(&self, error: &CacheError) -> Refusal {
        self.inner.log.problem("the cache cannot be used", error, error.hint());
        match error {
            CacheError::NoSpace { .. } | CacheError::VolumeFull { .. } => full(error),
            _ => unusable(error.to_string()),
        }
    }
}

fn full(error: &CacheError) -> Refusal {
    unusable(error.to_string()).counted_as(Fetched::NoSpace)
}

fn unusable(message: String) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).later(WHEN_FULL).counted_as(Fetched::Volume)
}

/// Why work that waits for the disk gave nothing.
enum Blocked {
    Cache(CacheError),
    Ended,
}

impl From<Blocked> for Refusal {
    fn from(blocked: Blocked) -> Self {
        match blocked {
            Blocked::Cache(error @ (CacheError::NoSpace { .. } | CacheError::VolumeFull { .. })) => full(&error),
            Blocked::Cache(error) => unusable(error.to_string()),
            Blocked::Ended => Self::internal("a write to the cache ended early"),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
) -> Result<T, Blocked> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Blocked::Cache),
        Err(_) => Err(Blocked::Ended),
    }
}

/// Counts a download until it ends.
struct Counted(Server);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.inner.metrics.fetching.add(-1);
    }
}

/// Counts one that waits.
struct Waiting<'a>(&'a Server);

impl<'a> Waiting<'a> {
    fn new(server: &'a Server) -> Self {
        server.inner.metrics.waiting_fetches.add(1);
        Self(server)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.inner.metrics.waiting_fetches.add(-1);
    }
}

struct Received {
    server: Server,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Received")
    }
}

impl Progress for Received {
    fn received(&self, bytes: u64) {
        self.server.inner.metrics.upstream_bytes.inc_by(bytes);
    }

    fn waiting(&self, reason: &WaitReason, delay: Duration) {
        tracing::debug!(%reason, ?delay, "a part of a file is asked for again");
    }

    fn restarted(&self) {
        tracing::debug!("a file is fetched from its start again");
    }
}
