//! The record of the last run, on the volume that replicas share.
//!
//! ```text
//! STATE/server/updates.json    what was found
//! STATE/server/updates.lock    held while somebody looks
//! ```

use std::fs::{self, File, TryLockError};
use std::io;

use speech_flow_model_hub::RequestId;

use super::Record;
use crate::server::Server;

/// Longest record that is read.
const MAX_RECORD: u64 = 16 << 20;

/// Whether somebody else looks for updates on this volume.
pub(super) enum Turn {
    /// Nobody does as long as this lasts, or locks do not work here.
    Ours(Option<File>),
    /// Another replica does.
    Taken,
}

impl Server {
    /// What is known; nothing where there is no record. Blocks.
    pub(crate) fn read_record(&self) -> Record {
        let path = self.inner.state_dir.join("updates.json");
        let length = fs::metadata(&path).map(|metadata| metadata.len());
        if length.is_ok_and(|length| length > MAX_RECORD) {
            return Record::default();
        }
        fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Replaces the record. Blocks.
    pub(super) fn write_record(&self, record: &Record) -> io::Result<()> {
        let folder = &self.inner.state_dir;
        fs::create_dir_all(folder)?;
        let staged = folder.join(format!(".updates.{}.tmp", RequestId::random()));
        fs::write(&staged, serde_json::to_vec_pretty(record)?)?;
        fs::rename(&staged, folder.join("updates.json"))
    }

    /// Takes the turn, without waiting. Blocks for the volume.
    pub(super) fn take_turn(&self) -> Turn {
        let folder = &self.inner.state_dir;
        let open = || {
            fs::create_dir_all(folder)?;
            File::options().create(true).truncate(false).write(true).open(folder.join("updates.lock"))
        };
        let Ok(file) = open() else { return Turn::Ours(None) };
        match file.try_lock() {
            Ok(()) => Turn::Ours(Some(file)),
            Err(TryLockError::WouldBlock) => Turn::Taken,
            Err(TryLockError::Error(_)) => Turn::Ours(None),
        }
    }
}
