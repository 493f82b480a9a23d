//! The list of files of a commit. Every name, size and hash in it is checked here.

use std::collections::BTreeMap;

use speech_flow_model_types::digest::InvalidDigest;
use speech_flow_model_types::listing::MAX_FILE_BYTES;
use speech_flow_model_types::listing::file_that_is_a_folder;
use speech_flow_model_types::path::InvalidPath;
use speech_flow_model_types::{CommitHash, Digest, RelPath, RemoteFile, RepoId, Revision};

use super::answers::Asked;
use super::{Document, Hub};
use crate::headers::next_page;
use crate::{HubError, ProtocolFault};

/// Largest page: a thousand entries of the longest allowed paths stay far below.
const MAX_PAGE_BYTES: usize = 8 << 20;
/// Most pages of one listing.
const MAX_PAGES: usize = 200;
const GIT_OID_LEN: usize = 40;
const XET_HASH_LEN: usize = 64;
/// Most files of one listing.
const MAX_FILES: usize = 100_000;

/// A list of files that is broken or hostile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListingError {
    /// Not the JSON of a listing.
    #[error("it is not the JSON that the protocol describes")]
    Json(#[source] serde_json::Error),
    /// A path that could leave the snapshot's folder.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// A file without a usable hash.
    #[error("file `{path}` has no usable hash")]
    Digest {
        /// The file.
        path: RelPath,
        /// What stands in the hash's place.
        #[source]
        source: InvalidDigest,
    },
    /// A length that no volume has room for.
    #[error("file `{path}` would be {size} bytes long")]
    Size {
        /// The file.
        path: RelPath,
        /// Its length by the listing.
        size: u64,
    },
    /// One path twice.
    #[error("file `{0}` is listed twice")]
    Duplicate(RelPath),
    /// One path is a file and also a folder with files.
    #[error("`{0}` is listed as a file and as a folder")]
    FileIsFolder(RelPath),
    /// More files than any honest repository has.
    #[error("it has more than {0} files")]
    TooManyFiles(usize),
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<Lfs>,
    xet_hash: Option<String>,
}

#[derive(serde::Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

/// Reads one page of `/api/models/{repo}/tree/{commit}`; folders are left out.
///
/// # Errors
/// [`ListingError`] names the entry that cannot be trusted.
pub fn parse_listing_page(page: &[u8]) -> Result<Vec<RemoteFile>, ListingError> {
    let entries: Vec<Entry> = serde_json::from_slice(page).map_err(ListingError::Json)?;
    entries.into_iter().filter(|entry| entry.kind == "file").map(convert).collect()
}

fn convert(entry: Entry) -> Result<RemoteFile, ListingError> {
    let path: RelPath = entry.path.parse()?;
    let (digest, size) = match &entry.lfs {
        Some(lfs) => (lfs.oid.strip_prefix("sha256:").unwrap_or(&lfs.oid), lfs.size),
        None => (&*entry.oid, entry.size),
    };
    if size > MAX_FILE_BYTES {
        return Err(ListingError::Size { path, size });
    }
    // Each store has its own kind of hash; the other kind would name another content.
    let fits = |digest: &Digest| matches!(digest, Digest::Sha256(_)) == entry.lfs.is_some();
    match digest.parse::<Digest>() {
        Ok(digest) if fits(&digest) => {
            let blob_id = if is_hex(&entry.oid, GIT_OID_LEN) { entry.oid } else { String::new() };
            let xet_hash = entry.xet_hash.filter(|hash| is_hex(hash, XET_HASH_LEN));
            Ok(RemoteFile { path, size, digest, blob_id, xet_hash })
        }
        Ok(_) => Err(ListingError::Digest { path, source: InvalidDigest(digest.to_owned()) }),
        Err(source) => Err(ListingError::Digest { path, source }),
    }
}

/// Hashes that nothing is checked against; one that is none is left out, so that caches can keep the listing.
fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Joins pages into one listing: sorted by path, no path twice, no file that is another's folder.
///
/// # Errors
/// [`ListingError`] names the path that stands there twice, or as a file and as a folder.
pub fn assemble(files: Vec<RemoteFile>) -> Result<Vec<RemoteFile>, ListingError> {
    let mut by_path: BTreeMap<RelPath, RemoteFile> = BTreeMap::new();
    for file in files {
        if let Some(earlier) = by_path.insert(file.path.clone(), file) {
            return Err(ListingError::Duplicate(earlier.path));
        }
    }
    let files: Vec<RemoteFile> = by_path.into_values().collect();
    match file_that_is_a_folder(&files) {
        Some(path) => Err(ListingError::FileIsFolder(path.clone())),
        None => Ok(files),
    }
}

impl Hub {
    pub(super) async fn list_files(&self, repo: &RepoId, commit: &CommitHash) -> Result<Vec<RemoteFile>, HubError> {
        let revision = Revision::from(commit.clone());
        let hostile = |source| HubError::HostileListing { repo: repo.clone(), source };
        let mut url = self.api_url(repo, &["tree", commit.as_str()]);
        url.set_query(Some("recursive=true&expand=false"));
        let mut files = Vec::new();
        let mut pages = 0;
        loop {
            let page: Document = self.document(&url, Asked::Revision(repo, &revision), MAX_PAGE_BYTES).await?;
            if crate::unexpected::looks_like_html(&page.body) {
                return Err(page.fault(ProtocolFault::HtmlPage));
            }
            files.extend(parse_listing_page(&page.body).map_err(hostile)?);
            if files.len() > MAX_FILES {
                return Err(hostile(ListingError::TooManyFiles(MAX_FILES)));
            }
            pages += 1;
            match &page.next {
                None => return assemble(files).map_err(hostile),
                Some(_) if pages == MAX_PAGES => return Err(page.fault(ProtocolFault::TooManyPages(MAX_PAGES))),
                Some(next) => url = next_page(&page.url, next).ok_or_else(|| page.fault(ProtocolFault::NextPage))?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    const SHA1: &str = "ce013625030ba8dba906f756967f9e9ca394464a";

    fn small(path: &str) -> String {
        format!(r#"{{"type":"file","path":"{path}","size":6,"oid":"{SHA1}"}}"#)
    }

    fn listing(entries: &[String]) -> Result<Vec<RemoteFile>, ListingError> {
        assemble(parse_listing_page(format!("[{}]", entries.join(",")).as_bytes())?)
    }

    #[test]
    fn large_and_small_files_have_their_own_hashes() {
        let large = format!(
            r#"{{"type":"file","path":"model.bin","size":6,"oid":"{SHA1}","xetHash":"{SHA256}",
                "lfs":{{"oid":"{SHA256}","size":6,"pointerSize":130}},"lastCommit":null}}"#
        );
        let folder = r#"{"type":"directory","path":"onnx","oid":"x","size":0}"#.to_owned();
        let files = listing(&[small("onnx/b"), large, folder]).expect("valid");
        let shown: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.digest.prefixed())).collect();
        let expected = [("model.bin", format!("sha256:{SHA256}")), ("onnx/b", format!("git-sha1:{SHA1}"))];
        assert_eq!(shown, expected);
        assert_eq!((files[0].blob_id.as_str(), files[0].xet_hash.as_deref()), (SHA1, Some(SHA256)));
    }

    #[test]
    fn a_second_hash_that_is_none_is_left_out() {
        let lfs = format!(r#""lfs":{{"oid":"{SHA256}","size":6}}"#);
        let entry = format!(r#"{{"type":"file","path":"model.bin","oid":"../x","xetHash":"../y",{lfs}}}"#);
        let files = listing(&[entry]).expect("the hash that counts is there");
        assert_eq!((files[0].blob_id.as_str(), files[0].xet_hash.as_deref()), ("", None));
    }

    #[test]
    fn lengths_that_cannot_be_added_up_are_refused() {
        for size in [MAX_FILE_BYTES + 1, u64::MAX] {
            let small = format!(r#"{{"type":"file","path":"a","size":{size},"oid":"{SHA1}"}}"#);
            check_refused(&[small], "bytes long");
            let lfs = format!(r#""lfs":{{"oid":"{SHA256}","size":{size}}}"#);
            check_refused(&[format!(r#"{{"type":"file","path":"a","oid":"{SHA1}",{lfs}}}"#)], "bytes long");
        }
    }

    #[track_caller]
    fn check_refused(entries: &[String], words: &str) {
        let error = listing(entries).expect_err("hostile").to_string();
        assert!(error.contains(words), "{error:?} lacks {words:?}");
    }

    #[test]
    fn hostile_listings_are_refused_by_name() {
        check_refused(&[small("../../.ssh/authorized_keys")], "`../../.ssh/authorized_keys`");
        check_refused(&[small("/etc/passwd")], "`/etc/passwd`");
        check_refused(&[small("a\\u0000b")], "is not a safe file path");
        check_refused(&[small("a"), small("a")], "`a` is listed twice");
        check_refused(&[small("a/b"), small("a")], "`a` is listed as a file and as a folder");
        check_refused(&[small("a-b"), small("a/b/c"), small("a/b")], "`a/b` is listed as a file and as a folder");
        let no_hash = r#"{"type":"file","path":"a","size":1,"oid":"../../x"}"#.to_owned();
        check_refused(&[no_hash], "`a` has no usable hash");
        let wrong_kind = format!(r#"{{"type":"file","path":"a","size":1,"oid":"{SHA256}"}}"#);
        check_refused(&[wrong_kind], "`a` has no usable hash");
        check_refused(&[r#"{"type":"file","path":"a","size":-1}"#.to_owned()], "not the JSON");
        check_refused(&["7".to_owned()], "not the JSON");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(page in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_listing_page(&page);
        }

        #[test]
        fn accepted_listings_are_sorted_and_unique(paths in proptest::collection::vec("[ab]{1,2}(/[ab]{1,2}){0,2}", 0..8)) {
            let entries: Vec<_> = paths.iter().map(|path| small(path)).collect();
            if let Ok(files) = listing(&entries) {
                prop_assert_eq!(files.len(), paths.len());
                prop_assert!(files.windows(2).all(|pair| pair[0].path < pair[1].path));
            }
        }
    }
}
