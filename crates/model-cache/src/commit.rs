//! From verified to visible: the blob under its final name, then the snapshot's link to it.
//!
//! Each step is one rename, and each leaves a cache that is right: a blob that no snapshot names is
//! only not used yet. The ref, which makes a commit the current one, is written last, by the caller.
//! After a power loss a name may be gone again, but none stands for other bytes: content is synced
//! before its name changes, and the folder after.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use speech_flow_model_types::{CommitHash, RemoteFile, RepoId};

use crate::cache::Cache;
use crate::error::CacheError;
use crate::verify::VerifiedBlob;
use crate::volume;

impl Cache {
    /// Puts a verified blob under its final name. Where another download was first, its bytes, which
    /// are the same, stay or give way; a reader sees whole content all the time.
    ///
    /// # Errors
    /// [`CacheError::PartialLost`] when another process took the partial over, or any failure to write.
    pub fn commit_blob(&self, verified: VerifiedBlob) -> Result<(), CacheError> {
        let VerifiedBlob { mut partial, repo, file } = verified;
        if !partial.is_held() {
            return Err(CacheError::PartialLost { path: partial.folder().to_owned() });
        }
        let blobs = self.layout().blobs(&repo);
        self.create_folder(&blobs)?;
        let data = partial.data_path();
        let blob = self.layout().blob(&repo, &file.digest);
        let lost = || CacheError::PartialLost { path: partial.folder().to_owned() };
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => lost(),
            _ => CacheError::from_io("sync", &data, error),
        };
        // A synced file costs nothing to sync again; a small one was not synced yet.
        File::open(&data).and_then(|data| data.sync_data()).map_err(failed)?;
        let mut placed = fs::rename(&data, &blob);
        if matches!(&placed, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            // A cleaner may have removed the folder of blobs, empty as it was.
            self.create_folder(&blobs)?;
            placed = fs::rename(&data, &blob);
        }
        match placed {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(lost()),
            Err(error) => return Err(CacheError::from_io("rename into place", &blob, error)),
        }
        partial.remove_on_drop();
        Ok(())
    }

    /// Makes a snapshot name blobs that are in the cache: by a relative link, or by a plain file where
    /// the volume has no links. A wrong or broken entry is replaced. Folders are synced once for all
    /// files, that of the blobs first.
    ///
    /// # Errors
    /// [`CacheError::BlobMissing`] when neither blob nor file is there, as after a clean-up that met the
    /// download: fetch it again. Or any failure to write.
    pub fn link<'a>(
        &self,
        repo: &RepoId,
        commit: &CommitHash,
        files: impl IntoIterator<Item = &'a RemoteFile>,
    ) -> Result<(), CacheError> {
        let missing: Vec<_> = files.into_iter().filter(|file| !self.is_linked(repo, commit, file)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut folders = BTreeSet::from([self.layout().blobs(repo)]);
        self.sync_folders(&folders)?;
        folders.clear();
        for file in &missing {
            folders.insert(self.link_one(repo, commit, file)?);
        }
        // A new folder is a name in the one above.
        let root = self.layout().root();
        let above: Vec<_> = folders.iter().flat_map(|folder| folder.ancestors()).map(Path::to_owned).collect();
        folders.extend(above.into_iter().filter(|folder| folder.starts_with(root)));
        self.sync_folders(&folders)?;
        // A cleaner moves a blob aside and then looks for links to it: whoever looks last sees the other.
        match missing.into_iter().find(|file| !self.is_linked(repo, commit, file)) {
            None => Ok(()),
            Some(file) => {
                let path = self.layout().blob(repo, &file.digest);
                Err(CacheError::BlobMissing { file: file.path.clone(), path })
            }
        }
    }

    fn sync_folders(&self, folders: &BTreeSet<PathBuf>) -> Result<(), CacheError> {
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            volume::sync_folder(folder).map_err(|error| CacheError::from_io("sync", folder, error))?;
        }
        Ok(())
    }

    /// Places one entry and gives the folder that it stands in.
    fn link_one(&self, repo: &RepoId, commit: &CommitHash, file: &RemoteFile) -> Result<PathBuf, CacheError> {
        let blob = self.layout().blob(repo, &file.digest);
        if !self.has_blob(repo, file) {
            return Err(CacheError::BlobMissing { file: file.path.clone(), path: blob });
        }
        let entry = self.layout().snapshot_file(repo, commit, &file.path);
        self.ensure_writable(&entry)?;
        let folder = entry.parent().unwrap_or(self.layout().root());
        self.create_folder(folder)?;
        self.create_folder(&self.layout().partials(repo))?;
        let staged = self.layout().repo_staging(repo, &volume::random_id());
        let placed = self.make_entry(&staged, file, &blob).and_then(|()| place(&staged, &entry));
        if let Err(error) = placed {
            // It may not exist; then there is nothing to remove either.
            let _ = fs::remove_file(&staged);
            return Err(CacheError::from_io("link", &entry, error));
        }
        Ok(folder.to_owned())
    }

    fn make_entry(&self, staged: &Path, file: &RemoteFile, blob: &Path) -> io::Result<()> {
        if self.uses_symlinks() {
            match symlink(self.layout().link_target(&file.path, &file.digest), staged) {
                Ok(()) => {
                    self.learn_symlinks(true);
                    return Ok(());
                }
                Err(error) if volume::has_no_links(&error) => self.learn_symlinks(false),
                Err(error) => return Err(error),
            }
        }
        // The blob itself may be a link into the shared store: the entry names what it leads to.
        let content = fs::canonicalize(blob)?;
        match fs::hard_link(&content, staged) {
            Ok(()) => return Ok(()),
            Err(error) if volume::has_no_links(&error) => {}
            Err(error) => return Err(error),
        }
        let mut copy = File::create_new(staged)?;
        io::copy(&mut File::open(&content)?, &mut copy)?;
        copy.sync_data()
    }
}

/// A folder in the way is one that an earlier listing of another shape left; only an empty one gives way.
fn place(staged: &Path, entry: &Path) -> io::Result<()> {
    match fs::rename(staged, entry) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            fs::remove_dir(entry)?;
            fs::rename(staged, entry)
        }
        other => other,
    }
}
