//! The thread that makes written bytes safe and then says so in the journal.
//!
//! It syncs while the writer goes on with the next segment.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use speech_flow_model_types::RangeSet;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::failure::Failure;
use super::partial::Journaled;

pub(super) enum RecordCommand {
    /// These ranges are written; the permit is let go when they are recorded.
    Record { ranges: RangeSet, unrecorded: Option<OwnedSemaphorePermit> },
    /// Forget what was recorded.
    Restart(oneshot::Sender<()>),
}

pub(super) struct Recorder {
    pub(super) data: Arc<File>,
    pub(super) journal: Journaled,
    pub(super) failure: Arc<Failure>,
}

impl Recorder {
    /// Works until the writer is gone.
    pub(super) fn run(mut self, commands: &Receiver<RecordCommand>) {
        while let Ok(command) = commands.recv() {
            match command {
                RecordCommand::Record { ranges, unrecorded } => {
                    if self.failure.is_none() {
                        self.record(&ranges);
                    }
                    drop(unrecorded);
                }
                RecordCommand::Restart(reply) => {
                    if !self.journal.is_held() {
                        self.failure.set_lost();
                    } else if let Err(error) = self.journal.clear() {
                        self.failure.set("write", &self.journal.path, &error);
                    }
                    let _ = reply.send(());
                }
            }
        }
    }

    fn record(&mut self, ranges: &RangeSet) {
        if !self.journal.is_held() {
            self.failure.set_lost();
            return;
        }
        if let Err(error) = self.data.sync_data() {
            self.failure.set("sync", &self.journal.data_path, &error);
            return;
        }
        if let Err(error) = self.journal.append(ranges) {
            self.failure.set("write", &self.journal.path, &error);
        }
    }
}

impl Journaled {
    fn append(&mut self, ranges: &RangeSet) -> io::Result<()> {
        let records: Vec<u8> = ranges.iter().flat_map(|range| self.header.encode_record(&range)).collect();
        self.file.write_all(&records)?;
        self.file.sync_data()
    }

    fn clear(&mut self) -> io::Result<()> {
        use std::io::{Seek as _, SeekFrom};
        let end = crate::journal::HEADER_LEN as u64;
        self.file.set_len(end)?;
        self.file.seek(SeekFrom::Start(end))?;
        self.file.sync_data()
    }
}
