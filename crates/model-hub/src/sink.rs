//! Where the bytes of a file go.

use std::error::Error;
use std::ops::Range;

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// Takes the bytes of one file, in any order of ranges.
///
/// The bytes are unverified: the sink, or what stands behind it, checks the digest of the whole.
pub trait BlobSink: Send + Sync {
    /// The ranges that are still needed, sorted. Asked at the start and after each restart.
    fn missing(&self) -> Vec<Range<u64>>;

    /// Takes bytes that belong at the offset. Waits while too many bytes are in flight.
    ///
    /// # Cancel safety
    /// The future may be dropped before it is done; the bytes may then have been taken or not, and the
    /// range is fetched again only if [`BlobSink::missing`] names it.
    ///
    /// # Errors
    /// [`SinkError`] ends the download of this file.
    fn write(&self, offset: u64, bytes: Bytes) -> BoxFuture<'_, Result<(), SinkError>>;

    /// Forgets every byte: the file is fetched from the start.
    ///
    /// # Errors
    /// [`SinkError`] ends the download of this file.
    fn restart(&self) -> BoxFuture<'_, Result<(), SinkError>>;
}

/// The sink could not take bytes: a full disk, say. The fetcher hands it to its caller as it is.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SinkError(Box<dyn Error + Send + Sync>);

impl SinkError {
    /// Wraps the sink's own error.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// The sink's own error.
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }

    /// The sink's own error.
    pub fn inner(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}
