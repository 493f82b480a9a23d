//! What the volume below a cache can do, found out without writing where that is possible.
//!
//! Volumes differ: a read-only mount, SMB without symbolic links, NFS without `fallocate`, file systems
//! that cannot sync a folder. Each difference is met here, once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access as AccessMode, FallocateFlags, OFlags, StatVfsMountFlags};
use rustix::io::Errno;

/// Whether a folder can be written to, as far as that shows without writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writability {
    /// Nothing speaks against it.
    Writable,
    /// The volume is mounted read-only.
    ReadOnly,
    /// This user may not.
    Denied,
}

/// Room on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Size of the volume in bytes.
    pub total: u64,
    /// Bytes that this user can still write.
    pub free: u64,
}

/// Looks at a folder or, while it does not exist, at the one above that it would be made in.
///
/// # Errors
/// Any error of looking, apart from those that are an answer.
pub fn writability(folder: &Path) -> io::Result<Writability> {
    let existing = nearest_existing(folder);
    let read_only = rustix::fs::statvfs(&existing)?.f_flag.contains(StatVfsMountFlags::RDONLY);
    if read_only {
        return Ok(Writability::ReadOnly);
    }
    match rustix::fs::access(&existing, AccessMode::WRITE_OK | AccessMode::EXEC_OK) {
        Ok(()) => Ok(Writability::Writable),
        Err(Errno::ROFS) => Ok(Writability::ReadOnly),
        Err(Errno::ACCESS | Errno::PERM) => Ok(Writability::Denied),
        Err(error) => Err(error.into()),
    }
}

/// The room on the volume that a folder is on; `None` where the volume does not say, as some network
/// file systems do not.
///
/// # Errors
/// Any error of asking.
pub fn space(folder: &Path) -> io::Result<Option<Space>> {
    let volume = rustix::fs::statvfs(nearest_existing(folder))?;
    if volume.f_blocks == 0 {
        return Ok(None);
    }
    let bytes = |blocks: u64| blocks.saturating_mul(volume.f_frsize);
    Ok(Some(Space { total: bytes(volume.f_blocks), free: bytes(volume.f_bavail) }))
}

/// The device number of the volume that a folder is on.
pub(crate) fn device(folder: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(fs::metadata(nearest_existing(folder))?.dev())
}

fn nearest_existing(folder: &Path) -> PathBuf {
    let found = folder.ancestors().find(|path| path.exists());
    match found {
        Some(path) if !path.as_os_str().is_empty() => path.to_owned(),
        _ if folder.is_absolute() => PathBuf::from("/"),
        _ => PathBuf::from("."),
    }
}

/// Takes the room for a file at once, so that a full volume shows before the first byte.
///
/// Where the volume cannot, the file only gets its length.
pub(crate) fn allocate(file: &File, size: u64) -> io::Result<()> {
    if size == 0 {
        return Ok(());
    }
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size)) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.set_len(size),
        Err(error) => Err(error.into()),
    }
}

/// Makes the names in a folder durable. Volumes that have no such thing are left at that.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if is_unsupported(&error) || error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        // A folder on some FUSE volumes is opened fine and then refuses `fsync`.
        Err(error) if error.raw_os_error() == Some(Errno::BADF.raw_os_error()) => Ok(()),
        other => other,
    }
}

/// Whether the error says that the volume has no such operation.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOLCK))
}

/// Whether the error of making a link says that the volume has none.
pub(crate) fn has_no_links(error: &io::Error) -> bool {
    is_unsupported(error)
        || matches!(
            error.raw_os_error().map(Errno::from_raw_os_error),
            Some(Errno::PERM | Errno::XDEV | Errno::MLINK | Errno::INVAL)
        )
}

/// Whether a folder takes symbolic links; tried with one that is removed at once.
///
/// # Errors
/// Any error but the volume's refusal.
pub fn probe_symlinks(folder: &Path) -> io::Result<bool> {
    let probe = folder.join(format!(".link-{:016x}", rand::random::<u64>()));
    match std::os::unix::fs::symlink("target", &probe) {
        Ok(()) => fs::remove_file(&probe).map(|()| true),
        Err(error) if has_no_links(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a folder and those above it, mode 0777 less the umask.
pub(crate) fn create_folders(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Opens a file that another user of the volume may have put there: never waits for a pipe's other end, and
/// takes regular files only, since a device has no end.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true), path, OFlags::NONBLOCK)
}

/// The content of a regular file, of which no more than `limit` bytes are read.
pub(crate) fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    // With room for its length, a file is read in one call; without, in many small ones.
    let length = file.metadata()?.len().min(limit).min(MAX_READ_AHEAD);
    let mut content = Vec::with_capacity(length as usize + PROBE);
    file.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

/// Most memory that is set aside before a byte is read.
const MAX_READ_AHEAD: u64 = 1 << 20;
/// Room in which the end of a file is noticed without growing.
const PROBE: usize = 64;

/// As [`open_regular`], to read and write; a link in the file's place is not followed.
pub(crate) fn open_own(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true).write(true), path, OFlags::NONBLOCK | OFlags::NOFOLLOW)
}

fn regular(options: &mut OpenOptions, path: &Path, flags: OFlags) -> io::Result<File> {
    let file = options.custom_flags(flags.bits() as i32).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file"));
    }
    Ok(file)
}

/// Whether a link stands in a folder's place: what is done below it would be done elsewhere.
pub(crate) fn is_link(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_symlink())
}

/// Refuses a link in the place of a folder of a repository, down to `folder`. The root and the repository's own
/// folder may be links: people move them to other disks.
pub(crate) fn refuse_links(root: &Path, folder: &Path) -> io::Result<()> {
    let Ok(below) = folder.strip_prefix(root) else { return Ok(()) };
    let mut path = root.to_owned();
    for (depth, name) in below.components().enumerate() {
        path.push(name);
        if depth > 0 && is_link(&path) {
            let what = format!("a link stands in the place of the folder `{}`", path.display());
            return Err(io::Error::new(io::ErrorKind::NotADirectory, what));
        }
    }
    Ok(())
}

/// Puts content under a name in one step: a reader sees the old content or the new, and after a crash
/// one of both is there.
pub(crate) fn write_atomic(staged: &Path, target: &Path, content: &[u8]) -> io::Result<()> {
    for path in [staged, target] {
        path.parent().map_or(Ok(()), create_folders)?;
    }
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).open(staged)?;
        file.write_all(content)?;
        file.sync_data()?;
        fs::rename(staged, target)
    })();
    if written.is_err() {
        // It may not exist; then there is nothing to remove either.
        let _ = fs::remove_file(staged);
        return written;
    }
    target.parent().map_or(Ok(()), sync_folder)
}

/// A name's random part.
pub(crate) fn random_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_that_does_not_exist_is_judged_by_the_one_above() {
        let folder = tempfile::tempdir().expect("temp folder");
        let deep = folder.path().join("a/b/c");
        assert_eq!(writability(&deep).expect("answers"), Writability::Writable);
        assert!(space(&deep).expect("answers").is_some());
        assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 0, "looking wrote something");
    }

    #[test]
    fn content_written_atomically_has_the_mode_of_the_umask() {
        let folder = tempfile::tempdir().expect("temp folder");
        let plain = folder.path().join("plain");
        File::create(&plain).expect("creates");
        let mode = |path: &Path| fs::metadata(path).expect("exists").permissions().mode();
        let target = folder.path().join("a/target");
        write_atomic(&folder.path().join("s/staged"), &target, b"one").expect("writes");
        write_atomic(&folder.path().join("s/staged"), &target, b"two").expect("writes");
        assert_eq!(fs::read(&target).expect("reads"), b"two");
        assert_eq!(mode(&target), mode(&plain));
        assert_eq!(fs::read_dir(folder.path().join("s")).expect("reads").count(), 0);
    }

    #[test]
    fn allocation_gives_a_file_its_length() {
        let file = tempfile::tempfile().expect("temp file");
        allocate(&file, 12_345).expect("allocates");
        assert_eq!(file.metadata().expect("exists").len(), 12_345);
    }

    #[test]
    fn links_are_probed_and_leave_nothing() {
        let folder = tempfile::tempdir().expect("temp folder");
        assert!(probe_symlinks(folder.path()).expect("probes"));
        assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 0);
    }
}
