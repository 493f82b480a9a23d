//! One writer's folder for one blob, and how it changes hands.
//!
//! A partial belongs to whom its `owner.json` names, and only while the id in there is the one in the
//! folder's name. It is claimed by renaming the folder to a new id: one of several claimers wins. Each
//! puts its record into the folder first, under a name that has the new id in it, so that whoever is
//! killed right after the rename has left a name, and the next run need not wait for [`SILENT_AFTER`].
//!
//! After a crash: `data` and `journal` are there or not, whole or torn; the journal decides, and what
//! it does not vouch for is fetched again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use speech_flow_model_types::{Digest, RangeSet, RemoteFile, RepoId};

use crate::cache::Cache;
use crate::error::CacheError;
use crate::heartbeat::{HEARTBEAT_INTERVAL, Heartbeat, touch};
use crate::journal::{HEADER_LEN, JournalHeader, MAX_JOURNAL_LEN, parse_journal};
use crate::layout::Layout;
use crate::locks::BlobLock;
use crate::owner::{Liveness, OwnerId, SILENT_AFTER, VolumeClock};
use crate::trees::read_bounded;
use crate::volume;

const MAX_OWNER_BYTES: u64 = 64 << 10;

/// Who writes a partial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartialOwner {
    /// The id in the folder's name, when this was written.
    pub id: String,
    /// The process.
    pub owner: OwnerId,
    /// Whether the process has let go of it.
    pub released: bool,
}

/// Whose a partial is; `None` when its record is missing, damaged or of an earlier owner.
pub fn partial_owner(partial: &Path) -> Option<PartialOwner> {
    owner_record(partial).map(|(owner, _)| owner)
}

/// The owner's record, and the file that it is in: `owner.json`, or that of a claim in progress.
fn owner_record(partial: &Path) -> Option<(PartialOwner, PathBuf)> {
    let name = partial.file_name()?.to_str()?;
    let (_, id) = Layout::parse_partial(name)?;
    let read = |path: &Path| {
        let bytes = read_bounded(path, MAX_OWNER_BYTES)?;
        serde_json::from_slice(&bytes).ok().filter(|owner: &PartialOwner| owner.id == id)
    };
    let places = [Layout::partial_owner(partial), staged_record(partial, id)];
    places.into_iter().find_map(|path| Some((read(&path)?, path)))
}

/// Whether somebody writes a partial, as far as known.
pub fn partial_liveness(partial: &Path, clock: &VolumeClock) -> Liveness {
    match owner_record(partial) {
        Some((owner, _)) if owner.released => Liveness::Dead,
        Some((owner, record)) => owner.owner.liveness(clock.age(&record).ok()),
        // Just being made, or left by a crash in such a moment.
        None => match clock.age(partial) {
            Ok(age) if age > SILENT_AFTER => Liveness::Dead,
            _ => Liveness::Unknown,
        },
    }
}

/// A partial that is this download's own. Dropping it lets go of it, so that the next run claims it.
#[derive(Debug)]
pub(crate) struct Partial {
    folder: PathBuf,
    id: String,
    heartbeat: Option<Arc<Heartbeat>>,
    end: End,
    /// Let go last.
    _lock: Option<BlobLock>,
}

/// What becomes of the folder when its owner is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Release,
    Remove,
}

/// A partial's open files.
#[derive(Debug)]
pub(super) struct OpenPartial {
    pub(super) data: File,
    pub(super) journal: Journaled,
    pub(super) recorded: RangeSet,
}

/// An open journal at its end.
#[derive(Debug)]
pub(super) struct Journaled {
    pub(super) file: File,
    pub(super) header: JournalHeader,
    pub(super) path: PathBuf,
    pub(super) data_path: PathBuf,
    heartbeat: Arc<Heartbeat>,
}

impl Journaled {
    /// Whether the partial is still this download's.
    pub(super) fn is_held(&self) -> bool {
        self.heartbeat.is_held()
    }

    /// The same for a thread that cannot ask each time.
    pub(super) fn claim(&self) -> Claim {
        Claim { heartbeat: Arc::clone(&self.heartbeat), proven: (Instant::now(), SystemTime::now()) }
    }
}

/// A claim on a partial that was proven a while ago.
///
/// A process that wakes from a long suspend holds the file open that another download owns by now, maybe
/// under a blob's final name: it must ask before it writes.
#[derive(Debug)]
pub(super) struct Claim {
    heartbeat: Arc<Heartbeat>,
    /// By both clocks: the monotonic one stands still while the machine is suspended.
    proven: (Instant, SystemTime),
}

impl Claim {
    /// Whether the partial is still this download's; looked up when the last look is older than a heartbeat.
    pub(super) fn is_fresh(&mut self) -> bool {
        self.is_fresh_for(HEARTBEAT_INTERVAL)
    }

    fn is_fresh_for(&mut self, trusted: Duration) -> bool {
        let (ran, passed) = (self.proven.0.elapsed(), self.proven.1.elapsed());
        if ran < trusted && passed.is_ok_and(|passed| passed < trusted) {
            return true;
        }
        self.proven = (Instant::now(), SystemTime::now());
        self.heartbeat.is_held()
    }
}

impl Partial {
    /// A folder without journal or heartbeat, for a file that is small enough to start over.
    pub(super) fn create_plain(
        cache: &Cache,
        repo: &RepoId,
        file: &RemoteFile,
        lock: Option<BlobLock>,
    ) -> Result<Self, CacheError> {
        cache.create_folder(&cache.layout().partials(repo))?;
        let id = volume::random_id();
        let folder = cache.layout().partial(repo, &file.digest, &id);
        fs::create_dir(&folder).map_err(|error| CacheError::from_io("make the folder", &folder, error))?;
        Ok(Self { folder, id, heartbeat: None, end: End::Remove, _lock: lock })
    }

    /// A new folder, or a dead owner's with the most bytes; the other dead ones of the blob go.
    pub(super) fn open(
        cache: &Cache,
        repo: &RepoId,
        file: &RemoteFile,
        lock: Option<BlobLock>,
    ) -> Result<(Self, OpenPartial), CacheError> {
        let header = JournalHeader { digest: file.digest, size: file.size };
        let mut lock = lock;
        remove_leftovers(cache, repo);
        let claimable = claimable(cache, repo, file);
        let best = claimable.first().filter(|(recorded, _)| *recorded > 0);
        if let Some((_, folder)) = best
            && let Some(mut partial) = Self::claim(cache, repo, file, folder)
        {
            match partial.reopen(header) {
                Ok(open) => {
                    partial._lock = lock.take();
                    remove_dead(cache, repo, &claimable[1..]);
                    return Ok((partial, open));
                }
                Err(error) => {
                    tracing::warn!(path = %partial.folder.display(), %error, "a partial download starts over");
                    partial.end = End::Remove;
                }
            }
        }
        remove_dead(cache, repo, &claimable);
        let mut partial = Self::create_plain(cache, repo, file, lock)?;
        let heartbeat = write_owner(&partial.folder, &partial.id);
        let open = heartbeat.and_then(|heartbeat| {
            partial.heartbeat = Some(Arc::new(heartbeat));
            partial.create(header)
        });
        let open = open.map_err(|error| CacheError::from_io("prepare", &partial.folder, error))?;
        partial.end = End::Release;
        Ok((partial, open))
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bytes.
    pub(crate) fn data_path(&self) -> PathBuf {
        Layout::partial_data(&self.folder)
    }

    /// Whether this download has the blob's lock.
    pub(super) fn is_locked(&self) -> bool {
        self._lock.is_some()
    }

    /// Whether no other process took it.
    pub(crate) fn is_held(&self) -> bool {
        self.heartbeat.as_ref().is_none_or(|heartbeat| heartbeat.is_held())
    }

    /// Its bytes are worth nothing, or are in their final place.
    pub(crate) fn remove_on_drop(&mut self) {
        self.end = End::Remove;
    }

    /// Without records the partial is only a claim on the volume's room.
    fn has_records(&self) -> bool {
        fs::metadata(Layout::partial_journal(&self.folder)).is_ok_and(|journal| journal.len() > HEADER_LEN as u64)
    }

    fn claim(cache: &Cache, repo: &RepoId, file: &RemoteFile, folder: &Path) -> Option<Self> {
        let id = volume::random_id();
        let ours = cache.layout().partial(repo, &file.digest, &id);
        // The record and the touch come first: under its new name the folder must neither be nobody's nor look old.
        stage_record(folder, &id, false).and_then(|()| touch(folder)).and_then(|()| fs::rename(folder, &ours)).ok()?;
        let heartbeat = match place_record(&ours, &id) {
            Ok(()) => Some(Arc::new(Heartbeat::start(Layout::partial_owner(&ours)))),
            Err(error) => {
                tracing::debug!(path = %ours.display(), %error, "a claimed partial could not be marked");
                None
            }
        };
        Some(Self { folder: ours, id, heartbeat, end: End::Release, _lock: None })
    }

    fn reopen(&self, header: JournalHeader) -> io::Result<OpenPartial> {
        let path = Layout::partial_journal(&self.folder);
        // What another user of the volume left here decides on nothing but itself: no link is followed.
        let mut file = volume::open_own(&path)?;
        let mut bytes = Vec::new();
        (&file).take(MAX_JOURNAL_LEN).read_to_end(&mut bytes)?;
        let journal = parse_journal(&bytes).map_err(io::Error::other)?;
        if journal.header != header {
            return Err(io::Error::other("the journal is of another file"));
        }
        let data = volume::open_own(&self.data_path())?;
        if data.metadata()?.len() != header.size {
            return Err(io::Error::other("the data has another length"));
        }
        file.set_len(journal.valid_len)?;
        file.seek(SeekFrom::End(0))?;
        // Allocated again: an interrupted start or a copied volume may have left holes.
        volume::allocate(&data, header.size)?;
        Ok(OpenPartial { data, journal: self.journaled(file, header)?, recorded: journal.recorded })
    }

    fn create(&self, header: JournalHeader) -> io::Result<OpenPartial> {
        let new = |path: PathBuf| OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let data = new(self.data_path())?;
        volume::allocate(&data, header.size)?;
        let mut file = new(Layout::partial_journal(&self.folder))?;
        file.write_all(&header.encode())?;
        file.sync_data()?;
        volume::sync_folder(&self.folder)?;
        self.folder.parent().map_or(Ok(()), volume::sync_folder)?;
        Ok(OpenPartial { data, journal: self.journaled(file, header)?, recorded: RangeSet::new() })
    }

    fn journaled(&self, file: File, header: JournalHeader) -> io::Result<Journaled> {
        let heartbeat = self.heartbeat.clone().ok_or_else(|| io::Error::other("the partial has no heartbeat"))?;
        let path = Layout::partial_journal(&self.folder);
        Ok(Journaled { file, header, path, data_path: self.data_path(), heartbeat })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_held() {
            return;
        }
        self.heartbeat = None;
        let end = if self.has_records() { self.end } else { End::Remove };
        let ended = match end {
            End::Remove => fs::remove_dir_all(&self.folder),
            End::Release => write_record(&self.folder, &self.id, true),
        };
        match ended {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(path = %self.folder.display(), %error, "a partial could not be let go");
            }
            _ => {}
        }
    }
}

fn write_owner(folder: &Path, id: &str) -> io::Result<Heartbeat> {
    write_record(folder, id, false)?;
    Ok(Heartbeat::start(Layout::partial_owner(folder)))
}

fn write_record(folder: &Path, id: &str, released: bool) -> io::Result<()> {
    stage_record(folder, id, released)?;
    place_record(folder, id)
}

fn stage_record(folder: &Path, id: &str, released: bool) -> io::Result<()> {
    let record = PartialOwner { id: id.to_owned(), owner: OwnerId::this_process().clone(), released };
    fs::write(staged_record(folder, id), serde_json::to_vec(&record)?)
}

fn place_record(folder: &Path, id: &str) -> io::Result<()> {
    fs::rename(staged_record(folder, id), Layout::partial_owner(folder))
}

/// Where a record is before it is in its place.
fn staged_record(folder: &Path, id: &str) -> PathBuf {
    Layout::staging_name(&Layout::partial_owner(folder), id)
}

/// The partials of a blob.
pub(crate) fn partials_of(layout: &Layout, repo: &RepoId, digest: &Digest) -> Vec<PathBuf> {
    let folder = layout.partials(repo);
    let Some(entries) = fs::read_dir(&folder).ok().filter(|_| !volume::is_link(&folder)) else { return Vec::new() };
    let names_blob = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.and_then(Layout::parse_partial).is_some_and(|(named, _)| named == *digest)
    };
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(names_blob).collect()
}

/// How many bytes a partial's journal vouches for.
pub(crate) fn recorded_bytes(partial: &Path, file: &RemoteFile) -> u64 {
    let bytes = read_bounded(&Layout::partial_journal(partial), MAX_JOURNAL_LEN);
    let journal = bytes.and_then(|bytes| parse_journal(&bytes).ok());
    let fits = |header: JournalHeader| header == JournalHeader { digest: file.digest, size: file.size };
    journal.filter(|journal| fits(journal.header)).map_or(0, |journal| journal.recorded.len())
}

/// The partials of a blob that nobody writes, that with the most bytes first.
fn claimable(cache: &Cache, repo: &RepoId, file: &RemoteFile) -> Vec<(u64, PathBuf)> {
    let partials = partials_of(cache.layout(), repo, &file.digest);
    if partials.is_empty() {
        return Vec::new();
    }
    let clock = VolumeClock::read(&cache.layout().partials(repo)).unwrap_or_else(|_| VolumeClock::of_this_machine());
    let dead = partials.into_iter().filter(|partial| partial_liveness(partial, &clock) == Liveness::Dead);
    let mut claimable: Vec<_> = dead.map(|partial| (recorded_bytes(&partial, file), partial)).collect();
    claimable.sort_by(|a, b| b.cmp(a));
    claimable
}

/// Takes each dead partial out of the way by a rename first: a claimer must not lose files under its hands.
fn remove_dead(cache: &Cache, repo: &RepoId, dead: &[(u64, PathBuf)]) {
    for (_, partial) in dead {
        let aside = cache.layout().repo_staging(repo, &volume::random_id());
        if fs::rename(partial, &aside).is_ok()
            && let Err(error) = fs::remove_dir_all(&aside)
        {
            tracing::debug!(path = %aside.display(), %error, "a dead partial could not be removed");
        }
    }
}

/// What a crash left of links and folders on their way, once nobody can be at it any more.
fn remove_leftovers(cache: &Cache, repo: &RepoId) {
    let folder = cache.layout().partials(repo);
    if volume::is_link(&folder) {
        return;
    }
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let hidden: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_hidden(path)).collect();
    if hidden.is_empty() {
        return;
    }
    let Ok(clock) = VolumeClock::read(&folder) else { return };
    for path in hidden {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let age = metadata.modified().ok().and_then(|touched| clock.now().duration_since(touched).ok());
        if age.is_none_or(|age| age <= SILENT_AFTER) {
            continue;
        }
        let removed = if metadata.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        if let Err(error) = removed {
            tracing::debug!(path = %path.display(), %error, "a leftover could not be removed");
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_looked_up_again_after_a_while() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("owner.json");
        fs::write(&path, b"{}").expect("writes");
        let heartbeat = Arc::new(Heartbeat::start(&path));
        let mut claim = Claim { heartbeat, proven: (Instant::now(), SystemTime::now()) };
        assert!(claim.is_fresh_for(Duration::ZERO));
        fs::rename(&path, folder.path().join("taken")).expect("renames");
        assert!(claim.is_fresh(), "a moment ago it was held");
        let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
        claim.proven.1 = an_hour_ago;
        assert!(!claim.is_fresh(), "the machine slept, and the claim is gone");
    }
}
