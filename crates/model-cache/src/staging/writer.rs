//! The thread that writes what arrives, and the two that it feeds.
//!
//! ```text
//! lanes ── write() ──> writer ──┬─ bytes ──> hasher    lets go of the memory budget
//!                               └─ ranges ─> recorder  lets go of the unrecorded budget
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use bytes::Bytes;
use speech_flow_model_types::{Digest, RangeSet};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::failure::Failure;
use super::growth::Growth;
use super::hasher::{HashCommand, Hasher};
use super::partial::{Claim, OpenPartial};
use super::recorder::{RecordCommand, Recorder};

pub(super) enum WriteCommand {
    Write { offset: u64, bytes: Bytes, budget: OwnedSemaphorePermit, unrecorded: OwnedSemaphorePermit },
    Restart(oneshot::Sender<()>),
    Finish(oneshot::Sender<io::Result<Digest>>),
}

/// The threads of one download; dropping it writes and records what was handed over, then ends them.
#[derive(Debug)]
pub(super) struct Threads {
    commands: Option<Sender<WriteCommand>>,
    stop_hashing: Arc<AtomicBool>,
    growth: Growth,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn start(
        partial: OpenPartial,
        expected: Digest,
        size: u64,
        segment_bytes: u64,
        failure: Arc<Failure>,
    ) -> io::Result<Self> {
        let data = Arc::new(partial.data);
        let data_path = partial.journal.data_path.clone();
        let claim = partial.journal.claim();
        let growth = Growth::new(Arc::clone(&data), partial.recorded.clone(), size);
        let stop_hashing = Arc::new(AtomicBool::new(false));
        let (commands, received) = mpsc::channel();
        let (to_hasher, hash_commands) = mpsc::channel();
        let (to_recorder, record_commands) = mpsc::channel();
        let hasher = Hasher {
            data: Arc::clone(&data),
            expected,
            size,
            written: partial.recorded,
            stop: Arc::clone(&stop_hashing),
        };
        let recorder = Recorder { data: Arc::clone(&data), journal: partial.journal, failure: Arc::clone(&failure) };
        let writer = Writer {
            data,
            data_path,
            growth: growth.clone(),
            claim,
            segment_bytes,
            failure,
            to_hasher,
            to_recorder,
            unrecorded: RangeSet::new(),
            unrecorded_permit: None,
        };
        // Made step by step: when one cannot start, dropping this ends those that did.
        let mut threads = Self { commands: Some(commands), stop_hashing, growth, running: Vec::new() };
        threads.spawn("cache-hash", move || hasher.run(&hash_commands))?;
        threads.spawn("cache-record", move || recorder.run(&record_commands))?;
        threads.spawn("cache-write", move || writer.run(&received))?;
        Ok(threads)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        self.running.push(handle);
        Ok(())
    }

    pub(super) fn growth(&self) -> Growth {
        self.growth.clone()
    }

    /// Hands over a command; `false` when the writer is gone.
    pub(super) fn send(&self, command: WriteCommand) -> bool {
        self.commands.as_ref().is_some_and(|commands| commands.send(command).is_ok())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop_hashing.store(true, Ordering::Relaxed);
        self.commands = None;
        // In reverse: the writer's end ends the channels of the others, which closes them.
        while let Some(thread) = self.running.pop() {
            if thread.join().is_err() {
                tracing::error!("a thread of a download panicked");
            }
        }
    }
}

struct Writer {
    data: Arc<File>,
    data_path: PathBuf,
    growth: Growth,
    claim: Claim,
    segment_bytes: u64,
    failure: Arc<Failure>,
    to_hasher: Sender<HashCommand>,
    to_recorder: Sender<RecordCommand>,
    /// Written, and not yet handed to the recorder.
    unrecorded: RangeSet,
    unrecorded_permit: Option<OwnedSemaphorePermit>,
}

impl Writer {
    fn run(mut self, commands: &Receiver<WriteCommand>) {
        while let Ok(command) = commands.recv() {
            match command {
                WriteCommand::Write { offset, bytes, budget, unrecorded } => {
                    if self.failure.is_none() {
                        self.write(offset, bytes, budget, unrecorded);
                    }
                }
                WriteCommand::Restart(reply) => {
                    self.restart();
                    let _ = reply.send(());
                }
                WriteCommand::Finish(reply) => {
                    self.hand_over();
                    // A hasher that is gone drops the reply, and the asker sees that.
                    let _ = self.to_hasher.send(HashCommand::Finish(reply));
                }
            }
        }
        self.hand_over();
    }

    fn write(&mut self, offset: u64, bytes: Bytes, budget: OwnedSemaphorePermit, unrecorded: OwnedSemaphorePermit) {
        if !self.claim.is_fresh() {
            self.failure.set_lost();
            return;
        }
        if let Err(error) = self.data.write_all_at(&bytes, offset) {
            self.failure.set("write", &self.data_path, &error);
            return;
        }
        let range = offset..offset + bytes.len() as u64;
        self.growth.written(range.clone());
        self.unrecorded.insert(range);
        match &mut self.unrecorded_permit {
            Some(permit) => permit.merge(unrecorded),
            None => self.unrecorded_permit = Some(unrecorded),
        }
        let _ = self.to_hasher.send(HashCommand::Written { offset, bytes, _budget: budget });
        if self.unrecorded.len() >= self.segment_bytes {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let unrecorded = self.unrecorded_permit.take();
        if !self.unrecorded.is_empty() && self.failure.is_none() {
            let ranges = std::mem::take(&mut self.unrecorded);
            let _ = self.to_recorder.send(RecordCommand::Record { ranges, unrecorded });
        }
    }

    /// The journal forgets first: after a crash in between, nothing is taken for recorded that is not.
    fn restart(&mut self) {
        self.growth.restarted();
        (self.unrecorded, self.unrecorded_permit) = (RangeSet::new(), None);
        for forget in [
            |writer: &Self, reply| writer.to_recorder.send(RecordCommand::Restart(reply)).is_ok(),
            |writer: &Self, reply| writer.to_hasher.send(HashCommand::Restart(reply)).is_ok(),
        ] {
            let (reply, answered) = oneshot::channel();
            if forget(self, reply) {
                // A thread that ended has nothing left to forget.
                let _ = answered.blocking_recv();
            }
        }
    }
}
