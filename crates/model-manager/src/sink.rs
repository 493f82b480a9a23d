//! Joins the hub's bytes to the cache's staging: neither side knows the other.

use std::ops::Range;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use speech_flow_model_cache::Staging;
use speech_flow_model_hub::{BlobSink, SinkError};
use tokio::runtime::Handle;

/// A staged blob as the place where fetched bytes go.
pub struct StagingSink {
    /// Taken out once, by [`StagingSink::into_staging`] or by `Drop`.
    staging: Option<Staging>,
}

impl StagingSink {
    /// A sink for this blob.
    pub fn new(staging: Staging) -> Self {
        Self { staging: Some(staging) }
    }

    /// The blob, to finish it.
    pub fn into_staging(mut self) -> Option<Staging> {
        self.staging.take()
    }

    fn staging(&self) -> &Staging {
        self.staging.as_ref().expect("only what consumes or drops the sink takes it")
    }
}

impl BlobSink for StagingSink {
    fn missing(&self) -> Vec<Range<u64>> {
        self.staging().missing().iter().collect()
    }

    fn write(&self, offset: u64, bytes: Bytes) -> BoxFuture<'_, Result<(), SinkError>> {
        self.staging().write(offset, bytes).map(|written| written.map_err(SinkError::new)).boxed()
    }

    fn restart(&self) -> BoxFuture<'_, Result<(), SinkError>> {
        self.staging().restart().map(|restarted| restarted.map_err(SinkError::new)).boxed()
    }
}

impl Drop for StagingSink {
    /// Ending a download waits for its last bytes to be written and recorded: not on a runtime's thread.
    fn drop(&mut self) {
        if let (Some(staging), Ok(runtime)) = (self.staging.take(), Handle::try_current()) {
            runtime.spawn_blocking(move || drop(staging));
        }
    }
}
