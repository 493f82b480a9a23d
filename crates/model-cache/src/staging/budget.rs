//! The bound on bytes that have arrived and are not yet written and hashed.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes in memory for a whole process, whatever the number and size of its downloads.
const DEFAULT_BYTES: u32 = 8 << 20;

/// A bound on memory that downloads share; clones share it too.
#[derive(Debug, Clone)]
pub struct WriteBudget {
    permits: Arc<Semaphore>,
    bytes: u32,
}

impl WriteBudget {
    /// A budget of so many bytes, at least 64 KiB.
    pub fn new(bytes: u64) -> Self {
        let most = Semaphore::MAX_PERMITS.min(u32::MAX as usize) as u64;
        let bytes = bytes.clamp(64 << 10, most) as u32;
        Self { permits: Arc::new(Semaphore::new(bytes as usize)), bytes }
    }

    /// The whole budget in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.into()
    }

    /// Waits for room. Never closed, hence always granted in the end; `bytes` is at most the budget.
    pub(super) async fn take(&self, bytes: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).acquire_many_owned(bytes.min(self.bytes)).await.ok()
    }
}

impl Default for WriteBudget {
    fn default() -> Self {
        Self::new(DEFAULT_BYTES.into())
    }
}
