//! How something leaves a cache: safe against readers, writers, other cleaners and SIGKILL.
//!
//! # Order
//! The refs to the commit; the snapshot, renamed aside as a whole and then deleted; the blobs that no
//! other snapshot names; listing, `.no_exist` and usage; empty folders. Killed in between, the cache
//! holds a snapshot without a ref, something in `.going`, or blobs that nobody names: never a name that
//! leads nowhere. The next clean-up removes the rest, and brings back what someone leased meanwhile.
//!
//! # Races
//! A snapshot is renamed aside *before* the leases are looked at again, and back if there is one, all under
//! a declared [`Intent`]: see [`crate::leases`]. A blob goes the same way: renamed aside, then the snapshots are read again. A
//! writer links first and then looks whether the blob is there, so one of both sees the other. A link
//! into the shared store is removed and made again instead, under the store's lock, because a manifest
//! counts it only under its name.
//!
//! What is put aside is touched first: another cleaner takes it for left behind only when that is older
//! than [`SILENT_AFTER`](crate::owner::SILENT_AFTER).

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use speech_flow_model_types::{CommitHash, RepoId, Revision};

use super::Hold;
use crate::Cache;
use crate::error::CacheError;
use crate::heartbeat::touch;
use crate::layout::Layout;
use crate::leases::Intent;
use crate::owner::OwnerId;
use crate::pins::PinRole;
use crate::scan::inventory::{allocated_bytes, first_hop};
use crate::scan::repo::blobs_of_plain_files;
use crate::scan::{Orphan, OrphanKind};
use crate::shared_blobs::{Released, SharedStore, normalize};
use crate::state_files::{file_name, folder_entries, found, remove_file};
use crate::volume::is_link;

/// The removal of parts of one repository.
#[derive(Debug)]
pub(crate) struct Removal<'a> {
    cache: &'a Cache,
    repo: &'a RepoId,
    store: Option<SharedStore>,
}

/// How often a folder that another cleaner removes is made again.
const ATTEMPTS: usize = 5;

/// What became of a revision.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Removed { freed_bytes: u64 },
    Held(Hold),
    Absent,
}

impl<'a> Removal<'a> {
    pub(crate) fn new(cache: &'a Cache, repo: &'a RepoId) -> Self {
        Self { cache, repo, store: SharedStore::open(cache.layout().root()) }
    }

    /// Removes a revision, unless someone holds it.
    pub(crate) fn revision(&self, commit: &CommitHash) -> Result<Outcome, CacheError> {
        let snapshot = self.cache.layout().snapshot(self.repo, commit);
        if !snapshot.is_dir() {
            return Ok(Outcome::Absent);
        }
        let intent = Intent::declare(self.cache, self.repo, commit)?;
        let scanned = self.cache.scan_one(self.repo)?;
        let Some(revision) = scanned.revisions.iter().find(|revision| revision.commit == *commit) else {
            return Ok(Outcome::Absent);
        };
        if let Some(hold) = Hold::of(revision) {
            return Ok(Outcome::Held(hold));
        }
        for name in &revision.refs {
            self.remove_ref(name, commit)?;
        }
        let Some(aside) = self.put_aside(&snapshot)? else { return Ok(Outcome::Absent) };
        if let Some(hold) = self.hold_now(commit)? {
            put_back(&aside, &snapshot)?;
            for name in &revision.refs {
                if self.cache.read_ref(self.repo, name).is_none() {
                    self.cache.write_ref(self.repo, name, commit)?;
                }
            }
            return Ok(Outcome::Held(hold));
        }
        drop(intent);
        Ok(Outcome::Removed { freed_bytes: self.finish(commit, &aside)? })
    }

    /// Deletes a snapshot that was put aside, and what only it needed.
    fn finish(&self, commit: &CommitHash, aside: &Path) -> Result<u64, CacheError> {
        let layout = self.cache.layout();
        let aside = &self.doom(aside)?;
        let mut blobs = links_below(aside)?;
        blobs.extend(blobs_of_plain_files(self.cache, self.repo, commit, aside));
        let mut freed = delete_tree(aside, Metadata::len)?;
        let folder = normalize(&layout.blobs(self.repo));
        let named = self.named_blobs();
        for blob in blobs.iter().filter(|blob| blob.parent() == Some(&folder)) {
            if named.as_ref().is_some_and(|named| !named.contains(blob)) {
                freed += self.blob(blob)?.unwrap_or(0);
            }
        }
        // Fetched again meanwhile: then the rest belongs to the new one.
        if !layout.snapshot(self.repo, commit).exists() {
            remove_file(&layout.tree(self.repo, commit))?;
            delete_tree(&layout.no_exists(self.repo).join(commit.as_str()), Metadata::len)?;
            remove_file(&layout.usage_mark(self.repo, commit))?;
            remove_file(&layout.usage_record(self.repo, commit))?;
            // A link in the folder's place, by whomever, leads to what is not ours.
            if !is_link(&layout.repo_prepared(self.repo)) {
                freed += delete_tree(&layout.prepared(self.repo, commit), Metadata::len)?;
            }
        }
        Ok(freed)
    }

    /// Marks what is aside as decided, so that nobody brings it back half deleted.
    fn doom(&self, aside: &Path) -> Result<PathBuf, CacheError> {
        if Layout::is_doomed(aside) {
            return Ok(aside.to_owned());
        }
        let doomed = Layout::doomed(aside);
        fs::rename(aside, &doomed).map_err(|source| CacheError::from_io("remove", aside, source))?;
        Ok(doomed)
    }

    /// What came to hold a revision since it was looked at.
    fn hold_now(&self, commit: &CommitHash) -> Result<Option<Hold>, CacheError> {
        if let Some(lease) = self.cache.lease_on(self.repo, commit)? {
            return Ok(Some(Hold::Leased { lease: Box::new(lease) }));
        }
        let pinned = self.cache.read_pins()?.role(self.repo, commit) == Some(PinRole::Pinned);
        Ok(pinned.then_some(Hold::Pinned))
    }

    /// A ref that was moved to another commit meanwhile stays.
    fn remove_ref(&self, name: &Revision, commit: &CommitHash) -> Result<(), CacheError> {
        if self.cache.read_ref(self.repo, name).as_ref() == Some(commit) {
            remove_file(&self.cache.layout().reference(self.repo, name))?;
        }
        Ok(())
    }

    /// Removes a blob unless a snapshot names it; `None` when it stays or was gone already.
    pub(crate) fn blob(&self, blob: &Path) -> Result<Option<u64>, CacheError> {
        let failed = |source| CacheError::from_io("remove", blob, source);
        // What cannot be read may name it.
        let needed = || self.named_blobs().is_none_or(|named| named.contains(blob));
        if needed() {
            return Ok(None);
        }
        let Some(metadata) = found(fs::symlink_metadata(blob)).map_err(failed)? else { return Ok(None) };
        if metadata.is_symlink() {
            let target = self.store.as_ref().map(|store| store.target(blob)).transpose().map_err(failed)?.flatten();
            return match (&self.store, target) {
                (Some(store), Some(_)) => match store.release(blob, needed).map_err(failed)? {
                    Released::Removed { freed } => Ok(Some(freed)),
                    Released::Kept => Ok(None),
                },
                // A link to a place that is not ours: what it leads to is left alone.
                _ => Ok(remove_file(blob)?.then_some(0)),
            };
        }
        let Some(aside) = self.put_aside(blob)? else { return Ok(None) };
        if needed() {
            put_back(&aside, blob)?;
            return Ok(None);
        }
        delete_tree(&aside, Metadata::len).map(Some)
    }

    /// Removes a dead download. Of two that take it, a cleaner and a writer that resumes it, one wins.
    pub(crate) fn partial(&self, partial: &Path) -> Result<Option<u64>, CacheError> {
        match self.put_aside(partial)? {
            Some(aside) => delete_tree(&aside, allocated_bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Removes a file that no snapshot names, after another look; `None` when it stays.
    pub(crate) fn orphan(&self, orphan: &Orphan) -> Result<Option<u64>, CacheError> {
        match orphan.kind {
            OrphanKind::Blob => self.blob(&orphan.path),
            OrphanKind::Going => self.left_behind(&orphan.path),
            OrphanKind::PythonIncomplete | OrphanKind::Temporary => {
                delete_tree(&orphan.path, allocated_bytes).map(Some)
            }
            OrphanKind::SharedPayload => match &self.store {
                Some(store) => store.sweep(&orphan.path).map(Some).or_else(|error| {
                    tracing::debug!(path = %orphan.path.display(), %error, "a shared payload is left in place");
                    Ok(None)
                }),
                None => Ok(None),
            },
        }
    }

    /// Ends what a killed cleaner began: back where someone needs it, else away.
    fn left_behind(&self, aside: &Path) -> Result<Option<u64>, CacheError> {
        let layout = self.cache.layout();
        let name = file_name(aside).split('.').next().unwrap_or_default();
        if let Ok(commit) = name.parse::<CommitHash>()
            && aside.is_dir()
        {
            let snapshot = layout.snapshot(self.repo, &commit);
            if !Layout::is_doomed(aside) && self.hold_now(&commit)?.is_some() && !snapshot.exists() {
                put_back(aside, &snapshot)?;
                return Ok(None);
            }
            return self.finish(&commit, aside).map(Some);
        }
        if aside.is_file() {
            let blob = normalize(&layout.blobs(self.repo)).join(name);
            let needed = self.named_blobs().is_none_or(|named| named.contains(&blob));
            if needed && !blob.exists() {
                put_back(aside, &blob)?;
                return Ok(None);
            }
        }
        delete_tree(aside, Metadata::len).map(Some)
    }

    /// Removes what a repository without snapshots still has.
    pub(crate) fn leftovers(&self) -> Result<(), CacheError> {
        let layout = self.cache.layout();
        for folder in [layout.refs(self.repo), layout.trees(self.repo), layout.no_exists(self.repo)] {
            delete_tree(&folder, Metadata::len)?;
        }
        Ok(())
    }

    /// Removes empty folders. The folder of snapshots goes last and only with the repository's: without
    /// it the Python client calls the repository corrupt.
    pub(crate) fn tidy(&self) {
        let layout = self.cache.layout();
        let folder = layout.repo(self.repo);
        for path in folder_entries(&folder).unwrap_or_default() {
            match file_name(&path) {
                "snapshots" => {}
                "refs" | ".no_exist" => remove_empty(&path),
                // What is inside is someone's, also when it is empty.
                _ => drop(fs::remove_dir(&path)),
            }
        }
        if folder_entries(&folder).is_ok_and(|rest| rest.iter().all(|path| *path == layout.snapshots(self.repo))) {
            let _ = fs::remove_dir(layout.snapshots(self.repo));
            let _ = fs::remove_dir(&folder);
        }
    }

    /// Blobs that a snapshot names, or one that may come back; `None` when that cannot be told.
    fn named_blobs(&self) -> Option<HashSet<PathBuf>> {
        let layout = self.cache.layout();
        let mut named = HashSet::new();
        for folder in [layout.snapshots(self.repo), layout.going(self.repo)] {
            for snapshot in folder_entries(&folder).ok()? {
                if snapshot.is_dir() {
                    named.extend(links_below(&snapshot).ok()?);
                    if let Ok(commit) = file_name(&snapshot).split('.').next().unwrap_or_default().parse() {
                        named.extend(blobs_of_plain_files(self.cache, self.repo, &commit, &snapshot));
                    }
                }
            }
        }
        Some(named)
    }

    /// Renames something into `.going`; `None` when it is not there any more.
    fn put_aside(&self, path: &Path) -> Result<Option<PathBuf>, CacheError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let failed = |source| CacheError::from_io("put aside", path, source);
        let layout = self.cache.layout();
        let id = format!("{}-{}", OwnerId::this_process().short(), NEXT.fetch_add(1, Ordering::Relaxed));
        let aside = layout.going_entry(self.repo, file_name(path), &id);
        // Another cleaner may remove the folder, empty as it is, before this one uses it.
        for _ in 0..ATTEMPTS {
            self.cache.create_folder(&layout.going(self.repo))?;
            if found(touch(path)).map_err(failed)?.is_none() {
                return Ok(None);
            }
            if found(fs::rename(path, &aside)).map_err(failed)?.is_some() {
                return Ok(Some(aside));
            }
        }
        Ok(None)
    }
}

/// Brings something back. Where a new one came into its place, that one gets what it lacks.
fn put_back(aside: &Path, place: &Path) -> Result<(), CacheError> {
    let failed = |source| CacheError::from_io("bring back", place, source);
    if aside.is_dir() && place.is_dir() {
        for entry in folder_entries(aside)? {
            put_back(&entry, &place.join(file_name(&entry)))?;
        }
        // Not empty where both have a file: the new one counts.
        return delete_tree(aside, Metadata::len).map(drop);
    }
    if fs::symlink_metadata(place).is_ok() {
        return Ok(());
    }
    match fs::rename(aside, place) {
        // Made anew between the look and the rename.
        Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
            put_back(aside, place)
        }
        other => other.map_err(failed),
    }
}

/// Deletes a file or a folder with everything in it, following no link; returns the bytes that the
/// volume gets back. A file with another name frees nothing.
fn delete_tree(path: &Path, measure: fn(&Metadata) -> u64) -> Result<u64, CacheError> {
    let failed = |source| CacheError::from_io("remove", path, source);
    let Some(metadata) = found(fs::symlink_metadata(path)).map_err(failed)? else { return Ok(0) };
    if metadata.is_dir() {
        let freed = folder_entries(path)?.iter().map(|entry| delete_tree(entry, measure)).sum::<Result<u64, _>>()?;
        found(fs::remove_dir(path)).map_err(failed)?;
        return Ok(freed);
    }
    let freed = if metadata.is_file() && metadata.nlink() == 1 { measure(&metadata) } else { 0 };
    Ok(if remove_file(path)? { freed } else { 0 })
}

/// What the links below a folder name in one step.
fn links_below(folder: &Path) -> Result<HashSet<PathBuf>, CacheError> {
    let mut links = HashSet::new();
    for path in folder_entries(folder)? {
        let failed = |source| CacheError::from_io("read", &path, source);
        let Some(metadata) = found(fs::symlink_metadata(&path)).map_err(failed)? else { continue };
        if metadata.is_dir() {
            links.extend(links_below(&path)?);
        } else if metadata.is_symlink() {
            links.extend(found(first_hop(&path)).map_err(failed)?);
        }
    }
    Ok(links)
}

/// Removes folders that hold nothing but empty folders.
fn remove_empty(folder: &Path) {
    if is_link(folder) {
        return;
    }
    for entry in folder_entries(folder).unwrap_or_default() {
        if fs::symlink_metadata(&entry).is_ok_and(|metadata| metadata.is_dir()) {
            remove_empty(&entry);
        }
    }
    let _ = fs::remove_dir(folder);
}
