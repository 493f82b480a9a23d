//! How many files are fetched at once, so that small ones are not stuck behind huge ones.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Files from this size on leave a quarter of the turns to others.
const LARGE_BYTES: u64 = 256 << 20;

/// Gives out turns, first come, first served within each size.
#[derive(Debug)]
pub(crate) struct FetchTurns {
    all: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// One turn; it lasts until it is dropped.
#[derive(Debug)]
pub(crate) struct FetchTurn {
    _large: Option<OwnedSemaphorePermit>,
    _any: Option<OwnedSemaphorePermit>,
}

impl FetchTurns {
    pub(crate) fn new(turns: usize) -> Self {
        let turns = turns.max(1);
        let large = (turns - turns.div_ceil(4)).max(1);
        Self { all: Arc::new(Semaphore::new(turns)), large: Arc::new(Semaphore::new(large)) }
    }

    /// Waits for a turn.
    ///
    /// # Cancel safety
    /// A dropped wait takes no turn.
    pub(crate) async fn turn(&self, size: u64) -> FetchTurn {
        // The semaphores are never closed.
        let large = match size >= LARGE_BYTES {
            true => Arc::clone(&self.large).acquire_owned().await.ok(),
            false => None,
        };
        FetchTurn { _large: large, _any: Arc::clone(&self.all).acquire_owned().await.ok() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_small_file_passes_huge_ones() {
        let turns = FetchTurns::new(4);
        let mut huge = Vec::new();
        for _ in 0..3 {
            huge.push(turns.turn(LARGE_BYTES).await);
        }
        let waits = |size| tokio::time::timeout(Duration::from_secs(1), turns.turn(size));
        assert!(waits(LARGE_BYTES).await.is_err());
        let small = waits(1).await.expect("a turn is kept for it");
        assert!(waits(1).await.is_err());
        drop(small);
        huge.pop();
        waits(LARGE_BYTES).await.expect("a huge one has ended");
    }
}
