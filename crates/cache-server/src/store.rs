//! Blobs that are in a cache, and whether their bytes are known to be right.
//!
//! What this server fetched was hashed as it arrived. What another program left under a blob's name is hashed
//! once before it is served; the memory of that is a small file with the blob's identity, so that it is hashed
//! again when it changes.

use std::collections::HashMap;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use speech_flow_model_cache::{Cache, CacheError, FileVerdict, verify_file};
use speech_flow_model_types::{CommitHash, Digest, RemoteFile, RepoId};

use crate::server::Server;

/// Blobs that are remembered in memory.
const MOST: usize = 100_000;

/// A blob that may be served.
#[derive(Debug)]
pub(crate) struct StoredBlob {
    pub(crate) file: File,
    pub(crate) cache: Cache,
}

/// Which blobs are known to be right, and where they were last found.
#[derive(Debug)]
pub(crate) struct Trusted {
    folder: PathBuf,
    known: Mutex<HashMap<(PathBuf, Digest), String>>,
    places: Mutex<HashMap<(RepoId, Digest), (Cache, PathBuf)>>,
    /// One blob is hashed at a time.
    hashing: Mutex<()>,
}

impl Trusted {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, known: Mutex::default(), places: Mutex::default(), hashing: Mutex::default() }
    }

    /// The blob where it was last found, if the file there is still the one that was looked at then. Saves the search
    /// in all caches, which costs more than sending a small file.
    fn found_again(&self, key: &(RepoId, Digest)) -> Option<StoredBlob> {
        let (cache, path) = self.places().get(key).cloned()?;
        let file = open(&path).ok()?;
        let identity = identity(&file.metadata().ok()?);
        let is_same = self.known().get(&(path, key.1)).is_some_and(|known| *known == identity);
        is_same.then_some(StoredBlob { file, cache })
    }

    fn places(&self) -> std::sync::MutexGuard<'_, HashMap<(RepoId, Digest), (Cache, PathBuf)>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember_place(&self, key: (RepoId, Digest), cache: &Cache, path: PathBuf) {
        let mut places = self.places();
        if places.len() >= MOST {
            places.clear();
        }
        places.insert(key, (cache.clone(), path));
    }

    fn is_known(&self, path: &Path, digest: Digest, identity: &str) -> bool {
        let key = (path.to_owned(), digest);
        if self.known().get(&key).is_some_and(|known| known == identity) {
            return true;
        }
        if fs::read_to_string(self.note_path(digest, identity)).is_ok() {
            self.remember(key, identity);
            return true;
        }
        false
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(PathBuf, Digest), String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, key: (PathBuf, Digest), identity: &str) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, identity.to_owned());
    }

    /// Remembers a blob that was just hashed. A note that cannot be written costs another hash later.
    fn trust(&self, path: &Path, digest: Digest, identity: &str) {
        self.remember((path.to_owned(), digest), identity);
        let note = self.note_path(digest, identity);
        let written = fs::create_dir_all(&self.folder).and_then(|()| fs::write(&note, ""));
        if let Err(error) = written {
            tracing::debug!(path = %note.display(), %error, "a verified blob could not be noted");
        }
    }

    fn note_path(&self, digest: Digest, identity: &str) -> PathBuf {
        self.folder.join(format!("{digest}.{identity}"))
    }
}

impl Server {
    /// Opens a blob whose bytes are known to be right. A corrupt one is put away and counts as missing. Blocks,
    /// for as long as hashing takes when the blob is met for the first time.
    pub(crate) fn open_blob(
        &self,
        repo: &RepoId,
        commit: &CommitHash,
        file: &RemoteFile,
    ) -> Result<Option<StoredBlob>, CacheError> {
        let key = (repo.clone(), file.digest);
        if let Some(blob) = self.inner.trusted.found_again(&key) {
            return Ok(Some(blob));
        }
        for cache in self.caches() {
            // A snapshot on a volume without links may hold the bytes itself.
            let blob = cache.layout().blob(repo, &file.digest);
            let entry = cache.layout().snapshot_file(repo, commit, &file.path);
            let path = if cache.has_blob(repo, file) {
                blob
            } else if cache.is_linked(repo, commit, file) {
                entry
            } else {
                continue;
            };
            let Ok(opened) = open(&path) else { continue };
            let Ok(identity) = opened.metadata().map(|metadata| identity(&metadata)) else { continue };
            let trusted = &self.inner.trusted;
            if !trusted.is_known(&path, file.digest, &identity) {
                let _turn = trusted.hashing.lock().unwrap_or_else(PoisonError::into_inner);
                if !trusted.is_known(&path, file.digest, &identity) && !self.hash(cache, repo, commit, file, &path)? {
                    continue;
                }
                trusted.trust(&path, file.digest, &identity);
            }
            trusted.remember_place(key, cache, path);
            return Ok(Some(StoredBlob { file: opened, cache: cache.clone() }));
        }
        Ok(None)
    }

    /// Takes a blob's bytes for right: they were hashed on their way in. Blocks.
    pub(crate) fn trust_blob(&self, cache: &Cache, repo: &RepoId, file: &RemoteFile) {
        let path = cache.layout().blob(repo, &file.digest);
        if let Ok(metadata) = fs::metadata(&path) {
            self.inner.trusted.trust(&path, file.digest, &identity(&metadata));
        }
    }

    /// Hashes what another program left; whether it is right.
    fn hash(
        &self,
        cache: &Cache,
        repo: &RepoId,
        commit: &CommitHash,
        file: &RemoteFile,
        path: &Path,
    ) -> Result<bool, CacheError> {
        let stop = &self.inner.stop;
        let go_on = |_| if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let actual = match verify_file(path, file, go_on)? {
            FileVerdict::Sound => return Ok(true),
            FileVerdict::Missing => return Ok(false),
            FileVerdict::Corrupt { actual, .. } => actual,
        };
        self.inner.metrics.verification_failures.inc_by(1);
        let message = format!("`{}` of `{repo}` was damaged in the cache: it is put away and fetched again", file.path);
        self.inner.log.note(message, Some("check the volume and who else writes to it".to_owned()));
        match cache.quarantine_file(repo, commit, file, actual, "found damaged by the cache server") {
            Ok(_) => self.inner.metrics.quarantined.inc_by(1),
            Err(error) => self.inner.log.problem("a damaged file could not be put away", &error, None::<String>),
        }
        Ok(false)
    }
}

/// Opens a file; a pipe in its place would otherwise wait for its other end.
fn open(path: &Path) -> std::io::Result<File> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path)
}

/// What changes when a file's content does, as far as a volume shows it.
fn identity(metadata: &fs::Metadata) -> String {
    let parts = [metadata.ino().to_string(), metadata.size().to_string(), mtime(metadata)];
    parts.join("-")
}

fn mtime(metadata: &fs::Metadata) -> String {
    format!("{}.{}", metadata.mtime(), metadata.mtime_nsec())
}

/// A file that is open for reading, shared by what reads it.
pub(crate) type SharedFile = Arc<File>;
