//! The thread that hashes a file while it arrives.
//!
//! The hash needs the bytes in order; they arrive in any order. Bytes at the frontier are hashed from
//! memory as they come. Those ahead of it are let go at once and read back, from the page cache as a
//! rule, when the frontier reaches them. The part that an earlier process recorded is read back the
//! same way: a stored hash state could not prove what is on the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};

use bytes::Bytes;
use speech_flow_model_types::{Digest, RangeSet};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::digester::Digester;

/// Read back in pieces that stay in a core's own cache between read and hash.
const READ_BACK_BYTES: usize = 256 << 10;

pub(super) enum HashCommand {
    /// Bytes that are written at this offset.
    Written { offset: u64, bytes: Bytes, _budget: OwnedSemaphorePermit },
    /// Forget everything. Answered when nothing refers to the old bytes any more.
    Restart(oneshot::Sender<()>),
    /// All bytes are written: say the digest.
    Finish(oneshot::Sender<io::Result<Digest>>),
}

pub(super) struct Hasher {
    pub(super) data: Arc<File>,
    pub(super) expected: Digest,
    pub(super) size: u64,
    /// What is on disk.
    pub(super) written: RangeSet,
    pub(super) stop: Arc<AtomicBool>,
}

impl Hasher {
    /// Works until the other side is gone or the digest was asked for.
    pub(super) fn run(mut self, commands: &Receiver<HashCommand>) {
        let mut digester = Digester::new(&self.expected, self.size);
        let mut frontier = 0;
        let mut failure: Option<io::Error> = None;
        let mut asked: Option<oneshot::Sender<io::Result<Digest>>> = None;
        let mut buffer = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let ready = self.written.contiguous_end(frontier);
            let must_read = ready > frontier && failure.is_none();
            if !must_read && let Some(reply) = asked.take() {
                let result = failure.take().map_or_else(|| Ok(digester.finish()), Err);
                // The asker may have gone; then nobody needs the answer.
                let _ = reply.send(result);
                return;
            }
            let command = if must_read {
                match commands.try_recv() {
                    Ok(command) => Some(command),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) if asked.is_some() => None,
                    Err(TryRecvError::Disconnected) => return,
                }
            } else {
                let Ok(command) = commands.recv() else { return };
                Some(command)
            };
            match command {
                Some(HashCommand::Written { offset, bytes, .. }) => {
                    let end = offset + bytes.len() as u64;
                    self.written.insert(offset..end);
                    if (offset..end).contains(&frontier) && failure.is_none() {
                        digester.update(&bytes[(frontier - offset) as usize..]);
                        frontier = end;
                    }
                }
                Some(HashCommand::Restart(reply)) => {
                    (self.written, frontier, failure) = (RangeSet::new(), 0, None);
                    digester = Digester::new(&self.expected, self.size);
                    let _ = reply.send(());
                }
                Some(HashCommand::Finish(reply)) => asked = Some(reply),
                None => {
                    buffer.resize(READ_BACK_BYTES, 0);
                    let piece = &mut buffer[..READ_BACK_BYTES.min((ready - frontier) as usize)];
                    match self.data.read_exact_at(piece, frontier) {
                        Ok(()) => {
                            digester.update(piece);
                            frontier += piece.len() as u64;
                        }
                        Err(error) => failure = Some(error),
                    }
                }
            }
        }
    }
}
