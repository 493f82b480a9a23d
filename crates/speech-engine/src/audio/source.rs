//! The bytes, as the demuxer sees them: bounded, and read no further once the work is canceled.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use symphonia::core::io::MediaSource;

use super::AudioError;
use super::matroska::{self, Claim};
use super::mp4::Movie;
use crate::cancel::Cancel;

/// What happened below the demuxer, whose own errors do not tell a broken disk from a broken file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fault(Arc<Mutex<Option<io::Error>>>);

impl Fault {
    fn record(&self, error: &io::Error) {
        let mut fault = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fault.get_or_insert_with(|| io::Error::new(error.kind(), error.to_string()));
    }

    /// The error that ended reading, if it was not the end of the file.
    pub(crate) fn take(&self) -> Option<AudioError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map(AudioError::Io)
    }
}

/// Bytes that may be read, at most, from one packet to the next. A demuxer holds an element whole, however long its
/// header says that it is; those of real files are some megabytes.
const MAX_READ_AHEAD: u64 = 64 << 20;

/// What was read since the last packet.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadAhead(Arc<AtomicU64>);

impl ReadAhead {
    /// A packet came out.
    pub(crate) fn restart(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn add(&self, bytes: usize) -> io::Result<usize> {
        if self.0.fetch_add(bytes as u64, Ordering::Relaxed) < MAX_READ_AHEAD {
            Ok(bytes)
        } else {
            Err(io::Error::new(io::ErrorKind::FileTooLarge, "too many bytes for one packet"))
        }
    }
}

/// A reader with its length and a [`Cancel`].
pub(crate) struct Source<S> {
    inner: S,
    len: u64,
    claim: Claim,
    movie: Option<Movie>,
    /// Whether the demuxer may look behind what it has read.
    is_seekable: bool,
    read_ahead: ReadAhead,
    cancel: Cancel,
    fault: Fault,
}

impl<S: Read + Seek> Source<S> {
    /// Looks for the length and the first bytes of `inner`, and goes back to its beginning.
    pub(crate) fn new(mut inner: S, max_bytes: u64, cancel: &Cancel) -> Result<Self, AudioError> {
        let len = inner.seek(SeekFrom::End(0)).map_err(AudioError::Io)?;
        inner.seek(SeekFrom::Start(0)).map_err(AudioError::Io)?;
        if len == 0 {
            return Err(AudioError::Empty);
        }
        if len > max_bytes {
            return Err(AudioError::TooLarge { bytes: len, limit: max_bytes });
        }
        let mut head = Vec::new();
        inner.by_ref().take(matroska::HEAD_BYTES as u64).read_to_end(&mut head).map_err(AudioError::Io)?;
        let movie = (head.get(4..8) == Some(b"ftyp")).then(|| Movie::read(&mut inner, len));
        inner.seek(SeekFrom::Start(0)).map_err(AudioError::Io)?;
        let claim = Claim::read(&head, len);
        Ok(Self {
            inner,
            len,
            claim,
            movie,
            is_seekable: claim != Claim::More,
            read_ahead: ReadAhead::default(),
            cancel: cancel.clone(),
            fault: Fault::default(),
        })
    }

    /// What an MP4 file says about itself; `None` for another format.
    pub(crate) fn movie(&self) -> Option<Movie> {
        self.movie
    }

    /// What is to be told of each packet.
    pub(crate) fn read_ahead(&self) -> ReadAhead {
        self.read_ahead.clone()
    }

    /// Goes back to the beginning, to be read from there without looking ahead.
    ///
    /// Some demuxers visit everything behind the audio first, and refuse a file that was cut in the middle.
    pub(crate) fn rewind_to_stream(&mut self) -> Result<(), AudioError> {
        self.is_seekable = false;
        self.read_ahead.restart();
        self.inner.seek(SeekFrom::Start(0)).map(drop).map_err(AudioError::Io)
    }

    /// What a Matroska file says about its length.
    pub(crate) fn claim(&self) -> Claim {
        self.claim
    }

    /// Where errors below the demuxer are noted.
    pub(crate) fn fault(&self) -> Fault {
        self.fault.clone()
    }

    fn watched<T>(&mut self, action: impl FnOnce(&mut S) -> io::Result<T>) -> io::Result<T> {
        if self.cancel.is_canceled() {
            return Err(io::Error::other("canceled"));
        }
        action(&mut self.inner).inspect_err(|error| {
            if !matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput) {
                self.fault.record(error);
            }
        })
    }
}

impl<S: Read + Seek> Read for Source<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.watched(|inner| {
            loop {
                match inner.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => return result,
                }
            }
        })
        .and_then(|read| self.read_ahead.add(read))
    }
}

impl<S: Read + Seek> Seek for Source<S> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.watched(|inner| inner.seek(position))
    }
}

impl<S: Read + Seek + Send + Sync> MediaSource for &mut Source<S> {
    fn is_seekable(&self) -> bool {
        self.is_seekable
    }

    fn byte_len(&self) -> Option<u64> {
        // The Matroska reader refuses a file that it knows to be cut, and reads to the end of one that it does not.
        (self.claim != Claim::More).then_some(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn nothing_is_read_after_cancel() {
        let cancel = Cancel::new();
        let mut source = Source::new(Cursor::new(vec![0; 8]), 8, &cancel).unwrap();
        assert_eq!(source.read(&mut [0; 4]).unwrap(), 4);
        cancel.cancel();
        assert!(source.read(&mut [0; 4]).is_err());
        assert!(source.fault().take().is_none(), "canceling is no fault of the disk");
    }

    #[test]
    fn bytes_have_a_limit() {
        let error = Source::new(Cursor::new(vec![0; 9]), 8, &Cancel::new()).err().unwrap();
        assert!(matches!(error, AudioError::TooLarge { bytes: 9, limit: 8 }));
        let error = Source::new(Cursor::new(vec![]), 8, &Cancel::new()).err().unwrap();
        assert!(matches!(error, AudioError::Empty));
    }

    #[test]
    fn one_packet_does_not_read_the_whole_file() {
        let mut source = Source::new(io::Cursor::new(vec![0; 65 << 20]), u64::MAX, &Cancel::new()).unwrap();
        let mut buffer = vec![0; 1 << 20];
        let mut read = || (0..65).all(|_| source.read(&mut buffer).is_ok());
        assert!(!read());
        assert!(source.fault().take().is_none(), "it is the file that is at fault");
        source.rewind_to_stream().unwrap();
        for _ in 0..65 {
            source.read_ahead().restart();
            assert_eq!(source.read(&mut buffer).unwrap(), 1 << 20);
        }
    }

    #[test]
    fn a_failing_disk_is_told_from_a_damaged_file() {
        struct Failing(u64);
        impl Read for Failing {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.0 > 0 { Err(io::Error::other("disk")) } else { Ok(buffer.len()) }
            }
        }
        impl Seek for Failing {
            fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
                match position {
                    SeekFrom::Start(place) => self.0 = place,
                    _ => self.0 = 100,
                }
                Ok(self.0)
            }
        }
        let mut source = Source::new(Failing(0), 100, &Cancel::new()).unwrap();
        source.seek(SeekFrom::Start(50)).unwrap();
        assert!(source.read(&mut [0; 4]).is_err());
        assert!(matches!(source.fault().take(), Some(AudioError::Io(_))));
    }
}
