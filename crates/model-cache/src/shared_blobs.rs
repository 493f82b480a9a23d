//! The store that hf_xet shares between repositories: blobs that are links to payloads.
//!
//! ```text
//! <cache>/blobs/.huggingface-shared-blobs     marker, `1\n`; without it the folder is not ours to touch
//! <cache>/blobs/ab/ab12…                      payload, a regular file named by its Xet hash
//! <cache>/blobs/ab/ab12….refs                 one line for each blob that links to the payload
//! <cache>/blobs/ab/ab12….lock                 `flock` for publishing, linking and collecting
//! <cache>/models--o--r/blobs/<etag>           relative symlink to the payload
//! ```
//!
//! A blob of ours is removed by removing its link; then the payload goes if nobody else links to it.
//! The manifest only hints: a line counts when the link it names exists and leads to the payload. A
//! manifest that is missing or unreadable, a lock that cannot be had, a link outside the manifest: each
//! leaves the payload in place. Leaking bytes is repaired later, losing them is not.
//! Source: `huggingface_hub/utils/_shared_blobs.py` (2.4).

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::trees::read_bounded;

const STORE_FOLDER: &str = "blobs";
const MARKER: &str = ".huggingface-shared-blobs";
const MARKER_TEXT: &str = "1\n";
const REPO_PREFIXES: [&str; 4] = ["models--", "datasets--", "spaces--", "kernels--"];
/// Longest manifest that is read; a payload with a longer one stays.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(20);

/// The shared store of one cache.
#[derive(Debug, Clone)]
pub(crate) struct SharedStore {
    root: PathBuf,
}

/// What became of a link that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Released {
    /// The link is gone, and so many bytes with it: none while others use the payload.
    Removed {
        /// Bytes of the payload, when it went too.
        freed: u64,
    },
    /// Someone needs the blob again; the link stands as before.
    Kept,
}

impl SharedStore {
    /// The store of the cache at `root`; `None` where there is none that carries the marker.
    pub(crate) fn open(root: &Path) -> Option<Self> {
        let root = normalize(&std::path::absolute(root).ok()?);
        let store = root.join(STORE_FOLDER);
        let marker = store.join(MARKER);
        let marked = fs::symlink_metadata(&store).ok()?.is_dir()
            && is_regular(&marker)
            && read_bounded(&marker, MARKER_TEXT.len() as u64)? == MARKER_TEXT.as_bytes();
        marked.then_some(Self { root })
    }

    /// The payload that a repository's blob links to; `None` for a blob that is no link into the store.
    pub(crate) fn target(&self, blob: &Path) -> io::Result<Option<PathBuf>> {
        let Some(name) = self.reference_name(blob) else { return Ok(None) };
        let blob = self.root.join(&name);
        match fs::symlink_metadata(&blob) {
            Ok(metadata) if metadata.is_symlink() => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let link = match fs::read_link(&blob) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let folder = blob.parent().unwrap_or(&self.root);
        let target = normalize(&folder.join(link));
        Ok(self.is_payload_path(&target).then_some(target))
    }

    /// Payloads that stand in the store.
    pub(crate) fn payloads(&self) -> Vec<PathBuf> {
        let mut payloads = Vec::new();
        for folder in entries(&self.root.join(STORE_FOLDER)) {
            for path in entries(&folder) {
                if self.is_payload_path(&path) && is_regular(&path) {
                    payloads.push(path);
                }
            }
        }
        payloads.sort();
        payloads
    }

    /// The blobs that link to a payload, by its manifest; `None` when that cannot be told.
    pub(crate) fn references(&self, payload: &Path) -> Option<BTreeSet<PathBuf>> {
        let manifest = manifest_of(payload);
        if !is_regular(&manifest) {
            return None;
        }
        let mut references = BTreeSet::new();
        let manifest = String::from_utf8(read_bounded(&manifest, MAX_MANIFEST_BYTES)?).ok()?;
        for line in manifest.lines() {
            let candidate = self.root.join(line);
            if self.reference_name(&candidate).is_some_and(|name| name == line)
                && self.target(&candidate).ok()?.as_deref() == Some(payload)
            {
                references.insert(candidate);
            }
        }
        Some(references)
    }

    /// Removes a blob that is a link into the store, and its payload when nobody else links to it.
    ///
    /// `needed_again` is asked after the link is gone: if a snapshot came to name the blob meanwhile the
    /// link is made anew. The store's lock is held throughout, so nobody collects the payload in between.
    pub(crate) fn release(&self, blob: &Path, needed_again: impl FnOnce() -> bool) -> io::Result<Released> {
        let Some(payload) = self.target(blob)? else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the blob is no link into the shared store"));
        };
        let lock = self.lock(&payload);
        let link = fs::read_link(blob)?;
        fs::remove_file(blob)?;
        if needed_again() {
            std::os::unix::fs::symlink(link, blob)?;
            return Ok(Released::Kept);
        }
        let freed = match lock {
            Ok(_held) => self.collect(&payload),
            Err(error) => Err(error),
        };
        let freed = freed.unwrap_or_else(|error| {
            tracing::debug!(path = %payload.display(), %error, "a shared payload is left in place");
            0
        });
        Ok(Released::Removed { freed })
    }

    /// Removes a payload if its manifest can be read and nobody links to it; returns the bytes freed.
    pub(crate) fn sweep(&self, payload: &Path) -> io::Result<u64> {
        if !self.is_payload_path(payload) {
            return Ok(0);
        }
        let _held = self.lock(payload)?;
        self.collect(payload)
    }

    /// Invariant: the caller holds the payload's lock.
    fn collect(&self, payload: &Path) -> io::Result<u64> {
        let Some(mut references) = self.references(payload) else { return Ok(0) };
        if references.is_empty() {
            references = self.links_outside_the_manifest(payload)?;
        }
        if !references.is_empty() {
            self.write_manifest(payload, &references)?;
            return Ok(0);
        }
        let metadata = fs::symlink_metadata(payload)?;
        if !metadata.is_file() {
            return Ok(0);
        }
        fs::remove_file(payload)?;
        match fs::remove_file(manifest_of(payload)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(if metadata.nlink() == 1 { metadata.len() } else { 0 })
    }

    /// A copied or restored cache may have links that no manifest names. Looked for only when the
    /// payload is about to go.
    fn links_outside_the_manifest(&self, payload: &Path) -> io::Result<BTreeSet<PathBuf>> {
        let mut links = BTreeSet::new();
        for repo in fs::read_dir(&self.root)? {
            let folder = repo?.path().join("blobs");
            let blobs = match fs::read_dir(&folder) {
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    continue;
                }
                other => other?,
            };
            for blob in blobs {
                let blob = blob?.path();
                if self.target(&blob)?.as_deref() == Some(payload) {
                    links.insert(blob);
                }
            }
        }
        Ok(links)
    }

    fn write_manifest(&self, payload: &Path, references: &BTreeSet<PathBuf>) -> io::Result<()> {
        let manifest = manifest_of(payload);
        let staged = with_suffix(&manifest, &format!(".{:08x}.tmp", rand::random::<u32>()));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&staged)?;
            for name in references.iter().filter_map(|blob| self.reference_name(blob)) {
                writeln!(file, "{name}")?;
            }
            // Other users of the cache append to it.
            file.set_permissions(Permissions::from_mode(0o666))?;
            file.sync_all()?;
            fs::rename(&staged, &manifest)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&staged);
        }
        written
    }

    /// The line that stands for a blob in a manifest, `models--o--r/blobs/<etag>`.
    fn reference_name(&self, blob: &Path) -> Option<String> {
        let blob = normalize(&std::path::absolute(blob).ok()?);
        let name = blob.strip_prefix(&self.root).ok()?.to_str()?.to_owned();
        let parts: Vec<&str> = name.split('/').collect();
        let fits = match parts[..] {
            [repo, "blobs", file] => {
                REPO_PREFIXES.iter().any(|prefix| repo.len() > prefix.len() && repo.starts_with(prefix))
                    && !file.is_empty()
            }
            _ => false,
        };
        (fits && !name.contains(['\n', '\r'])).then_some(name)
    }

    fn is_payload_path(&self, path: &Path) -> bool {
        let Some(name) = path.strip_prefix(self.root.join(STORE_FOLDER)).ok().and_then(Path::to_str) else {
            return false;
        };
        let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        matches!(name.split_once('/'), Some((folder, hash))
            if folder.len() == 2 && hash.len() == 64 && hex(hash) && hash.starts_with(folder))
    }

    /// The same lock file as the Python client's, with its mode; a planted symlink is refused.
    fn lock(&self, payload: &Path) -> io::Result<File> {
        let path = with_suffix(payload, ".lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o666)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
            .open(&path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("the lock of a shared blob is no regular file"));
        }
        // Against the umask, for other users of the cache; only the owner may, and need not twice.
        let _ = file.set_permissions(Permissions::from_mode(0o666));
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(errno) if errno == rustix::io::Errno::WOULDBLOCK || errno == rustix::io::Errno::ACCESS => {}
                Err(errno) => return Err(errno.into()),
            }
            if Instant::now() >= deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the lock of a shared blob is held"));
            }
            std::thread::sleep(LOCK_POLL);
        }
    }
}

fn manifest_of(payload: &Path) -> PathBuf {
    with_suffix(payload, ".refs")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    PathBuf::from(text)
}

fn is_regular(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

/// Resolves `.` and `..` in the text alone, as the Python client compares paths.
pub(crate) fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
#[path = "shared_blobs/tests.rs"]
mod tests;
