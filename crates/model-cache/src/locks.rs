//! Locks on blobs: `flock` on the Python client's own lock files.
//!
//! **Invariant:** correctness never depends on a lock. It only keeps two downloads of one blob from
//! running side by side; where a volume has no locks, or lies about them, both run and both end right.
//! A process holds at most one lock for each download and never waits for a second one inside the
//! cache, so there is no order to keep.
//!
//! The standard library's lock is used since it calls the C library's `flock`, as Python does.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use crate::volume::is_unsupported;

/// A held lock; dropping it lets go. The file stays: removing it would split those who wait.
#[derive(Debug)]
pub(crate) struct BlobLock {
    _file: File,
}

/// What came of trying to lock.
#[derive(Debug)]
pub(crate) enum LockAttempt {
    /// The lock is ours.
    Held(BlobLock),
    /// Somebody else has it.
    Busy,
    /// There are no locks here; go on without.
    Unavailable,
}

/// How often a lock is tried again whose file was replaced meanwhile.
const REPLACED_ATTEMPTS: u32 = 3;

/// Tries to lock; never waits.
pub(crate) fn try_lock(path: &Path) -> LockAttempt {
    for _ in 0..REPLACED_ATTEMPTS {
        let file = match open(path) {
            Ok(file) => file,
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "a lock file could not be opened");
                return LockAttempt::Unavailable;
            }
        };
        match file.try_lock() {
            Ok(()) if is_still_there(&file, path) => return LockAttempt::Held(BlobLock { _file: file }),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return LockAttempt::Busy,
            // Some file systems answer so where others say "would block".
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                return LockAttempt::Busy;
            }
            Err(TryLockError::Error(error)) => {
                if !is_unsupported(&error) {
                    tracing::debug!(path = %path.display(), %error, "a lock failed");
                }
                return LockAttempt::Unavailable;
            }
        }
    }
    LockAttempt::Unavailable
}

/// Whether locks on the volume of a folder keep others out; tried with a file that is removed at once.
///
/// # Errors
/// Any error of making or removing the file.
pub fn probe_locks(folder: &Path) -> io::Result<bool> {
    let path = folder.join(format!(".lock-{}", crate::volume::random_id()));
    File::create_new(&path)?;
    let first = try_lock(&path);
    let excludes = matches!(first, LockAttempt::Held(_)) && matches!(try_lock(&path), LockAttempt::Busy);
    fs::remove_file(&path)?;
    Ok(excludes)
}

fn open(path: &Path) -> io::Result<File> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    // A planted link or pipe must lead nowhere.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let open = |options: &mut OpenOptions| options.custom_flags(flags).open(path);
    match open(OpenOptions::new().read(true).write(true).create(true).truncate(false)) {
        // Another user's file, made under a tight umask: a lock needs no right to write.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => open(OpenOptions::new().read(true)),
        other => other,
    }
}

fn is_still_there(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(locked), Ok(named)) => (locked.dev(), locked.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_excludes_until_it_is_dropped_and_its_file_stays() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("a/b.lock");
        let LockAttempt::Held(lock) = try_lock(&path) else { panic!("free") };
        assert!(matches!(try_lock(&path), LockAttempt::Busy));
        drop(lock);
        assert!(path.exists());
        assert!(matches!(try_lock(&path), LockAttempt::Held(_)));
    }

    #[test]
    fn locks_are_probed_and_leave_nothing() {
        let folder = tempfile::tempdir().expect("temp folder");
        assert!(probe_locks(folder.path()).expect("probes"));
        assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 0);
    }

    #[test]
    fn a_lock_that_cannot_be_opened_is_no_obstacle() {
        let folder = tempfile::tempdir().expect("temp folder");
        let link = folder.path().join("link.lock");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &link).expect("links");
        assert!(matches!(try_lock(&link), LockAttempt::Unavailable));
        assert!(!folder.path().join("elsewhere").exists(), "a planted link was followed");
        assert!(matches!(try_lock(Path::new("/proc/x.lock")), LockAttempt::Unavailable));
    }
}
