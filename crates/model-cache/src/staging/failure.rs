//! The first failure of a download's threads, kept for whoever asks next.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::CacheError;

#[derive(Debug)]
enum Cause {
    System { action: &'static str, path: PathBuf, errno: Option<i32>, kind: io::ErrorKind },
    Lost,
}

/// Empty, or what went wrong first.
#[derive(Debug)]
pub(super) struct Failure {
    folder: PathBuf,
    cause: Mutex<Option<Cause>>,
}

impl Failure {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), cause: Mutex::new(None) }
    }

    pub(super) fn set(&self, action: &'static str, path: &Path, error: &io::Error) {
        let cause = Cause::System { action, path: path.to_owned(), errno: error.raw_os_error(), kind: error.kind() };
        self.lock().get_or_insert(cause);
    }

    /// Another process took the partial.
    pub(super) fn set_lost(&self) {
        self.lock().get_or_insert(Cause::Lost);
    }

    pub(super) fn is_none(&self) -> bool {
        self.lock().is_none()
    }

    /// The failure as an error; the same one each time.
    pub(super) fn check(&self) -> Result<(), CacheError> {
        match &*self.lock() {
            None => Ok(()),
            Some(Cause::Lost) => Err(CacheError::PartialLost { path: self.folder.clone() }),
            Some(Cause::System { action, path, errno, kind }) => {
                let error = errno.map_or_else(|| io::Error::from(*kind), io::Error::from_raw_os_error);
                Err(CacheError::from_io(action, path, error))
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Cause>> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
