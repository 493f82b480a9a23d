//! The files below the names: what a snapshot's entry leads to, and who else uses it.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{CachedRepo, Content, Orphan, OrphanKind};
use crate::owner::VolumeClock;
use crate::shared_blobs::{SharedStore, normalize};

/// Every file of the cache that holds content, by device and inode.
#[derive(Debug)]
pub(crate) struct Inventory {
    store: Option<SharedStore>,
    files: HashMap<(u64, u64), Known>,
}

#[derive(Debug)]
struct Known {
    size: u64,
    links: u64,
    names: HashSet<PathBuf>,
}

/// What one entry of a snapshot is.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// The name that a link gives: the first hop, which is what a cleaner may remove.
    pub(crate) first_hop: Option<PathBuf>,
    /// Its length; `None` when it leads nowhere.
    pub(crate) size: Option<u64>,
    /// The file in the cache that holds it.
    pub(crate) content: Option<Content>,
}

impl Inventory {
    pub(crate) fn new(store: Option<SharedStore>) -> Self {
        Self { store, files: HashMap::new() }
    }

    /// Follows an entry of a snapshot: a plain file, or a link to a blob of its repository.
    pub(crate) fn entry(&mut self, path: &Path, blobs: &Path) -> io::Result<Entry> {
        let metadata = fs::symlink_metadata(path)?;
        if metadata.is_file() {
            return Ok(Entry {
                first_hop: None,
                size: Some(metadata.len()),
                content: Some(self.know(path, &metadata)),
            });
        }
        let first_hop = first_hop(path)?;
        let size = fs::metadata(path).ok().map(|metadata| metadata.len());
        let content = if first_hop.parent() == Some(blobs) { self.blob(&first_hop)? } else { None };
        Ok(Entry { first_hop: Some(first_hop), size, content: content.filter(|_| size.is_some()) })
    }

    /// The file behind a blob's name: itself, or the payload that it links to.
    pub(crate) fn blob(&mut self, blob: &Path) -> io::Result<Option<Content>> {
        let metadata = match fs::symlink_metadata(blob) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        if metadata.is_file() {
            return Ok(Some(self.know(blob, &metadata)));
        }
        let Some(payload) = self.store.as_ref().map(|store| store.target(blob)).transpose()?.flatten() else {
            return Ok(None);
        };
        match fs::symlink_metadata(&payload) {
            Ok(metadata) if metadata.is_file() => Ok(Some(self.know(&payload, &metadata))),
            _ => Ok(None),
        }
    }

    fn know(&mut self, name: &Path, metadata: &Metadata) -> Content {
        let identity = (metadata.dev(), metadata.ino());
        let (size, links) = (metadata.len(), metadata.nlink());
        let known = self.files.entry(identity).or_insert_with(|| Known { size, links, names: HashSet::new() });
        known.names.insert(name.to_owned());
        Content { identity, size, named_outside: false }
    }

    /// Payloads that no valid reference leads to; those whose manifest is unreadable are not among them.
    pub(crate) fn unreferenced_payloads(&mut self, clock: &VolumeClock) -> Vec<Orphan> {
        let Some(store) = self.store.clone() else { return Vec::new() };
        let mut orphans = Vec::new();
        for path in store.payloads() {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            self.know(&path, &metadata);
            if store.references(&path).is_some_and(|references| references.is_empty()) {
                orphans.push(Orphan {
                    kind: OrphanKind::SharedPayload,
                    bytes: metadata.len(),
                    age_seconds: age_seconds(clock, &metadata),
                    path,
                });
            }
        }
        orphans
    }

    /// Fills in what only shows when everything is known: names outside the cache, and sizes.
    pub(crate) fn settle(&self, repos: &mut [CachedRepo]) {
        let mut users: HashMap<(u64, u64), HashSet<(usize, usize)>> = HashMap::new();
        for (repo_index, repo) in repos.iter_mut().enumerate() {
            for (index, revision) in repo.revisions.iter_mut().enumerate() {
                for content in revision.files.iter_mut().filter_map(|file| file.content.as_mut()) {
                    let known = self.files.get(&content.identity);
                    content.named_outside = known.is_some_and(|known| known.links > known.names.len() as u64);
                    users.entry(content.identity).or_default().insert((repo_index, index));
                }
            }
        }
        for repo in repos {
            let mut of_repo = HashMap::new();
            for revision in &mut repo.revisions {
                let contents: HashMap<_, _> =
                    revision.files.iter().filter_map(|file| file.content).map(|c| (c.identity, c)).collect();
                revision.size_on_disk = contents.values().map(|content| content.size).sum();
                let only_here = |content: &&Content| !content.named_outside && users[&content.identity].len() == 1;
                revision.size_unique = contents.values().filter(only_here).map(|content| content.size).sum();
                of_repo.extend(contents.into_iter().map(|(identity, content)| (identity, content.size)));
            }
            repo.size_on_disk = of_repo.values().sum::<u64>()
                + repo.partials.iter().map(|partial| partial.bytes).sum::<u64>()
                + repo.orphans.iter().map(|orphan| orphan.bytes).sum::<u64>();
        }
    }

    /// Bytes of all files, each counted once.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.files.values().map(|known| known.size).sum()
    }
}

/// Where a link leads in one step, resolved in the text alone.
pub(crate) fn first_hop(link: &Path) -> io::Result<PathBuf> {
    let folder = link.parent().unwrap_or(Path::new("/"));
    Ok(normalize(&folder.join(fs::read_link(link)?)))
}

/// Seconds since a file was last written.
pub(crate) fn age_seconds(clock: &VolumeClock, metadata: &Metadata) -> u64 {
    let written = metadata.modified().unwrap_or_else(|_| clock.now());
    clock.now().duration_since(written).map_or(0, |age| age.as_secs())
}

/// Bytes that a file takes on the volume, which are fewer than its length while it has holes.
pub(crate) fn allocated_bytes(metadata: &Metadata) -> u64 {
    (metadata.blocks() * 512).min(metadata.len())
}
