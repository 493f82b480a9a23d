//! One blob on its way to the disk: written, recorded and hashed while it arrives.
//!
//! [`Cache::stage`] gives a [`Staging`], into which the network's lanes write in any order. The bytes
//! stand in a partial of this download's own, so two writers never meet in one file. A download that
//! ends early, by a drop or a crash, leaves its partial for the next one, which goes on from the
//! journal. A file below 1 MiB is kept in memory until it is whole: to start it over is cheaper than
//! a journal.
//!
//! Memory is bounded by the [`WriteBudget`], and what a kill can cost by two segments for each file:
//! writers wait while so much is written but not recorded.

mod budget;
mod digester;
mod failure;
mod growth;
mod hasher;
mod partial;
mod recorder;
mod stage;
mod writer;

use std::fs;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use speech_flow_model_types::{Digest, RangeSet, RemoteFile, RepoId};
use tokio::sync::{Semaphore, oneshot};

pub use budget::WriteBudget;
pub(crate) use digester::Digester;
pub use growth::{Growth, Reach};
pub(crate) use partial::{Partial, partials_of, recorded_bytes};
pub use partial::{PartialOwner, partial_liveness, partial_owner};
pub use stage::{Busy, Stage};

use crate::cache::Cache;
use crate::error::CacheError;
use crate::locks::BlobLock;
use failure::Failure;
use writer::{Threads, WriteCommand};

/// Files below this length are kept in memory until they are whole.
const SMALL_FILE_BYTES: u64 = 1 << 20;

/// Largest piece that goes to the writer at once.
const PIECE_BYTES: u64 = 1 << 20;

/// A blob that is being downloaded.
///
/// Dropping it ends the download: what was handed over is written and recorded, which may block for as
/// long as the volume takes for two segments, and the next [`Cache::stage`] goes on from there.
#[derive(Debug)]
pub struct Staging {
    repo: RepoId,
    file: RemoteFile,
    resumed_bytes: u64,
    /// Bytes that were taken in. Each byte is taken once: what is hashed is what is on disk.
    accepted: Mutex<RangeSet>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory { content: Mutex<Vec<u8>>, cache: Cache, lock: Option<BlobLock> },
    Disk(Disk),
}

/// The threads end before the partial is let go: fields drop in this order.
#[derive(Debug)]
struct Disk {
    threads: Threads,
    partial: Partial,
    failure: Arc<Failure>,
    budget: WriteBudget,
    unrecorded: Arc<Semaphore>,
    piece_bytes: u64,
}

/// A whole file on disk, with the digest that its bytes have. Not verified.
#[derive(Debug)]
pub struct StagedBlob {
    pub(crate) partial: Partial,
    pub(crate) repo: RepoId,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl StagedBlob {
    /// Where the bytes stand.
    pub fn path(&self) -> PathBuf {
        self.partial.data_path()
    }

    /// Their number.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Their digest, as computed.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Staging {
    fn open(cache: &Cache, repo: &RepoId, file: &RemoteFile, lock: Option<BlobLock>) -> Result<Self, CacheError> {
        let mut accepted = RangeSet::new();
        let place = if file.size < SMALL_FILE_BYTES {
            let content = Mutex::new(vec![0; file.size as usize]);
            Place::Memory { content, cache: cache.clone(), lock }
        } else {
            let config = cache.config();
            // Half of the unrecorded budget, so that arriving bytes always fill up a segment.
            let segment_bytes = config.segment_bytes.min(u64::from(u32::MAX) / 4);
            let (partial, open) = Partial::open(cache, repo, file, lock)?;
            accepted = open.recorded.clone();
            let failure = Arc::new(Failure::new(partial.folder()));
            let started = Threads::start(open, file.digest, file.size, segment_bytes, Arc::clone(&failure));
            let threads = started.map_err(|error| CacheError::from_io("start threads for", partial.folder(), error))?;
            Place::Disk(Disk {
                threads,
                partial,
                failure,
                budget: config.write_budget.clone(),
                unrecorded: Arc::new(Semaphore::new(2 * segment_bytes as usize)),
                piece_bytes: PIECE_BYTES.min(segment_bytes).min(config.write_budget.bytes()),
            })
        };
        Ok(Self {
            repo: repo.clone(),
            file: file.clone(),
            resumed_bytes: accepted.len(),
            accepted: Mutex::new(accepted),
            place,
        })
    }

    /// The file that is downloaded.
    pub fn file(&self) -> &RemoteFile {
        &self.file
    }

    /// Bytes that an earlier download left and that are not fetched again.
    pub fn resumed_bytes(&self) -> u64 {
        self.resumed_bytes
    }

    /// A view of the bytes that are on disk already, for readers that do not wait for the last one; `None` for
    /// a file that is kept in memory until it is whole. The bytes are not verified.
    pub fn growth(&self) -> Option<Growth> {
        match &self.place {
            Place::Memory { .. } => None,
            Place::Disk(disk) => Some(disk.threads.growth()),
        }
    }

    /// Bytes taken in so far, those of an earlier download included.
    pub fn bytes_present(&self) -> u64 {
        self.accepted().len()
    }

    /// What has yet to come.
    pub fn missing(&self) -> RangeSet {
        self.accepted().missing(self.file.size)
    }

    /// Whether other processes wait for this download. Without a lock they may download it as well.
    pub fn is_locked(&self) -> bool {
        match &self.place {
            Place::Memory { lock, .. } => lock.is_some(),
            Place::Disk(disk) => disk.partial.is_locked(),
        }
    }

    /// Takes bytes in; waits while too much is on its way to the disk. Bytes that are there already are
    /// ignored.
    ///
    /// # Errors
    /// [`CacheError::PastTheEnd`], or the failure of this or an earlier write.
    ///
    /// # Cancel safety
    /// A dropped call took in a part of the bytes or none; [`Staging::missing`] is right in any case.
    pub async fn write(&self, offset: u64, bytes: Bytes) -> Result<(), CacheError> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.file.size {
            return Err(CacheError::PastTheEnd { file: self.file.path.clone(), size: self.file.size, end });
        }
        match &self.place {
            Place::Memory { content, .. } => {
                let mut content = content.lock().unwrap_or_else(PoisonError::into_inner);
                for range in self.accept(offset..end) {
                    let part = &bytes[(range.start - offset) as usize..(range.end - offset) as usize];
                    content[range.start as usize..range.end as usize].copy_from_slice(part);
                }
            }
            Place::Disk(disk) => {
                let mut start = offset;
                while start < end {
                    let piece = start..end.min(start + disk.piece_bytes);
                    start = piece.end;
                    self.write_piece(disk, offset, &bytes, piece).await?;
                }
            }
        }
        Ok(())
    }

    async fn write_piece(&self, disk: &Disk, base: u64, bytes: &Bytes, piece: Range<u64>) -> Result<(), CacheError> {
        let len = (piece.end - piece.start) as u32;
        let unrecorded = Arc::clone(&disk.unrecorded).acquire_many_owned(len).await.ok();
        let budget = disk.budget.take(len).await;
        disk.failure.check()?;
        let (Some(mut unrecorded), Some(mut budget)) = (unrecorded, budget) else {
            unreachable!("the semaphores are never closed");
        };
        // Accepting and handing over are one step, so that a restart cannot come between them.
        let mut accepted = self.accepted();
        for range in missing_of(&accepted, &piece) {
            let len = (range.end - range.start) as usize;
            let (Some(unrecorded), Some(budget)) = (unrecorded.split(len), budget.split(len)) else {
                unreachable!("the parts of a piece are no longer than the piece");
            };
            let bytes = bytes.slice((range.start - base) as usize..(range.end - base) as usize);
            let offset = range.start;
            accepted.insert(range);
            disk.threads.send(WriteCommand::Write { offset, bytes, budget, unrecorded });
        }
        Ok(())
    }

    /// Drops all bytes, those of an earlier download included: the source has other content.
    ///
    /// # Errors
    /// The failure of an earlier write, or of the volume.
    ///
    /// # Cancel safety
    /// Once called, the bytes are gone or go, whether or not the answer is awaited.
    pub async fn restart(&self) -> Result<(), CacheError> {
        let answered = {
            let mut accepted = self.accepted();
            *accepted = RangeSet::new();
            let Place::Disk(disk) = &self.place else { return Ok(()) };
            let (reply, answered) = oneshot::channel();
            disk.threads.send(WriteCommand::Restart(reply));
            answered
        };
        let _ = answered.await;
        match &self.place {
            Place::Disk(disk) => disk.failure.check(),
            Place::Memory { .. } => Ok(()),
        }
    }

    /// Waits until all bytes are written and hashed.
    ///
    /// # Errors
    /// [`CacheError::Incomplete`] when bytes are missing, or the failure of a write. What has arrived is
    /// kept for the next download.
    ///
    /// # Cancel safety
    /// Dropping it is dropping the [`Staging`].
    pub async fn finish(self) -> Result<StagedBlob, CacheError> {
        let missing = self.missing().len();
        if missing > 0 {
            if let Place::Disk(disk) = &self.place {
                disk.failure.check()?;
            }
            return Err(CacheError::Incomplete { file: self.file.path, size: self.file.size, missing });
        }
        let size = self.file.size;
        match self.place {
            Place::Memory { content, cache, lock } => {
                let content = content.into_inner().unwrap_or_else(PoisonError::into_inner);
                let mut digester = Digester::new(&self.file.digest, size);
                digester.update(&content);
                let partial = Partial::create_plain(&cache, &self.repo, &self.file, lock)?;
                let path = partial.data_path();
                fs::write(&path, &content).map_err(|error| CacheError::from_io("write", &path, error))?;
                Ok(StagedBlob { partial, repo: self.repo, digest: digester.finish(), size })
            }
            Place::Disk(disk) => {
                let (reply, answered) = oneshot::channel();
                disk.threads.send(WriteCommand::Finish(reply));
                let answer = answered.await;
                let Disk { threads, partial, failure, .. } = disk;
                // Ends when the recorder has synced the last bytes.
                drop(threads);
                failure.check()?;
                let hashed = answer.unwrap_or_else(|_| Err(io::Error::other("the hashing thread ended early")));
                let path = partial.data_path();
                let digest = hashed.map_err(|error| CacheError::from_io("read", &path, error))?;
                if !partial.is_held() {
                    return Err(CacheError::PartialLost { path: partial.folder().to_owned() });
                }
                Ok(StagedBlob { partial, repo: self.repo, digest, size })
            }
        }
    }

    fn accept(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut accepted = self.accepted();
        let fresh = missing_of(&accepted, &range);
        accepted.insert(range);
        fresh
    }

    fn accepted(&self) -> MutexGuard<'_, RangeSet> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The parts of a range that a set lacks.
fn missing_of(set: &RangeSet, range: &Range<u64>) -> Vec<Range<u64>> {
    let gaps = set.missing(range.end);
    let clipped = gaps.iter().map(|gap| gap.start.max(range.start)..gap.end);
    clipped.filter(|gap| !gap.is_empty()).collect()
}
