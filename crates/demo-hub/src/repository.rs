//! What a repository holds: files at commits, and the names that point at commits.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use speech_flow_model_types::{CommitHash, Digest, RepoId};

use crate::content::Content;
use crate::git::{ObjectId, hex};

mod builder;

pub use builder::RepositoryBuilder;

/// A repository of the demo hub, ready to be served. Cheap to clone.
///
/// Names of files are not checked: a test may describe a repository with hostile names.
#[derive(Debug, Clone)]
pub struct Repository {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: RepoId,
    access: Access,
    /// Oldest first; a commit's parent stands before it.
    commits: Vec<Commit>,
    branches: BTreeMap<String, CommitHash>,
    tags: BTreeMap<String, CommitHash>,
}

/// Who may read a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody.
    Public,
    /// Everybody sees the listing; files need a token with access.
    Gated,
    /// Without access the repository does not exist.
    Private,
}

/// The files at one commit.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) hash: CommitHash,
    /// Index of the parent among the repository's commits.
    pub(crate) parent: Option<usize>,
    pub(crate) title: String,
    pub(crate) message: String,
    /// Front matter of the model card at this commit.
    pub(crate) card: Map<String, Value>,
    /// Number of the commit in the repository; it gives the date.
    pub(crate) number: u64,
    pub(crate) files: BTreeMap<String, Entry>,
    /// Object ids of folders; the root is the empty text.
    pub(crate) folders: BTreeMap<String, ObjectId>,
}

/// One file with its names.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) content: Arc<Content>,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
    /// Git's id of the tree entry: the content's, or the LFS pointer's.
    pub(crate) blob_id: ObjectId,
    /// The text that git stores for an LFS file.
    pub(crate) pointer: Option<String>,
}

/// One file of a repository as a test wants to compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSummary {
    /// Path in the repository, unchecked.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// Hash of the content; the name of the blob in a cache.
    pub digest: Digest,
    /// Git's object id of the tree entry.
    pub blob_id: String,
}

impl Repository {
    /// Begins the description of the repository `owner/name`.
    pub fn builder(id: impl Into<String>) -> RepositoryBuilder {
        RepositoryBuilder::new(id.into())
    }

    /// The repository's name.
    pub fn id(&self) -> &RepoId {
        &self.inner.id
    }

    /// The commit that a branch, a tag or a full commit hash stands for in the description.
    ///
    /// A running hub may have moved a branch since: see [`crate::DemoHub::commit`].
    pub fn commit(&self, revision: &str) -> Option<CommitHash> {
        let named = self.inner.branches.get(revision).or_else(|| self.inner.tags.get(revision));
        named.cloned().or_else(|| self.at(revision).map(|commit| commit.hash.clone()))
    }

    /// All commits, oldest first.
    pub fn commits(&self) -> Vec<CommitHash> {
        self.inner.commits.iter().map(|commit| commit.hash.clone()).collect()
    }

    /// The files at a branch, a tag or a full commit hash, sorted by path; empty for an unknown revision.
    pub fn files(&self, revision: &str) -> Vec<FileSummary> {
        let commit = self.commit(revision).and_then(|commit| self.at(commit.as_str()));
        let files = commit.into_iter().flat_map(|commit| &commit.files);
        files
            .map(|(path, entry)| FileSummary {
                path: path.clone(),
                size: entry.size,
                digest: entry.digest,
                blob_id: hex(&entry.blob_id),
            })
            .collect()
    }

    pub(crate) fn access(&self) -> Access {
        self.inner.access
    }

    pub(crate) fn branches(&self) -> &BTreeMap<String, CommitHash> {
        &self.inner.branches
    }

    pub(crate) fn tags(&self) -> &BTreeMap<String, CommitHash> {
        &self.inner.tags
    }

    /// The commit with this full hash.
    pub(crate) fn at(&self, hash: &str) -> Option<&Commit> {
        self.inner.commits.iter().find(|commit| commit.hash.as_str() == hash)
    }

    /// A file of any commit by its path and the text of its digest.
    pub(crate) fn entry(&self, path: &str, digest: &str) -> Option<&Entry> {
        let mut entries = self.inner.commits.iter().filter_map(|commit| commit.files.get(path));
        entries.find(|entry| entry.digest.to_string() == digest)
    }

    /// LFS pointer of a file as the newest commit that has it knows it.
    pub(crate) fn pointer(&self, path: &str) -> Option<&str> {
        let entry = self.inner.commits.iter().rev().find_map(|commit| commit.files.get(path))?;
        entry.pointer.as_deref()
    }

    /// A commit and its ancestors, newest first.
    pub(crate) fn history<'a>(&'a self, commit: &'a Commit) -> impl Iterator<Item = &'a Commit> {
        std::iter::successors(Some(commit), |commit| commit.parent.map(|parent| &self.inner.commits[parent]))
    }

    /// The newest commit in the history that changed `path`, a file or a folder.
    pub(crate) fn last_change<'a>(&'a self, commit: &'a Commit, path: &str) -> &'a Commit {
        let now = commit.object_id(path);
        self.history(commit).take_while(|earlier| earlier.object_id(path) == now).last().unwrap_or(commit)
    }
}

impl Commit {
    /// Git's id of a file or folder at this commit.
    fn object_id(&self, path: &str) -> Option<&ObjectId> {
        self.files.get(path).map(|entry| &entry.blob_id).or_else(|| self.folders.get(path))
    }

    /// When the commit was made, as the Hub writes times. Commits are a minute apart.
    pub(crate) fn date(&self) -> String {
        format!("2026-01-15T{:02}:{:02}:00.000Z", self.number / 60 % 24, self.number % 60)
    }

    /// When the commit was made, in seconds since 1970.
    pub(crate) fn seconds(number: u64) -> u64 {
        /// 2026-01-15T00:00:00Z.
        const FIRST: u64 = 1_768_435_200;
        FIRST + number * 60
    }
}
