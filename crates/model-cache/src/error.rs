//! Errors of the cache: each kind stands for what the caller does next.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use speech_flow_model_types::{ByteSize, CommitHash, RelPath, RepoId};

/// Something the cache could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The plan cannot fit on the volume; nothing was written.
    #[error(
        "`{}` needs {}, but {} are free there and {} of them are promised to other downloads",
        volume.display(), ByteSize(*needed), ByteSize(*free), ByteSize(*reserved_by_others)
    )]
    NoSpace {
        /// Bytes that the plan needs, with the headroom.
        needed: u64,
        /// Bytes free for this user.
        free: u64,
        /// Bytes that other running downloads will still take.
        reserved_by_others: u64,
        /// The cache's root.
        volume: PathBuf,
    },
    /// The volume filled up, or the user's quota did, while something was written.
    #[error("no space is left for `{}`", path.display())]
    VolumeFull {
        /// What was written.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The cache must not be written to: its volume is read-only, or it was opened so.
    #[error("`{}` is read-only", path.display())]
    ReadOnly {
        /// What should have been written.
        path: PathBuf,
    },
    /// This user may not do it.
    #[error("no permission to {action} `{}`", path.display())]
    Permission {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Any other failure of the volume.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Another process took this download over, since this one was silent for too long.
    #[error("the partial download `{}` was taken over by another process", path.display())]
    PartialLost {
        /// The partial's folder.
        path: PathBuf,
    },
    /// The source sent bytes past the end of the file.
    #[error("`{file}` has {size} bytes, but bytes up to {end} arrived")]
    PastTheEnd {
        /// The file.
        file: RelPath,
        /// Its length.
        size: u64,
        /// Where the bytes that arrived end.
        end: u64,
    },
    /// The download was ended before all bytes had arrived.
    #[error("`{file}` lacks {missing} of its {size} bytes")]
    Incomplete {
        /// The file.
        file: RelPath,
        /// Its length.
        size: u64,
        /// How many bytes did not arrive.
        missing: u64,
    },
    /// The snapshot should name a blob that is not there.
    #[error("the cache has no whole blob for `{file}` at `{}`", path.display())]
    BlobMissing {
        /// The file.
        file: RelPath,
        /// Where the blob should be.
        path: PathBuf,
    },
    /// The snapshot is not in the cache, or was removed a moment ago.
    #[error("commit `{commit}` of `{repo}` is not in the cache")]
    SnapshotGone {
        /// The repository.
        repo: RepoId,
        /// The commit.
        commit: CommitHash,
    },
    /// A record of ours was damaged. What it protects stays protected.
    #[error("the record `{}` cannot be understood", path.display())]
    RecordUnreadable {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Verification was asked to stop.
    #[error("verification of `{}` was cancelled", path.display())]
    Cancelled {
        /// What was being read.
        path: PathBuf,
    },
}

impl CacheError {
    /// The error of an operation on a path, sorted by what the caller can do about it.
    pub fn from_io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        let path = path.as_ref().to_owned();
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            // Exceeding RLIMIT_FSIZE is a limit of this process, but the remedy is the same.
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Self::VolumeFull { path, source },
            Some(Errno::ROFS) => Self::ReadOnly { path },
            Some(Errno::ACCESS | Errno::PERM) => Self::Permission { action, path, source },
            _ => Self::Io { action, path, source },
        }
    }

    /// Whether the same call can succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::PartialLost { .. } | Self::Incomplete { .. } => true,
            Self::Io { source, .. } => matches!(
                source.raw_os_error().map(Errno::from_raw_os_error),
                Some(Errno::INTR | Errno::AGAIN | Errno::STALE | Errno::TIMEDOUT | Errno::BUSY)
            ),
            _ => false,
        }
    }

    /// One thing to do about it.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::NoSpace { .. } | Self::VolumeFull { .. } => {
                "free space with `speech-flow gc` or `speech-flow clear`, or choose another folder with `MODEL_CACHE_DIR`"
            }
            Self::ReadOnly { .. } => {
                "preload the model where the volume is writable, or choose another folder with `MODEL_CACHE_DIR`"
            }
            Self::Permission { .. } => {
                "let this user write there, or choose another folder with `MODEL_CACHE_DIR`; `speech-flow doctor` shows whose it is"
            }
            Self::PartialLost { .. } | Self::Incomplete { .. } => "run the command again: it goes on where it stopped",
            Self::PastTheEnd { .. } => "the source sends other content than its listing says: ask its operator",
            Self::RecordUnreadable { .. } => "look at the file, and remove it when nothing in it is needed",
            Self::BlobMissing { .. } | Self::SnapshotGone { .. } => "run `speech-flow preload` for the model",
            Self::Io { .. } => "look at the volume with `speech-flow doctor`",
            Self::Cancelled { .. } => return None,
        };
        Some(Cow::Borrowed(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(errno: Errno, expected: fn(&CacheError) -> bool) {
        let error = CacheError::from_io("write", "/c/x", io::Error::from(errno));
        assert!(expected(&error), "{errno:?} became {error:?}");
    }

    #[test]
    fn system_errors_are_sorted_by_what_to_do() {
        check(Errno::NOSPC, |error| matches!(error, CacheError::VolumeFull { .. }));
        check(Errno::DQUOT, |error| matches!(error, CacheError::VolumeFull { .. }));
        check(Errno::ROFS, |error| matches!(error, CacheError::ReadOnly { .. }));
        check(Errno::ACCESS, |error| matches!(error, CacheError::Permission { .. }));
        check(Errno::IO, |error| matches!(error, CacheError::Io { .. }) && !error.is_transient());
        check(Errno::STALE, |error| error.is_transient());
    }

    #[test]
    fn a_cause_is_not_repeated_in_the_message() {
        let error = CacheError::from_io("write", "/c/x", io::Error::from(Errno::IO));
        assert_eq!(error.to_string(), "could not write `/c/x`");
        assert!(std::error::Error::source(&error).is_some());
    }
}
