//! Which files may have left wrong first parts with clients.
//!
//! A client gets bytes before the whole is verified; the last ones are kept back until then. One that was cut
//! off comes back for the rest, and the rest of a right file behind the start of a wrong one has the right
//! length. So a file is marked before its first unverified byte leaves, on disk, since a server may be killed.
//! The mark goes when the very bytes that were sent turn out right. While it stands, whoever asks for a later
//! part gets the whole file, with status 200: clients then start over.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use speech_flow_model_types::Digest;

use crate::server::Server;

/// No client comes back for the rest after so long.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
const SUSPECT: &[u8] = b"suspect";

/// The mark of one download.
#[derive(Debug)]
pub(crate) struct Mark {
    path: PathBuf,
    is_suspect: bool,
}

impl Mark {
    /// Marks a file before any of its bytes leaves. Blocks.
    pub(crate) fn set(server: &Server, digest: &Digest) -> io::Result<Self> {
        let path = path_of(server, digest);
        let folder = server.inner.state_dir.join("unverified");
        fs::create_dir_all(folder)?;
        let mut mark = Self { path, is_suspect: false };
        match fs::File::create_new(&mark.path) {
            Ok(_) => {}
            // An earlier download sent bytes and nobody knows whether they were right.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => mark.suspect()?,
            Err(error) => return Err(error),
        }
        Ok(mark)
    }

    /// Bytes that were sent are not those that stay. Blocks.
    pub(crate) fn suspect(&mut self) -> io::Result<()> {
        self.is_suspect = true;
        fs::File::create(&self.path)?.write_all(SUSPECT)
    }

    /// All that was sent is right. Blocks.
    pub(crate) fn clear(self) {
        if !self.is_suspect {
            // A mark that stays costs whole answers in place of parts.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a client may hold the start of other bytes under this digest. `is_coming` says that a download of
/// this server is on its way, whose own mark is no reason for doubt. Blocks.
pub(crate) fn is_suspect(server: &Server, digest: &Digest, is_coming: bool) -> bool {
    let path = path_of(server, digest);
    let Ok(metadata) = fs::metadata(&path) else { return false };
    let age = metadata.modified().ok().and_then(|set| set.elapsed().ok());
    if age.is_some_and(|age| age > LIFETIME) {
        let _ = fs::remove_file(&path);
        return false;
    }
    metadata.len() > 0 || !is_coming
}

fn path_of(server: &Server, digest: &Digest) -> PathBuf {
    server.inner.state_dir.join("unverified").join(digest.to_string())
}
