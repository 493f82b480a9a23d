//! Whole models into the cache, over the same downloads that clients join.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, TryStreamExt as _};
use speech_flow_model_hub::Hub;
use speech_flow_model_types::{CommitHash, ModelKind, Patterns, RemoteFile, RepoId, Revision};

use crate::answer::Refusal;
use crate::flight::Flight;
use crate::metadata::{Settled, Want};
use crate::server::Server;

/// Files that one model is waited for at once: the other turns are for clients.
const AT_ONCE: usize = 4;
/// How often progress is told.
const TELL: Duration = Duration::from_millis(250);

/// Hears how a model comes.
pub(crate) trait Heard: Sync {
    /// So much is missing.
    fn missing(&self, bytes: u64);
    /// So much of it has come.
    fn came(&self, bytes: u64);
}

impl Server {
    /// Brings what a model lacks, as everybody may see it, or with the server's own token where the configuration
    /// names the repository. What a client fetches already is joined, and an object store is read first.
    pub(crate) async fn bring_model(
        &self,
        repo: &RepoId,
        revision: &Revision,
        patterns: &Patterns,
        heard: &dyn Heard,
    ) -> Result<(), Refusal> {
        let settled = self.settle(repo, revision, &crate::caller::Caller::nobody(), Want::Files).await?;
        let files = self.files(&settled).await?;
        let kind = ModelKind::detect(files.iter().map(|file| &file.path));
        self.bring_files(&settled, &kind.select(&files, patterns), heard).await
    }

    /// Brings those of these files that are missing.
    pub(crate) async fn bring_files(
        &self,
        settled: &Settled,
        wanted: &[&RemoteFile],
        heard: &dyn Heard,
    ) -> Result<(), Refusal> {
        let Settled { repo, document, hub, .. } = settled;
        let missing = self.missing(repo, &document.commit, wanted).await?;
        heard.missing(missing.iter().map(|file| file.size).sum());
        let done = std::sync::atomic::AtomicU64::new(0);
        stream::iter(missing.iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |file| self.bring_one(repo, &document.commit, file, hub, &done, heard))
            .await
    }

    async fn bring_one(
        &self,
        repo: &RepoId,
        commit: &CommitHash,
        file: &RemoteFile,
        hub: &Hub,
        done: &std::sync::atomic::AtomicU64,
        heard: &dyn Heard,
    ) -> Result<(), Refusal> {
        use std::sync::atomic::Ordering::Relaxed;
        let (flight, _) = self.fly(repo, commit, file, hub);
        let mut told = 0;
        let mut tell = |bytes: u64| {
            // Bytes that turn out wrong are fetched again.
            done.fetch_add(bytes.saturating_sub(told), Relaxed);
            told = told.max(bytes);
            heard.came(done.load(Relaxed));
        };
        let mut landed = std::pin::pin!(flight.landed());
        loop {
            tokio::select! {
                ended = &mut landed => {
                    ended?;
                    tell(file.size);
                    return Ok(());
                }
                () = tokio::time::sleep(TELL) => tell(Flight::bytes(&flight)),
            }
        }
    }

    async fn missing(
        &self,
        repo: &RepoId,
        commit: &CommitHash,
        wanted: &[&RemoteFile],
    ) -> Result<Arc<Vec<RemoteFile>>, Refusal> {
        let files: Vec<RemoteFile> = wanted.iter().map(|file| (*file).clone()).collect();
        let (server, repo, commit) = (self.clone(), repo.clone(), commit.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let is_here = |file: &RemoteFile| {
                file.size == 0
                    || server.caches().any(|cache| cache.has_blob(&repo, file) || cache.is_linked(&repo, &commit, file))
            };
            files.into_iter().filter(|file| !is_here(file)).collect()
        });
        looked.await.map(Arc::new).map_err(|_| Refusal::internal("a look at the cache ended early"))
    }
}
