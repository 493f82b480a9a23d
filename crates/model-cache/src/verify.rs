//! From staged to verified: the one place that says that bytes are what the hub's listing promised.
//!
//! The digest was computed while the bytes arrived; here it is compared. [`Cache::verify_file`] reads
//! what is in the cache already and hashes it again.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use speech_flow_model_types::{Digest, RemoteFile, RepoId};

use crate::error::CacheError;
use crate::staging::{Digester, Partial, StagedBlob};
use crate::volume::open_regular;

const READ_BYTES: usize = 256 << 10;

/// How much of a wrong file is shown to whoever names what it is.
const HEAD_BYTES: usize = 512;

/// A blob whose bytes have the digest that the listing says.
///
/// Invariant: only [`verify`] makes one, so nothing else can be committed.
#[derive(Debug)]
pub struct VerifiedBlob {
    pub(crate) partial: Partial,
    pub(crate) repo: RepoId,
    pub(crate) file: RemoteFile,
}

/// Bytes that are not what the listing says. Dropping it deletes them; they are never resumed.
#[derive(Debug, thiserror::Error)]
#[error("`{}` should be {:?} with {} bytes and is {actual:?} with {actual_size}", file.path, file.digest, file.size)]
pub struct Mismatch {
    pub(crate) partial: Partial,
    pub(crate) repo: RepoId,
    /// What was expected.
    pub file: RemoteFile,
    /// The digest of what came.
    pub actual: Digest,
    /// The length of what came.
    pub actual_size: u64,
}

/// Compares a staged blob with what the listing says of the file.
///
/// # Errors
/// [`Mismatch`] when digest or length differ; give it to [`Cache::quarantine`](crate::Cache::quarantine)
/// or drop it.
pub fn verify(staged: StagedBlob, file: &RemoteFile) -> Result<VerifiedBlob, Box<Mismatch>> {
    let StagedBlob { mut partial, repo, digest, size, .. } = staged;
    if digest == file.digest && size == file.size {
        return Ok(VerifiedBlob { partial, repo, file: file.clone() });
    }
    partial.remove_on_drop();
    Err(Box::new(Mismatch { partial, repo, file: file.clone(), actual: digest, actual_size: size }))
}

impl VerifiedBlob {
    /// The file.
    pub fn file(&self) -> &RemoteFile {
        &self.file
    }
}

impl Mismatch {
    /// Where the bytes stand until this is dropped.
    pub fn path(&self) -> PathBuf {
        self.partial.data_path()
    }

    /// The first bytes of what came: enough to tell a web page or an LFS pointer from weights.
    pub fn head(&self) -> Vec<u8> {
        read_head(&self.path())
    }
}

/// What hashing a file again showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileVerdict {
    /// The bytes are what the listing says.
    Sound,
    /// They are not.
    Corrupt {
        /// Their length.
        actual_size: u64,
        /// Their digest; `None` when the length alone shows it.
        actual: Option<Digest>,
        /// The first of them.
        head: Vec<u8>,
    },
    /// There is no such file, or no regular one.
    Missing,
}

/// Hashes a file and compares it with what the listing says. `progress` is told how many bytes were
/// read since it was last called, and says whether to go on.
///
/// # Errors
/// [`CacheError::Cancelled`] when `progress` says stop, or any failure to read.
pub fn verify_file(
    path: &Path,
    file: &RemoteFile,
    mut progress: impl FnMut(u64) -> std::ops::ControlFlow<()>,
) -> Result<FileVerdict, CacheError> {
    let failed = |error| CacheError::from_io("read", path, error);
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return Ok(FileVerdict::Missing),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(FileVerdict::Missing),
        Err(error) => return Err(failed(error)),
    };
    if metadata.len() != file.size {
        return Ok(FileVerdict::Corrupt { actual_size: metadata.len(), actual: None, head: read_head(path) });
    }
    let mut opened = open_regular(path).map_err(failed)?;
    let mut digester = Digester::new(&file.digest, file.size);
    let mut buffer = vec![0; READ_BYTES];
    let mut actual_size = 0;
    loop {
        let read = opened.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        digester.update(&buffer[..read]);
        actual_size += read as u64;
        if progress(read as u64).is_break() {
            return Err(CacheError::Cancelled { path: path.to_owned() });
        }
    }
    let actual = digester.finish();
    if actual == file.digest && actual_size == file.size {
        return Ok(FileVerdict::Sound);
    }
    Ok(FileVerdict::Corrupt { actual_size, actual: Some(actual), head: read_head(path) })
}

fn read_head(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    if let Ok(file) = open_regular(path) {
        // A head that cannot be read only leaves the file unnamed.
        let _ = file.take(HEAD_BYTES as u64).read_to_end(&mut head);
    }
    head
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    const CONTENT: &[u8] = b"hello\n";

    fn file() -> RemoteFile {
        RemoteFile {
            path: "a.txt".parse().expect("valid"),
            size: CONTENT.len() as u64,
            digest: "ce013625030ba8dba906f756967f9e9ca394464a".parse().expect("valid"),
            blob_id: String::new(),
            xet_hash: None,
        }
    }

    #[test]
    fn hashing_again_finds_every_kind_of_damage() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("a.txt");
        let verdict = || verify_file(&path, &file(), |_| ControlFlow::Continue(())).expect("reads");
        assert_eq!(verdict(), FileVerdict::Missing);
        std::fs::write(&path, CONTENT).expect("writes");
        assert_eq!(verdict(), FileVerdict::Sound);
        std::fs::write(&path, b"hellO\n").expect("writes");
        assert!(matches!(verdict(), FileVerdict::Corrupt { actual_size: 6, actual: Some(_), .. }));
        std::fs::write(&path, b"<html>").expect("writes");
        assert!(matches!(verdict(), FileVerdict::Corrupt { head, .. } if head == b"<html>"));
        std::fs::write(&path, b"").expect("writes");
        assert!(matches!(verdict(), FileVerdict::Corrupt { actual_size: 0, actual: None, .. }));
    }

    #[test]
    fn progress_can_stop_it() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("a.txt");
        std::fs::write(&path, CONTENT).expect("writes");
        let mut seen = 0;
        let stopped = verify_file(&path, &file(), |bytes| {
            seen += bytes;
            ControlFlow::Break(())
        });
        assert!(matches!(stopped, Err(CacheError::Cancelled { .. })));
        assert_eq!(seen, 6);
    }
}
