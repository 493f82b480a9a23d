//! What a repository holds at one commit.

use crate::{CommitHash, Digest, RelPath, RepoId, Revision};

/// Longest file that a listing may promise: 16 TiB, as much as common file systems hold in one file. So the
/// lengths of a million files still add up in 64 bits.
pub const MAX_FILE_BYTES: u64 = 1 << 44;

/// One file of a repository at one commit, as the Hub lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Where the file stands in the repository.
    pub path: RelPath,
    /// Length of the content in bytes.
    pub size: u64,
    /// Hash of the content; the blob's name.
    pub digest: Digest,
    /// Git's object id of the tree entry: the content's for a small file, the LFS pointer's for a large one.
    /// Empty for a large file whose pointer is not known.
    pub blob_id: String,
    /// Hash in the Hub's Xet store, when the Hub gave one. Kept only so that listings round-trip.
    pub xet_hash: Option<String>,
}

/// A model's repository with its revision settled: from here on only the commit counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The repository.
    pub repo: RepoId,
    /// The revision that was asked for.
    pub revision: Revision,
    /// The commit it stands for.
    pub commit: CommitHash,
    /// All files of the commit, sorted by path, no path twice.
    pub files: Vec<RemoteFile>,
}
