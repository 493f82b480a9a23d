//! One repository's folder.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use speech_flow_model_types::{CommitHash, Digest, RelPath, RepoId, Revision};

use super::inventory::{Inventory, age_seconds, allocated_bytes};
use super::{
    CachedFile, CachedPartial, CachedRepo, CachedRevision, Completeness, Orphan, OrphanKind, Problem, timestamp,
};
use crate::Cache;
use crate::layout::Layout;
use crate::leases::LeaseInfo;
use crate::owner::VolumeClock;
use crate::pins::PinSet;
use crate::shared_blobs::normalize;
use crate::staging::{partial_liveness, partial_owner};
use crate::state_files::{file_name, folder_entries};
use crate::trees::{MAX_REF_BYTES, read_bounded};
use crate::volume::is_link;

pub(super) struct RepoScan<'a> {
    cache: &'a Cache,
    repo: &'a RepoId,
    clock: &'a VolumeClock,
    pins: &'a PinSet,
    leases: &'a [LeaseInfo],
    /// Blobs that a snapshot names.
    named: HashSet<PathBuf>,
    /// Whether every snapshot could be read; if not, no blob is called an orphan.
    saw_all: bool,
    problems: Vec<Problem>,
}

impl<'a> RepoScan<'a> {
    pub(super) fn new(
        cache: &'a Cache,
        repo: &'a RepoId,
        clock: &'a VolumeClock,
        pins: &'a PinSet,
        leases: &'a [LeaseInfo],
    ) -> Self {
        Self { cache, repo, clock, pins, leases, named: HashSet::new(), saw_all: true, problems: Vec::new() }
    }

    pub(super) fn run(mut self, inventory: &mut Inventory) -> CachedRepo {
        let layout = self.cache.layout();
        let refs = self.refs();
        let mut revisions = Vec::new();
        for path in self.list(&layout.snapshots(self.repo)) {
            if !path.is_dir() {
                self.problem(&path, "a file stands among the snapshots");
                continue;
            }
            let files = self.files(&path, inventory);
            match file_name(&path).parse() {
                Ok(commit) => revisions.push(self.revision(commit, path, files, &refs)),
                Err(_) => self.problem(&path, "the snapshot's name is no commit"),
            }
        }
        let mut orphans = self.going(inventory);
        orphans.extend(self.orphans(inventory));
        let mut partials = Vec::new();
        for path in self.list(&layout.partials(self.repo)) {
            match Layout::parse_partial(file_name(&path)) {
                Some((digest, _)) => partials.push(self.partial(digest, path)),
                None => orphans.extend(self.orphan(OrphanKind::Temporary, path)),
            }
        }
        for (commit, names) in &refs {
            if !revisions.iter().any(|revision| revision.commit == *commit) {
                for name in names {
                    let path = layout.reference(self.repo, name);
                    self.problem(&path, "the ref leads to a commit that has no snapshot");
                }
            }
        }
        let path = layout.repo(self.repo);
        let repo = self.repo.clone();
        let problems = self.problems;
        let mut repo = CachedRepo { repo, path, size_on_disk: 0, revisions, partials, orphans, problems };
        let running = repo.running_downloads();
        for revision in repo.revisions.iter_mut().filter(|_| !running.is_empty()) {
            let listing = self.cache.read_tree(&repo.repo, &revision.commit);
            // Without a listing any download may be for this commit.
            let wants = |etag: &str| {
                listing.as_ref().is_none_or(|files| files.iter().any(|file| file.digest.to_string() == etag))
            };
            revision.downloading = running.iter().find(|(etag, _)| wants(etag)).map(|(_, download)| download.clone());
        }
        repo
    }

    fn problem(&mut self, path: &Path, what: &str) {
        self.problems.push(Problem { path: path.to_owned(), what: what.to_owned() });
    }

    /// The entries of a folder, of none that a link leads to: what is found here may be deleted. Where they cannot be read, nothing may be called unnamed any more.
    fn list(&mut self, folder: &Path) -> Vec<PathBuf> {
        if is_link(folder) {
            self.saw_all = false;
            self.problem(folder, "a link stands in the folder's place, and is not followed");
            return Vec::new();
        }
        folder_entries(folder).unwrap_or_else(|error| {
            self.saw_all = false;
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            self.problem(folder, &format!("{error}{cause}"));
            Vec::new()
        })
    }

    /// All files below a folder, with the names of nested folders left out.
    fn walk(&mut self, folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for path in self.list(&folder) {
                match fs::symlink_metadata(&path) {
                    Ok(metadata) if metadata.is_dir() => folders.push(path),
                    _ => files.push(path),
                }
            }
        }
        files.sort();
        files
    }

    fn refs(&mut self) -> HashMap<CommitHash, Vec<Revision>> {
        let folder = self.cache.layout().refs(self.repo);
        let mut refs: HashMap<CommitHash, Vec<Revision>> = HashMap::new();
        for path in self.walk(&folder) {
            if is_temporary(file_name(&path)) {
                continue;
            }
            let name = path.strip_prefix(&folder).ok().and_then(Path::to_str).and_then(|name| name.parse().ok());
            let text = read_bounded(&path, MAX_REF_BYTES).and_then(|text| String::from_utf8(text).ok());
            let commit = text.and_then(|text| text.trim().parse().ok());
            match (name, commit) {
                (Some(name), Some(commit)) => refs.entry(commit).or_default().push(name),
                (None, _) => self.problem(&path, "the ref's name is no revision"),
                (_, None) => self.problem(&path, "the ref holds no commit"),
            }
        }
        refs
    }

    fn files(&mut self, snapshot: &Path, inventory: &mut Inventory) -> Vec<CachedFile> {
        // As the links are resolved, so that the names can be compared.
        let blobs = normalize(&self.cache.layout().blobs(self.repo));
        let mut files = Vec::new();
        for path in self.walk(snapshot) {
            let entry = match inventory.entry(&path, &blobs) {
                Ok(entry) => entry,
                Err(error) => {
                    self.saw_all = false;
                    self.problem(&path, &format!("the entry cannot be read: {error}"));
                    continue;
                }
            };
            self.named.extend(entry.first_hop);
            let name: Option<RelPath> =
                path.strip_prefix(snapshot).ok().and_then(Path::to_str).and_then(|n| n.parse().ok());
            let Some(name) = name else {
                self.problem(&path, "the name is no safe path of a file");
                continue;
            };
            if is_temporary(name.file_name()) {
                continue;
            }
            if entry.size.is_none() {
                self.problem(&path, "the link leads nowhere");
            }
            files.push(CachedFile { path: name, size: entry.size, content: entry.content });
        }
        files
    }

    fn revision(
        &mut self,
        commit: CommitHash,
        path: PathBuf,
        files: Vec<CachedFile>,
        refs: &HashMap<CommitHash, Vec<Revision>>,
    ) -> CachedRevision {
        self.named.extend(blobs_of_plain_files(self.cache, self.repo, &commit, &path));
        let record = self.cache.read_record(self.repo, &commit).unwrap_or_else(|error| {
            self.problem(&self.cache.layout().usage_record(self.repo, &commit), &error.to_string());
            None
        });
        let wanted: Option<Vec<(RelPath, u64)>> = match &record {
            Some(record) => Some(record.files.iter().map(|file| (file.path.clone(), file.size)).collect()),
            None => self.tree(&commit),
        };
        let last_used = self.cache.last_used(self.repo, &commit).map(timestamp);
        let changed = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok().map(timestamp);
        let fetched = record.as_ref().map(|record| record.fetched_at);
        let last_activity = [last_used, changed, fetched].into_iter().flatten().max().unwrap_or(Timestamp::UNIX_EPOCH);
        let of_this = |lease: &&LeaseInfo| lease.repo == *self.repo && lease.commit == commit;
        CachedRevision {
            refs: refs.get(&commit).cloned().unwrap_or_default(),
            path,
            size_on_disk: 0,
            size_unique: 0,
            last_used,
            last_activity,
            pinned: self.pins.role(self.repo, &commit),
            leases: self.leases.iter().filter(of_this).cloned().collect(),
            downloading: None,
            completeness: completeness(wanted.as_deref(), &files),
            files,
            commit,
        }
    }

    fn tree(&mut self, commit: &CommitHash) -> Option<Vec<(RelPath, u64)>> {
        let files = self.cache.read_tree(self.repo, commit)?;
        Some(files.into_iter().map(|file| (file.path, file.size)).collect())
    }

    /// Snapshots and blobs that a cleaner put aside. They may come back, so what they name is named.
    fn going(&mut self, inventory: &mut Inventory) -> Vec<Orphan> {
        let mut orphans = Vec::new();
        for path in self.list(&self.cache.layout().going(self.repo)) {
            if path.is_dir() {
                self.files(&path, inventory);
            }
            orphans.extend(self.orphan(OrphanKind::Going, path));
        }
        orphans
    }

    fn orphans(&mut self, inventory: &mut Inventory) -> Vec<Orphan> {
        let folder = normalize(&self.cache.layout().blobs(self.repo));
        let mut orphans = Vec::new();
        for path in self.list(&folder) {
            let name = file_name(&path);
            let kind = if name.ends_with(".incomplete") {
                OrphanKind::PythonIncomplete
            } else if is_temporary(name) || name.ends_with(".shared") {
                OrphanKind::Temporary
            } else if name.parse::<Digest>().is_err() {
                if !self.named.contains(&path) {
                    self.problem(&path, "the file is no blob");
                }
                continue;
            } else {
                if let Err(error) = inventory.blob(&path) {
                    self.problem(&path, &format!("the blob cannot be read: {error}"));
                    continue;
                }
                if self.named.contains(&path) || !self.saw_all {
                    continue;
                }
                OrphanKind::Blob
            };
            orphans.extend(self.orphan(kind, path));
        }
        orphans
    }

    fn orphan(&mut self, kind: OrphanKind, path: PathBuf) -> Option<Orphan> {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            // Finished or removed a moment ago.
            Err(_) => return None,
        };
        let bytes = match kind {
            // A link takes nothing; its payload is counted in the store.
            _ if !metadata.is_file() => 0,
            OrphanKind::Blob | OrphanKind::SharedPayload | OrphanKind::Going => metadata.len(),
            OrphanKind::PythonIncomplete | OrphanKind::Temporary => allocated_bytes(&metadata),
        };
        Some(Orphan { kind, bytes, age_seconds: age_seconds(self.clock, &metadata), path })
    }

    fn partial(&self, digest: Digest, path: PathBuf) -> CachedPartial {
        let record = Layout::partial_owner(&path);
        let owner = partial_owner(&path).map(|record| record.owner);
        let liveness = partial_liveness(&path, self.clock);
        let seen = self.clock.age(&record).or_else(|_| self.clock.age(&path)).ok();
        let bytes = folder_entries(&path)
            .unwrap_or_default()
            .iter()
            .filter_map(|file| fs::symlink_metadata(file).ok())
            .map(|metadata| allocated_bytes(&metadata))
            .sum();
        let age_seconds = seen.map_or(0, |age| age.as_secs());
        CachedPartial { digest, path, bytes, owner, liveness, age_seconds }
    }
}

/// Blobs that the plain files of a snapshot are copies of: on a volume without links nothing names them.
pub(crate) fn blobs_of_plain_files(cache: &Cache, repo: &RepoId, commit: &CommitHash, snapshot: &Path) -> Vec<PathBuf> {
    let listing = cache.read_tree(repo, commit).unwrap_or_default();
    let is_plain = |path: &RelPath| fs::symlink_metadata(snapshot.join(path)).is_ok_and(|metadata| metadata.is_file());
    let blobs = normalize(&cache.layout().blobs(repo));
    listing.iter().filter(|file| is_plain(&file.path)).map(|file| blobs.join(file.digest.to_string())).collect()
}

fn completeness(wanted: Option<&[(RelPath, u64)]>, files: &[CachedFile]) -> Completeness {
    let Some(wanted) = wanted else {
        let missing: Vec<RelPath> =
            files.iter().filter(|file| file.size.is_none()).map(|file| file.path.clone()).collect();
        return if missing.is_empty() { Completeness::Unknown } else { Completeness::Incomplete { missing } };
    };
    let sizes: HashMap<&RelPath, Option<u64>> = files.iter().map(|file| (&file.path, file.size)).collect();
    let missing: Vec<RelPath> = wanted
        .iter()
        .filter(|(path, size)| sizes.get(path).copied().flatten() != Some(*size))
        .map(|(path, _)| path.clone())
        .collect();
    if missing.is_empty() { Completeness::Complete } else { Completeness::Incomplete { missing } }
}

/// The names that we and the Python client give to what is being written.
fn is_temporary(name: &str) -> bool {
    name.ends_with(".tmp") && name.starts_with('.')
}
