//! Room on the volume, promised before the first byte.
//!
//! Each running plan writes down what it will still take. A new plan counts those of living owners and
//! refuses at once when it cannot fit beside them. What a blob still takes is its length less the
//! blocks that its partial has: a download that is under way counts itself down.
//!
//! Two plans may ask at the same moment. Each writes its own record as "asking" before it reads the
//! others', so at least one of them sees the other; everything seen is counted. Where only another's
//! *asking* is in the way, the plan with the larger key withdraws and asks again, and the one with the
//! smaller waits until the other has decided. No lock is needed.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use speech_flow_model_types::{Digest, RemoteFile, RepoId};

use crate::cache::Cache;
use crate::error::CacheError;
use crate::heartbeat::Heartbeat;
use crate::layout::Layout;
use crate::owner::{Liveness, OwnerId, VolumeClock};
use crate::staging::partials_of;
use crate::trees::read_bounded;
use crate::volume;

/// Room that is left for journals, links and listings.
pub const HEADROOM_BYTES: u64 = 16 << 20;

/// How long plans that ask at the same moment wait for each other.
const CONTENTION_LIMIT: Duration = Duration::from_secs(2);
const CONTENTION_PAUSE: Duration = Duration::from_millis(5);
const MAX_RECORD_BYTES: u64 = 16 << 20;

/// Room that is promised to one plan; dropping it gives the rest back.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    record: Option<(PathBuf, Heartbeat)>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some((path, heartbeat)) = self.record.take() {
            drop(heartbeat);
            // Where it cannot be removed, it is of a dead owner soon and counts no more.
            let _ = fs::remove_file(path);
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    owner: OwnerId,
    /// The cache whose volume it is about, and the volume as the owner's kernel numbers it.
    root: PathBuf,
    device: u64,
    state: State,
    blobs: Vec<Blob>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Asking,
    Granted,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Blob {
    repo: String,
    digest: Digest,
    size: u64,
}

#[derive(Debug, Default)]
struct Others {
    granted: u64,
    asking: u64,
    /// Smallest key of those that ask.
    first_asking: Option<String>,
}

impl Cache {
    /// Promises room for files that will be downloaded.
    ///
    /// Blocks for up to two seconds while other plans decide.
    ///
    /// # Errors
    /// [`CacheError::NoSpace`] when they cannot fit beside what is promised to others.
    pub fn reserve<'a>(
        &self,
        repo: &RepoId,
        files: impl IntoIterator<Item = &'a RemoteFile>,
    ) -> Result<Reservation, CacheError> {
        let blobs: HashSet<Blob> = files
            .into_iter()
            .map(|file| Blob { repo: repo.to_string(), digest: file.digest, size: file.size })
            .collect();
        let needed = sum(blobs.iter().map(|blob| self.outstanding(self.layout().root(), blob)));
        if needed == 0 {
            return Ok(Reservation { record: None });
        }
        let root = self.layout().root();
        self.ensure_writable(root)?;
        let device = volume::device(root).map_err(|error| CacheError::from_io("look at", root, error))?;
        let blobs: Vec<Blob> = blobs.into_iter().collect();
        let owner = OwnerId::this_process().clone();
        let record = Record { owner, root: root.to_owned(), device, state: State::Asking, blobs };
        self.ask(record, needed.saturating_add(HEADROOM_BYTES))
    }

    fn ask(&self, mut record: Record, needed: u64) -> Result<Reservation, CacheError> {
        let root = self.layout().root();
        let id = volume::random_id();
        let path = self.layout().reservation(&id);
        let deadline = Instant::now() + CONTENTION_LIMIT;
        let mut reservation = Reservation { record: None };
        loop {
            if reservation.record.is_none() {
                reservation.record = self.note(&path, &record);
            }
            let others = self.others(&id, &record);
            let space = volume::space(root).map_err(|error| CacheError::from_io("look at", root, error))?;
            let Some(space) = space else { return Ok(reservation) };
            let fits_beside = |reserved: u64| space.free.saturating_sub(reserved) >= needed;
            let reserved_by_others = others.granted.saturating_add(others.asking);
            if fits_beside(reserved_by_others) {
                if reservation.record.is_some() {
                    record.state = State::Granted;
                    self.rewrite(&path, &record)?;
                }
                return Ok(reservation);
            }
            if !fits_beside(others.granted) || Instant::now() >= deadline {
                return Err(CacheError::NoSpace {
                    needed,
                    free: space.free,
                    reserved_by_others,
                    volume: root.to_owned(),
                });
            }
            if others.first_asking.is_some_and(|first| first < id) {
                reservation = Reservation { record: None };
            }
            std::thread::sleep(CONTENTION_PAUSE);
        }
    }

    /// Writes a record down. Where the state folder cannot be written to, the plan goes on unseen by others.
    fn note(&self, path: &Path, record: &Record) -> Option<(PathBuf, Heartbeat)> {
        match self.rewrite(path, record) {
            Ok(()) => Some((path.to_owned(), Heartbeat::start(path))),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the reservation of space could not be written down");
                None
            }
        }
    }

    fn rewrite(&self, path: &Path, record: &Record) -> Result<(), CacheError> {
        let failed = |error: io::Error| CacheError::from_io("write", path, error);
        let content = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
        let staged = Layout::staging_name(path, &volume::random_id());
        // Nobody needs it after a power loss, so nothing is synced.
        path.parent().map_or(Ok(()), volume::create_folders).map_err(failed)?;
        fs::write(&staged, &content).and_then(|()| fs::rename(&staged, path)).map_err(failed)
    }

    /// What living owners will still take on this volume. Blobs that this plan downloads too are left
    /// out: they take their room once.
    fn others(&self, id: &str, ours: &Record) -> Others {
        let folder = self.layout().reservations();
        let mut others = Others::default();
        let Ok(entries) = fs::read_dir(&folder) else { return others };
        let clock = VolumeClock::read(&folder).unwrap_or_else(|_| VolumeClock::of_this_machine());
        let known: HashSet<&Blob> = ours.blobs.iter().collect();
        for path in entries.flatten().map(|entry| entry.path()) {
            let key = path.file_stem().and_then(|key| key.to_str()).unwrap_or_default();
            let is_record = path.extension().is_some_and(|extension| extension == "json");
            if !is_record || key == id {
                continue;
            }
            let record = read_bounded(&path, MAX_RECORD_BYTES);
            let Some(record) = record.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok()) else { continue };
            if record.owner.liveness(clock.age(&path).ok()) == Liveness::Dead {
                // Cleaned by whoever comes by; a lost race means that another did.
                let _ = fs::remove_file(&path);
                continue;
            }
            if record.owner.host == ours.owner.host && record.device != ours.device {
                continue;
            }
            let fresh = record.blobs.iter().filter(|blob| record.root != ours.root || !known.contains(blob));
            let outstanding = sum(fresh.map(|blob| self.outstanding(&record.root, blob)));
            match record.state {
                State::Granted => others.granted = others.granted.saturating_add(outstanding),
                State::Asking => {
                    others.asking = others.asking.saturating_add(outstanding);
                    let first = others.first_asking.get_or_insert_with(|| key.to_owned());
                    if key < first.as_str() {
                        key.clone_into(first);
                    }
                }
            }
        }
        others
    }

    /// What a blob will still take in the cache at `root`.
    fn outstanding(&self, root: &Path, blob: &Blob) -> u64 {
        let Ok(repo) = blob.repo.parse::<RepoId>() else { return 0 };
        let layout = Layout::new(root, self.layout().state());
        let whole = fs::metadata(layout.blob(&repo, &blob.digest)).is_ok_and(|metadata| metadata.len() == blob.size);
        if whole {
            return 0;
        }
        let allocated = partials_of(&layout, &repo, &blob.digest)
            .iter()
            .filter_map(|partial| fs::metadata(Layout::partial_data(partial)).ok())
            .map(|data| data.blocks().saturating_mul(512))
            .max();
        blob.size.saturating_sub(allocated.unwrap_or(0))
    }
}

/// Lengths in records are untrusted: what does not fit is more than any volume has.
fn sum(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}
