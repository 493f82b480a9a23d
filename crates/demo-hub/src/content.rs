//! Bytes of files, wherever they come from, and the hashes that name them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use sha2::Digest as _;

mod generated;

use generated::Generated;

/// How much is read or generated at once. A body of any size costs no more memory than this.
pub(crate) const CHUNK: u64 = 256 << 10;

/// The bytes of one file.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Embedded in the program.
    Static(&'static [u8]),
    /// Given by the caller.
    Memory(Bytes),
    /// Computed when asked for.
    Generated(Generated),
    /// Read from a file that must not change while the hub runs.
    Disk {
        /// Where it stands.
        path: PathBuf,
        /// Length when the repository was built.
        size: u64,
    },
}

impl Content {
    /// Pseudo-random content of any size that is computed as it is read.
    pub(crate) fn generated(size: u64, seed: u64) -> Self {
        Self::Generated(Generated { size, seed })
    }

    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Static(bytes) => bytes.len() as u64,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Generated(generated) => generated.size,
            Self::Disk { size, .. } => *size,
        }
    }

    /// Reads a range without blocking the runtime.
    pub(crate) async fn read(self: &Arc<Self>, range: Range<u64>) -> io::Result<Bytes> {
        if !matches!(**self, Self::Disk { .. }) {
            return self.read_blocking(range);
        }
        let content = Arc::clone(self);
        tokio::task::spawn_blocking(move || content.read_blocking(range)).await.map_err(io::Error::other)?
    }

    /// Reads a range; only [`Content::Disk`] waits for anything.
    pub(crate) fn read_blocking(&self, range: Range<u64>) -> io::Result<Bytes> {
        let in_memory = range.start as usize..range.end as usize;
        match self {
            Self::Static(bytes) => Ok(Bytes::from_static(&bytes[in_memory])),
            Self::Memory(bytes) => Ok(bytes.slice(in_memory)),
            Self::Generated(generated) => {
                let mut buffer = vec![0; in_memory.len()];
                generated.fill(range.start, &mut buffer);
                Ok(buffer.into())
            }
            Self::Disk { path, .. } => {
                let mut buffer = vec![0; in_memory.len()];
                File::open(path)?.read_exact_at(&mut buffer, range.start)?;
                Ok(buffer.into())
            }
        }
    }

    /// SHA-256 of the content, computed once for what cannot change.
    pub(crate) fn sha256(&self) -> io::Result<[u8; 32]> {
        static KNOWN: LazyLock<Mutex<HashMap<Key, [u8; 32]>>> = LazyLock::new(Mutex::default);
        let key = self.key();
        if let Some(known) = key.and_then(|key| KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied())
        {
            return Ok(known);
        }
        let mut hasher = sha2::Sha256::new();
        self.each_chunk(|chunk| hasher.update(chunk))?;
        let digest = hasher.finalize().into();
        if let Some(key) = key {
            KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(key, digest);
        }
        Ok(digest)
    }

    /// SHA-1 of the content as git names a blob.
    pub(crate) fn git_sha1(&self) -> io::Result<[u8; 20]> {
        let mut hasher = sha1::Sha1::new();
        hasher.update(format!("blob {}\0", self.size()));
        self.each_chunk(|chunk| hasher.update(chunk))?;
        Ok(hasher.finalize().into())
    }

    fn each_chunk(&self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut offset = 0;
        while offset < self.size() {
            let end = (offset + CHUNK).min(self.size());
            take(&self.read_blocking(offset..end)?);
            offset = end;
        }
        Ok(())
    }

    fn key(&self) -> Option<Key> {
        match self {
            Self::Static(bytes) => Some(Key::Static(bytes.as_ptr() as usize, bytes.len())),
            Self::Generated(generated) => Some(Key::Generated(generated.size, generated.seed)),
            Self::Memory(_) | Self::Disk { .. } => None,
        }
    }
}

/// What names content that cannot change while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Static(usize, usize),
    Generated(u64, u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_usual_tools() {
        let content = Content::Memory(Bytes::from_static(b"hello\n"));
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        // `git hash-object` and `sha256sum` of the same bytes.
        assert_eq!(hex(&content.git_sha1().unwrap()), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(hex(&content.sha256().unwrap()), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    }

    #[test]
    fn a_file_on_disk_is_read_by_range() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, b"0123456789").unwrap();
        let content = Content::Disk { path, size: 10 };
        assert_eq!(content.read_blocking(3..6).unwrap(), "345");
        assert_eq!(content.sha256().unwrap(), Content::Memory(Bytes::from_static(b"0123456789")).sha256().unwrap());
    }
}
