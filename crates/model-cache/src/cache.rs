//! One cache: its paths, its settings, and what was learned of its volume.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::error::CacheError;
use crate::layout::{CACHEDIR_TAG, Layout};
use crate::staging::WriteBudget;
use crate::volume::{self, Writability};

/// How long nothing of a download may move before its lock is ignored.
pub const STALE_LOCK_AFTER: Duration = Duration::from_secs(60);

/// How much new content arrives between two records of a journal.
pub const DEFAULT_SEGMENT_BYTES: u64 = 16 << 20;

/// Whether the cache may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// As its volume allows.
    #[default]
    Auto,
    /// Never, whatever the volume allows.
    ReadOnly,
}

/// How a snapshot names its blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symlinks {
    /// By relative symbolic links where the volume has them.
    #[default]
    Auto,
    /// By plain files.
    Never,
}

/// Settings of a [`Cache`].
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// Root of the cache, what `HF_HUB_CACHE` names.
    pub root: PathBuf,
    /// Folder of leases, pins, usage, quarantine and reservations. Caches may share it.
    pub state_dir: PathBuf,
    /// Whether the cache may be written to.
    pub access: Access,
    /// How snapshots name blobs.
    pub symlinks: Symlinks,
    /// How much new content arrives between two records of a journal.
    pub segment_bytes: u64,
    /// Where leases go when not into the state folder.
    pub lease_dir: Option<PathBuf>,
    /// Bytes that have arrived and are not on disk, over all downloads that share it.
    pub write_budget: WriteBudget,
    /// How long nothing of a download may move before its lock is ignored.
    pub stale_lock_after: Duration,
}

impl CacheConfig {
    /// The defaults for a cache.
    pub fn new(root: impl Into<PathBuf>, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            state_dir: state_dir.into(),
            access: Access::default(),
            symlinks: Symlinks::default(),
            segment_bytes: DEFAULT_SEGMENT_BYTES,
            lease_dir: None,
            write_budget: WriteBudget::default(),
            stale_lock_after: STALE_LOCK_AFTER,
        }
    }
}

/// A model cache on disk. Clones are cheap and share what they learned of the volume.
///
/// Opening writes nothing; folders appear with the first thing that is put into them.
#[derive(Debug, Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: CacheConfig,
    layout: Layout,
    /// Whether links can be made; set by the first attempt.
    symlinks: OnceLock<bool>,
    tagged: OnceLock<()>,
}

impl Cache {
    /// Opens a cache, which need not exist yet.
    ///
    /// # Errors
    /// [`CacheError::Io`] when something other than a folder stands under the root's name.
    pub fn open(mut config: CacheConfig) -> Result<Self, CacheError> {
        for path in [&mut config.root, &mut config.state_dir] {
            // Relative paths would change their meaning with the working folder.
            *path = std::path::absolute(&*path).map_err(|error| CacheError::from_io("find", &*path, error))?;
        }
        match fs::metadata(&config.root) {
            Ok(metadata) if !metadata.is_dir() => {
                let source = io::Error::from(io::ErrorKind::NotADirectory);
                return Err(CacheError::Io { action: "open the cache", path: config.root, source });
            }
            _ => {}
        }
        config.segment_bytes = config.segment_bytes.max(1);
        let layout = Layout::new(&config.root, &config.state_dir);
        Ok(Self { inner: Arc::new(Inner { config, layout, symlinks: OnceLock::new(), tagged: OnceLock::new() }) })
    }

    /// The settings.
    pub fn config(&self) -> &CacheConfig {
        &self.inner.config
    }

    /// The paths.
    pub fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    /// Whether the cache can be written to, found out without writing.
    pub fn writability(&self) -> Writability {
        if self.config().access == Access::ReadOnly {
            return Writability::ReadOnly;
        }
        // What cannot be asked is left to the write itself.
        volume::writability(self.layout().root()).unwrap_or(Writability::Writable)
    }

    /// Refuses before anything of the root is touched.
    pub(crate) fn ensure_writable(&self, path: &Path) -> Result<(), CacheError> {
        match self.writability() {
            Writability::Writable => Ok(()),
            Writability::ReadOnly => Err(CacheError::ReadOnly { path: path.to_owned() }),
            Writability::Denied => {
                let source = io::Error::from(io::ErrorKind::PermissionDenied);
                Err(CacheError::Permission { action: "write", path: path.to_owned(), source })
            }
        }
    }

    /// Makes a folder of the root, and the root's tag with the first one.
    pub(crate) fn create_folder(&self, folder: &Path) -> Result<(), CacheError> {
        volume::refuse_links(self.layout().root(), folder)
            .and_then(|()| volume::create_folders(folder))
            .map_err(|error| CacheError::from_io("make the folder", folder, error))?;
        if self.inner.tagged.set(()).is_ok() {
            self.write_tag();
        }
        Ok(())
    }

    /// The tag is a courtesy to back-up tools: no failure of it is worth an error.
    fn write_tag(&self) {
        let tag = self.layout().cachedir_tag();
        if tag.exists() {
            return;
        }
        let staged = Layout::staging_name(&tag, &volume::random_id());
        if let Err(error) = volume::write_atomic(&staged, &tag, CACHEDIR_TAG.as_bytes()) {
            tracing::debug!(path = %tag.display(), %error, "the cache's tag could not be written");
        }
    }

    /// Whether snapshots use symbolic links, as far as known.
    pub(crate) fn uses_symlinks(&self) -> bool {
        self.config().symlinks == Symlinks::Auto && self.inner.symlinks.get() != Some(&false)
    }

    /// Remembers what an attempt to make a link showed.
    pub(crate) fn learn_symlinks(&self, supported: bool) {
        if self.inner.symlinks.set(supported).is_ok() && !supported {
            tracing::info!(path = %self.layout().root().display(), "the volume has no symbolic links: snapshots hold plain files");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_writes_nothing_and_a_read_only_cache_refuses_folders() {
        let folder = tempfile::tempdir().expect("temp folder");
        let root = folder.path().join("hub");
        let config = CacheConfig { access: Access::ReadOnly, ..CacheConfig::new(&root, folder.path().join("state")) };
        let cache = Cache::open(config).expect("opens");
        assert!(matches!(cache.ensure_writable(&root), Err(CacheError::ReadOnly { .. })));
        assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 0);
    }

    #[test]
    fn the_first_folder_brings_the_tag() {
        let folder = tempfile::tempdir().expect("temp folder");
        let cache = Cache::open(CacheConfig::new(folder.path(), folder.path().join("state"))).expect("opens");
        cache.create_folder(&folder.path().join("a")).expect("makes");
        let tag = fs::read_to_string(cache.layout().cachedir_tag()).expect("reads");
        assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55"));
    }

    #[test]
    fn a_file_is_no_cache() {
        let file = tempfile::NamedTempFile::new().expect("temp file");
        assert!(Cache::open(CacheConfig::new(file.path(), "/nowhere")).is_err());
    }
}
