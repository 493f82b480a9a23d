//! A lockfile takes the place of the one before by one rename: readers see one or the other, whole.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Lockfile;

impl Lockfile {
    /// Puts the lockfile in the place of the one at this path. Blocks.
    ///
    /// # Errors
    /// What the volume says; the one before is as it was.
    pub fn replace(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A temporary file is for its owner only; a lockfile is for everybody, as far as the umask allows.
        let mut file = tempfile::Builder::new()
            .prefix(".speech-flow.lock.")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        file.write_all(self.to_toml().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}
