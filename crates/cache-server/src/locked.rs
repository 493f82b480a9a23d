//! The lockfile in use. It may change while the server runs: by its own updates, by those of another replica, or
//! by whoever keeps it. So it is read again every few seconds; one that cannot be used leaves the one before.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use speech_flow_model_manager::lockfile::{LockedModel, Lockfile, LockfileError};
use speech_flow_model_types::CommitHash;

use crate::server::Server;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// A lockfile that may change.
#[derive(Debug)]
pub(crate) struct Locked {
    path: PathBuf,
    current: RwLock<Option<Arc<Lockfile>>>,
    /// The text that was read last, also one that cannot be used.
    seen: Mutex<Option<String>>,
    /// One entry is moved at a time.
    moving: Mutex<()>,
}

/// Why an entry was not moved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotMoved {
    #[error("the lockfile `{}` cannot be used", path.display())]
    Unusable { path: PathBuf, source: LockfileError },
    #[error("the lockfile `{}` cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the lockfile `{}` cannot be written", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("somebody else moved the entry meanwhile")]
    MovedMeanwhile,
}

impl Locked {
    pub(crate) fn new(path: PathBuf, lockfile: Option<Lockfile>) -> Self {
        let seen = Mutex::new(lockfile.as_ref().map(Lockfile::to_toml));
        Self { path, current: RwLock::new(lockfile.map(Arc::new)), seen, moving: Mutex::default() }
    }

    /// The lockfile, where there is one.
    pub(crate) fn get(&self) -> Option<Arc<Lockfile>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, lockfile: Lockfile, text: String) -> Arc<Lockfile> {
        let lockfile = Arc::new(lockfile);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&lockfile));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        lockfile
    }

    /// Takes the file anew when it has changed; whether it has. Without a file, what is known stays. Blocks.
    fn refresh(&self) -> Result<bool, NotMoved> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(NotMoved::Unreadable { path: self.path.clone(), source }),
        };
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.as_ref() == Some(&text) {
                return Ok(false);
            }
            *seen = Some(text.clone());
        }
        let lockfile =
            Lockfile::parse(&text).map_err(|source| NotMoved::Unusable { path: self.path.clone(), source })?;
        let is_new = self.get().is_none_or(|current| *current != lockfile);
        self.set(lockfile, text);
        Ok(is_new)
    }

    /// Puts a model in the place of its entry, which must still stand for `from`. Blocks.
    pub(crate) fn move_entry(&self, to: LockedModel, from: &CommitHash) -> Result<Arc<Lockfile>, NotMoved> {
        let _turn = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh()?;
        let current = self.get().ok_or(NotMoved::MovedMeanwhile)?;
        if current.get(to.repo(), to.revision()).map(LockedModel::commit) != Some(from) {
            return Err(NotMoved::MovedMeanwhile);
        }
        let next = Lockfile::clone(&current).with(to);
        next.replace(&self.path).map_err(|source| NotMoved::Unwritable { path: self.path.clone(), source })?;
        let text = next.to_toml();
        Ok(self.set(next, text))
    }
}

impl Server {
    /// The lockfile in use.
    pub(crate) fn lockfile(&self) -> Option<Arc<Lockfile>> {
        self.inner.locked.get()
    }

    /// Looks at the lockfile again and again until the server stops.
    pub(crate) async fn keep_locked(&self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.inner.stop.cancelled() => return,
            }
            let server = self.clone();
            let looked = tokio::task::spawn_blocking(move || server.inner.locked.refresh()).await;
            match looked {
                Ok(Ok(true)) => tracing::info!("the lockfile has changed and is in use"),
                Ok(Ok(false)) | Err(_) => {}
                Ok(Err(error)) => self.inner.log.problem("the lockfile from before stays in use", &error, error.hint()),
            }
        }
    }
}

impl NotMoved {
    /// One thing to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Unusable { source, .. } => Some(source.hint()),
            Self::Unreadable { .. } => Some("check who may read the file".to_owned()),
            Self::Unwritable { .. } => Some(
                "let the server write to the lockfile's folder, or set `server.updates` to `report` and move the \
                 lockfile where it is kept"
                    .to_owned(),
            ),
            Self::MovedMeanwhile => None,
        }
    }
}
