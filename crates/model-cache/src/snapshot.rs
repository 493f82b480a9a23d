//! What the cache has of a commit, as far as names and lengths show it.
//!
//! A file under a final name was verified before it got there, so a look at its length is enough for a
//! warm start; `verify` hashes. Nothing here writes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use speech_flow_model_types::plan::{FileState, StoreView};
use speech_flow_model_types::{CommitHash, Digest, RelPath, RemoteFile, RepoId};

use crate::cache::Cache;
use crate::layout::Layout;
use crate::owner::{Liveness, VolumeClock};
use crate::staging::{partial_liveness, partials_of, recorded_bytes};

/// Deepest folder of a snapshot that is listed.
const MAX_DEPTH: usize = 32;
/// Most files of a snapshot that are listed.
const MAX_FILES: usize = 100_000;

/// The cache as the planner of one commit sees it.
#[derive(Debug, Clone)]
pub struct SnapshotView {
    cache: Cache,
    repo: RepoId,
    commit: CommitHash,
    root: Root,
}

/// The root, and which folders are inside it: found out once, not for each file.
#[derive(Debug, Clone)]
struct Root {
    path: PathBuf,
    folders: RefCell<HashMap<PathBuf, bool>>,
}

impl Root {
    fn of(layout: &Layout) -> Self {
        Self { path: layout.root().to_owned(), folders: RefCell::default() }
    }

    /// Whether the path leads to something inside the root.
    fn holds(&self, path: &Path) -> bool {
        match (fs::canonicalize(path), fs::canonicalize(&self.path)) {
            (Ok(path), Ok(root)) => path.starts_with(root),
            _ => false,
        }
    }

    fn holds_folder(&self, folder: &Path) -> bool {
        if let Some(known) = self.folders.borrow().get(folder) {
            return *known;
        }
        let is_inside = self.is_plainly_below(folder) || self.holds(folder);
        self.folders.borrow_mut().insert(folder.to_owned(), is_inside);
        is_inside
    }

    /// Whether only real folders stand between the root and this one: then nothing leads outside, and no
    /// part of the way to the root needs to be resolved.
    fn is_plainly_below(&self, folder: &Path) -> bool {
        let way = folder.ancestors().take_while(|ancestor| *ancestor != self.path);
        folder.starts_with(&self.path)
            && way.into_iter().all(|ancestor| fs::symlink_metadata(ancestor).is_ok_and(|metadata| metadata.is_dir()))
    }
}

/// A file of a snapshot, found by listing folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Where it stands in the snapshot.
    pub path: RelPath,
    /// Its length; `None` when its link is broken.
    pub size: Option<u64>,
    /// The digest of its content by the name of its blob; `None` for a plain file.
    pub digest: Option<Digest>,
}

impl StoreView for SnapshotView {
    fn state(&self, file: &RemoteFile) -> FileState {
        let root = &self.root;
        if self.cache.is_linked_below(root, &self.repo, &self.commit, file) {
            return FileState::Linked;
        }
        if self.cache.has_blob_below(root, &self.repo, file) {
            return FileState::Blob;
        }
        match self.cache.claimable_bytes(&self.repo, file) {
            0 => FileState::Absent,
            bytes_present => FileState::Partial { bytes_present },
        }
    }
}

impl Cache {
    /// The cache as the planner sees it.
    pub fn view(&self, repo: &RepoId, commit: &CommitHash) -> SnapshotView {
        SnapshotView { cache: self.clone(), repo: repo.clone(), commit: commit.clone(), root: Root::of(self.layout()) }
    }

    /// The folder of a snapshot, which need not exist.
    pub fn snapshot_path(&self, repo: &RepoId, commit: &CommitHash) -> PathBuf {
        self.layout().snapshot(repo, commit)
    }

    /// The files of a snapshot as its folders list them, sorted: for one without a listing of its commit.
    pub fn snapshot_files(&self, repo: &RepoId, commit: &CommitHash) -> Vec<SnapshotFile> {
        let mut files = Vec::new();
        list(&self.snapshot_path(repo, commit), "", MAX_DEPTH, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// Whether the snapshot names the file, by a link to its blob or by a plain file of its length.
    pub fn is_linked(&self, repo: &RepoId, commit: &CommitHash, file: &RemoteFile) -> bool {
        self.is_linked_below(&Root::of(self.layout()), repo, commit, file)
    }

    /// Whether the blob is there: a regular file of the right length inside the cache, or a link to one
    /// in the store that repositories share.
    pub fn has_blob(&self, repo: &RepoId, file: &RemoteFile) -> bool {
        self.has_blob_below(&Root::of(self.layout()), repo, file)
    }

    fn is_linked_below(&self, root: &Root, repo: &RepoId, commit: &CommitHash, file: &RemoteFile) -> bool {
        let entry = self.layout().snapshot_file(repo, commit, &file.path);
        match fs::read_link(&entry) {
            Ok(target) if target == self.layout().link_target(&file.path, &file.digest) => {
                self.has_blob_below(root, repo, file)
            }
            // Another program may write the way to the blob in another form.
            Ok(_) => match (fs::canonicalize(&entry), fs::canonicalize(self.layout().blob(repo, &file.digest))) {
                (Ok(entry), Ok(blob)) => entry == blob && self.has_blob_below(root, repo, file),
                _ => false,
            },
            Err(_) => is_whole(&entry, file, root),
        }
    }

    fn has_blob_below(&self, root: &Root, repo: &RepoId, file: &RemoteFile) -> bool {
        is_whole(&self.layout().blob(repo, &file.digest), file, root)
    }

    /// Bytes of a blob that a download would not fetch again.
    fn claimable_bytes(&self, repo: &RepoId, file: &RemoteFile) -> u64 {
        let clock = VolumeClock::of_this_machine();
        let partials = partials_of(self.layout(), repo, &file.digest).into_iter();
        let dead = partials.filter(|partial| partial_liveness(partial, &clock) == Liveness::Dead);
        dead.map(|partial| recorded_bytes(&partial, file)).max().unwrap_or(0)
    }
}

/// Whether a regular file of the right length stands there, inside the root.
///
/// The folder of a path is resolved once and remembered: blobs share one, and a warm start looks at many.
fn is_whole(path: &Path, file: &RemoteFile, root: &Root) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    if metadata.is_file() {
        return metadata.len() == file.size && path.parent().is_some_and(|folder| root.holds_folder(folder));
    }
    fs::metadata(path).is_ok_and(|target| target.is_file() && target.len() == file.size) && root.holds(path)
}

fn list(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<SnapshotFile>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        // A name that is no valid path cannot be a file of a repository.
        let Some(path) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else { continue };
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            if depth > 0 {
                list(&entry.path(), &format!("{path}/"), depth - 1, files);
            }
        } else if let Ok(path) = path.parse()
            && files.len() < MAX_FILES
        {
            let target = fs::metadata(entry.path()).ok().filter(|target| target.is_file());
            let blob = fs::read_link(entry.path()).ok();
            let digest = blob.and_then(|blob| blob.file_name()?.to_str()?.parse().ok());
            files.push(SnapshotFile { path, size: target.map(|target| target.len()), digest });
        }
    }
}
