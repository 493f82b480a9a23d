//! Writing: verified blobs, from the cache into the store, behind the clients' backs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use speech_flow_model_types::{CommitHash, RemoteFile, RepoId};
use tokio_util::sync::CancellationToken;

use super::Tier;
use super::claim::Claim;
use super::counts::Uploaded;
use crate::server::Server;

/// Size of a part; smaller blobs are sent in one request. Also what an upload holds in memory, times the parts at once.
const PART_BYTES: u64 = 8 << 20;
/// Parts of one upload that are on their way.
const PARTS_AT_ONCE: usize = 3;
/// S3 takes 10000. Source: Amazon S3 multipart upload limits.
const MOST_PARTS: u64 = 10_000;
/// Waits before an upload is tried again; after them it is given up.
const DELAYS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];
/// How long it may take to take back what was sent.
const ABORT_PATIENCE: Duration = Duration::from_secs(3);

impl Server {
    /// A blob was verified and is in the cache: has the store get it, in the background, where it should.
    pub(crate) fn share(&self, repo: &RepoId, commit: &CommitHash, file: &RemoteFile) {
        let Some(tier) = &self.inner.tier else { return };
        // What came from there is there.
        if tier.knowledge.verified(&file.digest) || !tier.fills {
            return;
        }
        let Ok(place) = Arc::clone(&tier.upload_places).try_acquire_owned() else {
            tier.counts.upload(Uploaded::Crowded);
            return;
        };
        let (server, tier) = (self.clone(), Arc::clone(tier));
        let (repo, commit, file) = (repo.clone(), commit.clone(), file.clone());
        tier.counts.uploading.add(1);
        self.inner.tasks.spawn(async move {
            let outcome = server.upload(&tier, &repo, &commit, &file).await;
            tier.counts.upload(outcome);
            tier.counts.uploading.add(-1);
            tracing::debug!(?outcome, digest = %file.digest.prefixed(), "the upload of a blob ended");
            drop(place);
        });
    }

    async fn upload(&self, tier: &Arc<Tier>, repo: &RepoId, commit: &CommitHash, file: &RemoteFile) -> Uploaded {
        let stop = &self.inner.stop;
        let ready = async {
            if !tier.takes_private && !self.is_public(repo, commit).await {
                return Err(Uploaded::Private);
            }
            let turn = tier.upload_turns.acquire().await;
            let (server, repo, commit, wanted) = (self.clone(), repo.clone(), commit.clone(), file.clone());
            let opened = tokio::task::spawn_blocking(move || server.open_blob(&repo, &commit, &wanted)).await;
            match opened {
                Ok(Ok(Some(blob))) => Ok((turn, Arc::new(blob.file))),
                _ => Err(Uploaded::Gone),
            }
        };
        let (_turn, bytes) = match stop.run_until_cancelled(ready).await {
            None => return Uploaded::Stopped,
            Some(Err(outcome)) => return outcome,
            Some(Ok(ready)) => ready,
        };
        let mut delays = DELAYS.into_iter();
        loop {
            let error = match tier.put(file, &bytes, stop).await {
                Ok(outcome) => return outcome,
                Err(error) => error,
            };
            let Some(delay) = delays.next() else {
                let what = "a file could not be put into the object store";
                let hint = "check `server.store` and the rights of the server's account";
                self.inner.log.problem(what, &error, Some(hint));
                return Uploaded::Failed;
            };
            tracing::debug!(%error, ?delay, "an upload is tried again");
            if stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                return Uploaded::Stopped;
            }
        }
    }
}

/// What the store has in the place of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// The blob, by its length, and not known to be damaged.
    Whole,
    /// Something else.
    Other,
    /// Nothing.
    Nothing,
}

impl Tier {
    /// Puts a blob into the store, unless it is there.
    async fn put(
        self: &Arc<Self>,
        file: &RemoteFile,
        bytes: &Arc<File>,
        stop: &CancellationToken,
    ) -> Result<Uploaded, Error> {
        let place = self.place(&file.digest);
        let found = match stop.run_until_cancelled(self.look(&place, file)).await {
            None => return Ok(Uploaded::Stopped),
            Some(found) => found?,
        };
        if found == Found::Whole {
            return Ok(Uploaded::Present);
        }
        let outcome = if file.size <= PART_BYTES {
            let mode = if found == Found::Other { PutMode::Overwrite } else { PutMode::Create };
            match stop.run_until_cancelled(self.put_whole(&place, file, bytes, mode)).await {
                Some(outcome) => outcome?,
                None => Uploaded::Stopped,
            }
        } else {
            let Some(claim) = Claim::take(self, &file.digest).await? else { return Ok(Uploaded::LeftToAnother) };
            let outcome = tokio::select! {
                outcome = self.put_claimed(&place, file, bytes, stop) => outcome,
                () = claim.keep() => Ok(Uploaded::Failed),
            };
            claim.remove().await;
            outcome?
        };
        if outcome == Uploaded::Stored {
            self.knowledge.stored(&file.digest);
        }
        Ok(outcome)
    }

    /// What the store has in the place of a blob.
    async fn look(&self, place: &Path, file: &RemoteFile) -> Result<Found, Error> {
        match self.uploads.head(place).await {
            Ok(found) if found.size == file.size && !self.knowledge.is_damaged(&file.digest) => Ok(Found::Whole),
            Ok(_) => Ok(Found::Other),
            Err(Error::NotFound { .. }) => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Sends a large blob, for which this server has the claim.
    async fn put_claimed(
        &self,
        place: &Path,
        file: &RemoteFile,
        bytes: &Arc<File>,
        stop: &CancellationToken,
    ) -> Result<Uploaded, Error> {
        // Between the first look and the claim, the one who had the claim may have become done.
        match stop.run_until_cancelled(self.look(place, file)).await {
            None => Ok(Uploaded::Stopped),
            Some(Ok(Found::Whole)) => Ok(Uploaded::Present),
            Some(Ok(_)) => self.put_parts(place, file, bytes, stop).await,
            Some(Err(error)) => Err(error),
        }
    }

    async fn put_whole(
        &self,
        place: &Path,
        file: &RemoteFile,
        bytes: &Arc<File>,
        mode: PutMode,
    ) -> Result<Uploaded, Error> {
        let payload = PutPayload::from(read(bytes, 0, file.size).await?);
        let options = |mode| PutOptions { mode, ..PutOptions::default() };
        let put = match self.uploads.put_opts(place, payload.clone(), options(mode)).await {
            // A store that cannot create only what is missing: the bytes are the same.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                self.uploads.put_opts(place, payload, options(PutMode::Overwrite)).await
            }
            put => put,
        };
        match put {
            Ok(_) => {
                self.counts.uploaded_bytes.inc_by(file.size);
                Ok(Uploaded::Stored)
            }
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Uploaded::Present),
            Err(error) => Err(error),
        }
    }

    /// Sends a large blob in parts, which become an object with the last step.
    async fn put_parts(
        &self,
        place: &Path,
        file: &RemoteFile,
        bytes: &Arc<File>,
        stop: &CancellationToken,
    ) -> Result<Uploaded, Error> {
        let Some(started) = stop.run_until_cancelled(self.uploads.put_multipart(place)).await else {
            return Ok(Uploaded::Stopped);
        };
        let mut upload = started?;
        let sent = stop.run_until_cancelled(self.send_parts(&mut *upload, file.size, bytes)).await;
        let ended = match sent {
            Some(Ok(())) => upload.complete().await.map(|_| Uploaded::Stored),
            Some(Err(error)) => Err(error),
            None => Ok(Uploaded::Stopped),
        };
        if !matches!(ended, Ok(Uploaded::Stored)) {
            // Parts that stay are no object; the bucket's life cycle rules remove them.
            let aborted = tokio::time::timeout(ABORT_PATIENCE, upload.abort()).await;
            if !matches!(aborted, Ok(Ok(()))) {
                tracing::debug!(%place, "parts of an upload were left behind");
            }
        }
        ended
    }

    async fn send_parts(&self, upload: &mut dyn MultipartUpload, size: u64, bytes: &Arc<File>) -> Result<(), Error> {
        let part = part_bytes(size);
        let mut on_their_way = FuturesUnordered::new();
        let mut at = 0;
        while at < size || !on_their_way.is_empty() {
            if at < size && on_their_way.len() < PARTS_AT_ONCE {
                let length = part.min(size - at);
                let sending = upload.put_part(read(bytes, at, length).await?.into());
                on_their_way.push(async move { sending.await.map(|()| length) });
                at += length;
                continue;
            }
            if let Some(sent) = on_their_way.next().await {
                self.counts.uploaded_bytes.inc_by(sent?);
            }
        }
        Ok(())
    }
}

/// Size of the parts of a blob: all but the last are equal, and there are not too many.
fn part_bytes(size: u64) -> u64 {
    PART_BYTES.max(size.div_ceil(MOST_PARTS).next_multiple_of(1 << 20))
}

async fn read(file: &Arc<File>, at: u64, length: u64) -> Result<Bytes, Error> {
    let file = Arc::clone(file);
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, at)?;
        Ok::<_, io::Error>(Bytes::from(bytes))
    });
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| Error::Generic { store: "cache", source: error };
    read.await.map_err(|ended| failed(ended.into()))?.map_err(|error| failed(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_neither_too_many_nor_too_small() {
        for size in [1, PART_BYTES, PART_BYTES + 1, 3 << 30, 80 << 30, 5 << 40] {
            let part = part_bytes(size);
            assert!(part >= PART_BYTES && size.div_ceil(part) <= MOST_PARTS, "{size}");
        }
        assert_eq!(part_bytes(3 << 30), PART_BYTES);
    }
}
