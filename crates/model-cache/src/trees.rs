//! Listings, refs and notes of missing files: the small files that say what a commit holds.
//!
//! `trees/COMMIT.json` is the Python client's format, version 1. What is read is untrusted: another
//! program, or another person, may have written it. So a listing is bounded, every path and hash in it
//! is parsed, and one that does not add up counts as absent: the hub gives it again.
//!
//! Source: `huggingface_hub` 2.4, `_tree_cache.py`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use speech_flow_model_types::listing::{MAX_FILE_BYTES, file_that_is_a_folder};
use speech_flow_model_types::{CommitHash, Digest, RelPath, RemoteFile, RepoId, Revision};

use crate::cache::Cache;
use crate::error::CacheError;
use crate::volume;

const FORMAT_VERSION: u32 = 1;
/// Longest listing that is read; the Hub's largest repositories stay below.
const MAX_TREE_BYTES: u64 = 64 << 20;
/// Longest ref that is read.
pub(crate) const MAX_REF_BYTES: u64 = 256;
const GIT_OID_LEN: usize = 40;
const XET_HASH_LEN: usize = 64;

/// The bytes are no listing of format version 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTree {
    /// It is not JSON of the expected shape.
    #[error("the listing is not the JSON that was expected")]
    Json(#[source] serde_json::Error),
    /// Another version wrote it.
    #[error("the listing has format version {0}")]
    Version(u32),
    /// An entry has an unsafe path, a hash that is none, or sizes that differ, or is a file and a folder.
    #[error("the listing's entry for `{}` is damaged", .0.escape_debug())]
    Entry(String),
}

#[derive(Serialize, Deserialize)]
struct WireTree {
    format_version: u32,
    files: BTreeMap<String, WireEntry>,
}

#[derive(Serialize, Deserialize)]
struct WireEntry {
    size: u64,
    blob_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lfs_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lfs_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xet_hash: Option<String>,
}

/// Reads a listing; the files come sorted by path.
///
/// # Errors
/// [`InvalidTree`] when any part of it is not as this format has it.
pub fn parse_tree(bytes: &[u8]) -> Result<Vec<RemoteFile>, InvalidTree> {
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }
    let version: Version = serde_json::from_slice(bytes).map_err(InvalidTree::Json)?;
    if version.format_version != FORMAT_VERSION {
        return Err(InvalidTree::Version(version.format_version));
    }
    let tree: WireTree = serde_json::from_slice(bytes).map_err(InvalidTree::Json)?;
    let files: Result<Vec<_>, _> = tree.files.into_iter().map(|(path, entry)| entry.into_file(path)).collect();
    let mut files = files?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    match file_that_is_a_folder(&files) {
        Some(path) => Err(InvalidTree::Entry(path.to_string())),
        None => Ok(files),
    }
}

/// Writes a listing as the Python client does: sorted, indented by one space.
pub fn format_tree(files: &[RemoteFile]) -> Vec<u8> {
    let files = files.iter().map(|file| (file.path.to_string(), WireEntry::from_file(file))).collect();
    let tree = WireTree { format_version: FORMAT_VERSION, files };
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    tree.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
        .expect("numbers and text always serialize, and memory takes them");
    bytes
}

impl WireEntry {
    fn from_file(file: &RemoteFile) -> Self {
        let sha256 = match file.digest {
            Digest::Sha256(_) => Some(file.digest.to_string()),
            Digest::GitSha1(_) => None,
        };
        Self {
            size: file.size,
            blob_id: file.blob_id.clone(),
            lfs_size: sha256.is_some().then_some(file.size),
            lfs_sha256: sha256,
            xet_hash: file.xet_hash.clone(),
        }
    }

    fn into_file(self, path: String) -> Result<RemoteFile, InvalidTree> {
        let name: Option<RelPath> = path.parse().ok();
        let digest = match &self.lfs_sha256 {
            Some(sha256) => sha256.parse().ok().filter(|digest| matches!(digest, Digest::Sha256(_))),
            None => self.blob_id.parse().ok().filter(|digest| matches!(digest, Digest::GitSha1(_))),
        };
        let sizes_agree = self.size <= MAX_FILE_BYTES && self.lfs_size.is_none_or(|size| size == self.size);
        // The pointer of a large file may be unknown; nothing is checked against it.
        let blob_id_is_known = is_hex(&self.blob_id, GIT_OID_LEN);
        let hashes_are_hashes = (blob_id_is_known || self.blob_id.is_empty() && self.lfs_sha256.is_some())
            && self.xet_hash.as_deref().is_none_or(|hash| is_hex(hash, XET_HASH_LEN));
        match (name, digest) {
            (Some(name), Some(digest)) if sizes_agree && hashes_are_hashes => {
                Ok(RemoteFile { path: name, size: self.size, digest, blob_id: self.blob_id, xet_hash: self.xet_hash })
            }
            _ => Err(InvalidTree::Entry(path)),
        }
    }
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl Cache {
    /// The files of a commit, where a listing of it is in the cache and sound.
    pub fn read_tree(&self, repo: &RepoId, commit: &CommitHash) -> Option<Vec<RemoteFile>> {
        let path = self.layout().tree(repo, commit);
        let bytes = read_bounded(&path, MAX_TREE_BYTES)?;
        match parse_tree(&bytes) {
            Ok(files) => Some(files),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a listing in the cache is ignored");
                None
            }
        }
    }

    /// Keeps the listing of a commit.
    ///
    /// # Errors
    /// Any failure to write.
    pub fn write_tree(&self, repo: &RepoId, commit: &CommitHash, files: &[RemoteFile]) -> Result<(), CacheError> {
        let content = format_tree(files);
        let path = self.layout().tree(repo, commit);
        if read_bounded(&path, MAX_TREE_BYTES).is_some_and(|old| old == content) {
            return Ok(());
        }
        self.write_small(repo, &path, &content)
    }

    /// The commit that a branch or tag stood for when it was last resolved.
    pub fn read_ref(&self, repo: &RepoId, revision: &Revision) -> Option<CommitHash> {
        let bytes = read_bounded(&self.layout().reference(repo, revision), MAX_REF_BYTES)?;
        std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
    }

    /// Remembers which commit a branch or tag stands for. A commit hash as revision needs no ref.
    ///
    /// # Errors
    /// Any failure to write.
    pub fn write_ref(&self, repo: &RepoId, revision: &Revision, commit: &CommitHash) -> Result<(), CacheError> {
        if revision.commit().is_some() || self.read_ref(repo, revision).as_ref() == Some(commit) {
            return Ok(());
        }
        self.write_small(repo, &self.layout().reference(repo, revision), commit.as_str().as_bytes())
    }

    /// Remembers that a commit lacks a file, so that no reader asks the hub for it.
    ///
    /// # Errors
    /// Any failure to write.
    pub fn write_no_exist(&self, repo: &RepoId, commit: &CommitHash, path: &RelPath) -> Result<(), CacheError> {
        let note = self.layout().no_exist(repo, commit, path);
        if note.exists() {
            return Ok(());
        }
        self.write_small(repo, &note, b"")
    }

    /// Whether a commit is known to lack a file.
    pub fn is_known_missing(&self, repo: &RepoId, commit: &CommitHash, path: &RelPath) -> bool {
        self.layout().no_exist(repo, commit, path).is_file()
    }

    fn write_small(&self, repo: &RepoId, path: &Path, content: &[u8]) -> Result<(), CacheError> {
        self.ensure_writable(path)?;
        self.create_folder(&self.layout().partials(repo))?;
        self.create_folder(path.parent().unwrap_or(path))?;
        let staged = self.layout().repo_staging(repo, &volume::random_id());
        volume::write_atomic(&staged, path, content).map_err(|error| CacheError::from_io("write", path, error))
    }
}

/// Reads a regular file of at most `limit` bytes; anything else, or a failure, counts as absent.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let read = || -> io::Result<Option<Vec<u8>>> {
        let bytes = volume::read_regular(path, limit + 1)?;
        Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= limit))
    };
    match read() {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "a small file of the cache could not be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn files() -> impl Strategy<Value = Vec<RemoteFile>> {
        let name = proptest::string::string_regex("[a-zA-Zü_.]{1,8}(/[a-z]{1,5})?").expect("valid pattern");
        let entry = (name, any::<u32>(), any::<Option<[u8; 32]>>(), any::<bool>());
        proptest::collection::vec(entry, 0..8).prop_map(|entries| {
            let mut files = BTreeMap::new();
            for (path, size, sha256, xet) in entries {
                let Ok(path) = path.parse::<RelPath>() else { continue };
                let digest = sha256.map_or_else(|| OID.parse().expect("valid"), Digest::Sha256);
                let xet_hash = (xet && sha256.is_some()).then(|| "ab".repeat(32));
                let file =
                    RemoteFile { path: path.clone(), size: size.into(), digest, blob_id: OID.to_owned(), xet_hash };
                files.insert(path, file);
            }
            let mut files: Vec<RemoteFile> = files.into_values().collect();
            while let Some(folder) = file_that_is_a_folder(&files).cloned() {
                files.retain(|file| file.path != folder);
            }
            files
        })
    }

    proptest! {
        #[test]
        fn listings_round_trip(files in files()) {
            prop_assert_eq!(parse_tree(&format_tree(&files)).expect("parses"), files);
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_tree(&bytes);
        }
    }

    #[test]
    fn a_listing_reads_as_the_python_client_writes_it() {
        let text = format!(
            "{{\n \"format_version\": 1,\n \"files\": {{\n  \"config.json\": {{\n   \"size\": 519,\n   \"blob_id\": \"{OID}\"\n  }}\n }}\n}}"
        );
        let files = parse_tree(text.as_bytes()).expect("parses");
        assert_eq!((files[0].path.as_str(), files[0].size), ("config.json", 519));
        assert_eq!(String::from_utf8(format_tree(&files)).expect("text"), text);
    }

    #[test]
    fn the_pointer_of_a_large_file_may_be_unknown() {
        let digest = Digest::Sha256([7; 32]);
        let path: RelPath = "model.bin".parse().expect("valid");
        let files = [RemoteFile { path, size: 1, digest, blob_id: String::new(), xet_hash: None }];
        assert_eq!(parse_tree(&format_tree(&files)).expect("parses"), files);
    }

    #[test]
    fn hostile_listings_are_refused() {
        let entry = |path: &str, fields: &str| format!(r#"{{"format_version":1,"files":{{"{path}":{{{fields}}}}}}}"#);
        let sound = format!(r#""size":1,"blob_id":"{OID}""#);
        let sha = "ab".repeat(32);
        for text in [
            entry("../../x", &sound),
            entry("/etc/passwd", &sound),
            entry("a", r#""size":1,"blob_id":"../../x""#),
            entry("a", &format!(r#""size":-1,"blob_id":"{OID}""#)),
            entry("a", &format!(r#""size":{},"blob_id":"{OID}""#, u64::MAX)),
            entry("a", &format!(r#"{sound},"lfs_sha256":"{OID}""#)),
            entry("a", &format!(r#"{sound},"lfs_sha256":"{sha}","lfs_size":2"#)),
            entry("a", &format!(r#"{sound},"xet_hash":"../x""#)),
            format!(r#"{{"format_version":1,"files":{{"a":{{{sound}}},"a/b":{{{sound}}}}}}}"#),
            r#"{"format_version":2,"files":{}}"#.to_owned(),
            "[".repeat(100_000),
        ] {
            assert!(parse_tree(text.as_bytes()).is_err(), "accepted {text:.80}");
        }
    }
}
