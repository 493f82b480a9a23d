//! Files that go from the page cache to the socket without a copy.
//!
//! A body hands hyper *blanks*: slices of one block of zeros that nobody reads or writes, as long as the piece of
//! the file that they stand for. hyper puts them between its own bytes and counts them. When the connection
//! is asked to write a blank, which it knows by its address, it has the kernel send the next bytes of the file
//! in its place.
//!
//! **Invariant:** pieces are noted in the order in which their blanks are handed out, and a connection sends one
//! answer at a time, so the first piece that is noted belongs to the first blank that is written.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};

/// Length of the longest blank.
pub const BLANK_BYTES: u64 = 1 << 20;

/// Allocated as zeros, so that it takes no memory as long as nobody looks.
static BLANK: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![0; BLANK_BYTES as usize]));

/// Pieces of files that a connection is about to send.
#[derive(Debug, Clone, Default)]
pub struct Pieces {
    waiting: Arc<Mutex<VecDeque<Piece>>>,
}

/// One of them; its range is what is still to be sent.
#[derive(Debug)]
struct Piece {
    file: Arc<File>,
    range: Range<u64>,
}

impl Pieces {
    /// Notes a piece, not empty and no longer than [`BLANK_BYTES`], and gives the blank that stands for it.
    pub fn blank(&self, file: &Arc<File>, range: Range<u64>) -> Bytes {
        let length = (range.end - range.start).min(BLANK_BYTES);
        let range = range.start..range.start + length;
        self.lock().push_back(Piece { file: Arc::clone(file), range });
        BLANK.slice(..length as usize)
    }

    /// Sends a part of what a blank stands for; how much.
    pub(crate) fn send(&self, socket: &impl std::os::fd::AsFd, blank: &[u8]) -> io::Result<usize> {
        let mut waiting = self.lock();
        let Some(piece) = waiting.front_mut() else {
            return Err(io::Error::other("a blank stands for no piece of a file"));
        };
        let count = blank.len().min((piece.range.end - piece.range.start) as usize);
        let sent = rustix::fs::sendfile(socket, &piece.file, Some(&mut piece.range.start), count)?;
        if sent == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was sent"));
        }
        if piece.range.is_empty() {
            waiting.pop_front();
        }
        Ok(sent)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Piece>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether bytes are a blank, or the rest of one.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    !bytes.is_empty() && BLANK.as_ptr_range().contains(&bytes.as_ptr())
}

/// Whether a piece can be sent without waiting for the disk, as far as its last byte tells. A volume that does
/// not say is taken at its word.
pub fn is_in_memory(file: &File, range: &Range<u64>) -> bool {
    let mut byte = [0];
    let mut buffers = [io::IoSliceMut::new(&mut byte)];
    let read = rustix::io::preadv2(file, &mut buffers, range.end.saturating_sub(1), ReadWriteFlags::NOWAIT);
    !matches!(read, Err(Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_blank_is_known_by_its_place_and_sent_as_the_file() {
        let mut file = tempfile::tempfile().expect("temp file");
        file.write_all(b"0123456789").expect("writes");
        let pieces = Pieces::default();
        let file = Arc::new(file);
        let (first, second) = (pieces.blank(&file, 2..5), pieces.blank(&file, 7..10));
        assert!(is_blank(&first) && is_blank(&second[1..]) && !is_blank(b"000") && !is_blank(&[]));
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        assert_eq!(pieces.send(&ours, &first[..2]).expect("sends"), 2);
        assert_eq!(pieces.send(&ours, &first[2..]).expect("sends"), 1);
        assert_eq!(pieces.send(&ours, &second).expect("sends"), 3);
        assert!(pieces.send(&ours, &second).is_err());
        drop(ours);
        let mut read = String::new();
        theirs.read_to_string(&mut read).expect("reads");
        assert_eq!(read, "234789");
    }
}
