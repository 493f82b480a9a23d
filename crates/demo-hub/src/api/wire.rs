//! The Hub's JSON.

use serde::Serialize;

use crate::git::hex;
use crate::repository::{Commit, Entry, Repository};

/// One entry of a listing.
#[derive(Debug, Serialize)]
pub(super) struct TreeEntry {
    #[serde(rename = "type")]
    kind: &'static str,
    oid: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lfs: Option<Lfs>,
    path: String,
    #[serde(rename = "lastCommit", skip_serializing_if = "Option::is_none")]
    last_commit: Option<LastCommit>,
}

#[derive(Debug, Serialize)]
struct Lfs {
    oid: String,
    size: u64,
    #[serde(rename = "pointerSize")]
    pointer_size: usize,
}

#[derive(Debug, Serialize)]
struct LastCommit {
    id: String,
    title: String,
    date: String,
}

/// How much is told of each entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detail<'a> {
    pub(super) repository: &'a Repository,
    pub(super) commit: &'a Commit,
    /// With the commit that last changed it.
    pub(super) expand: bool,
}

impl Detail<'_> {
    pub(super) fn file(&self, path: &str, entry: &Entry) -> TreeEntry {
        let lfs = entry.pointer.as_ref().map(|pointer| Lfs {
            oid: entry.digest.to_string(),
            size: entry.size,
            pointer_size: pointer.len(),
        });
        TreeEntry {
            kind: "file",
            oid: hex(&entry.blob_id),
            size: entry.size,
            lfs,
            path: path.to_owned(),
            last_commit: self.last_commit(path),
        }
    }

    pub(super) fn folder(&self, path: &str) -> Option<TreeEntry> {
        let oid = hex(self.commit.folders.get(path)?);
        let last_commit = self.last_commit(path);
        Some(TreeEntry { kind: "directory", oid, size: 0, lfs: None, path: path.to_owned(), last_commit })
    }

    fn last_commit(&self, path: &str) -> Option<LastCommit> {
        self.expand.then(|| {
            let commit = self.repository.last_change(self.commit, path);
            LastCommit { id: commit.hash.to_string(), title: commit.title.clone(), date: commit.date() }
        })
    }
}

impl TreeEntry {
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}
