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

/// The first path, in the order of their segments, that is a file and also a folder with files. No repository has
/// one, and no folder can hold it.
pub fn file_that_is_a_folder(files: &[RemoteFile]) -> Option<&RelPath> {
    // Compared by segments, what lies in a folder stands right behind the folder's own name: neighbors are enough,
    // where looking up every folder of every path would cost a hostile listing's depth as well.
    let mut paths: Vec<&RelPath> = files.iter().map(|file| &file.path).collect();
    paths.sort_unstable_by(|a, b| a.as_str().split('/').cmp(b.as_str().split('/')));
    let is_inside = |inner: &RelPath, outer: &RelPath| {
        inner.as_str().strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    paths.windows(2).find(|pair| is_inside(pair[1], pair[0])).map(|pair| pair[0])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn files(paths: &[String]) -> Vec<RemoteFile> {
        let file = |path: &String| RemoteFile {
            path: path.parse().expect("valid"),
            size: 1,
            digest: Digest::GitSha1([0; 20]),
            blob_id: String::new(),
            xet_hash: None,
        };
        paths.iter().map(file).collect()
    }

    proptest! {
        #[test]
        fn a_file_that_is_a_folder_is_found_wherever_it_stands(paths in proptest::collection::hash_set("[a!.]{1,2}(/[a!]){0,2}", 0..8)) {
            let paths: Vec<String> = paths.into_iter().filter(|path| path.parse::<RelPath>().is_ok()).collect();
            let is_folder = |path: &String| paths.iter().any(|other| other.starts_with(&format!("{path}/")));
            let files = files(&paths);
            match file_that_is_a_folder(&files) {
                Some(found) => prop_assert!(is_folder(&found.to_string())),
                None => prop_assert!(!paths.iter().any(is_folder)),
            }
        }
    }

    #[test]
    fn depth_costs_nothing() {
        let deep = "a/".repeat(500);
        let paths: Vec<String> = (0..20_000).map(|number| format!("{deep}{number}")).collect();
        assert_eq!(file_that_is_a_folder(&files(&paths)), None);
    }
}
