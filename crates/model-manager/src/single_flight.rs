//! One task at a time for one model: the others find it done.
//!
//! Waiters hold no share of the leader's result. When the leader ends, however it ends, the next one
//! runs the same stages itself, and after a success that is a hit on disk. So a leader that fails,
//! panics or is dropped leaves nobody waiting.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Gives out turns, one at a time for each key.
#[derive(Debug)]
pub(crate) struct SingleFlight<K> {
    turns: Mutex<HashMap<K, Weak<AsyncMutex<()>>>>,
}

impl<K: Eq + Hash> SingleFlight<K> {
    pub(crate) fn new() -> Self {
        Self { turns: Mutex::new(HashMap::new()) }
    }

    /// Waits for the turn of `key`; it lasts until the guard is dropped.
    ///
    /// # Cancel safety
    /// A dropped wait takes no turn.
    pub(crate) async fn turn(&self, key: K) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(&key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::new(AsyncMutex::new(()));
                turns.insert(key, Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn turns_of_one_key_never_overlap() {
        let flights = Arc::new(SingleFlight::new());
        let running = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (flights, running) = (Arc::clone(&flights), Arc::clone(&running));
            tasks.spawn(async move {
                let _turn = flights.turn("model").await;
                assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no overlap");
        }
    }

    #[tokio::test]
    async fn a_leader_that_is_dropped_wakes_the_next() {
        let flights = Arc::new(SingleFlight::new());
        let leader = flights.turn("model").await;
        let follower = tokio::spawn({
            let flights = Arc::clone(&flights);
            async move { drop(flights.turn("model").await) }
        });
        drop(leader);
        follower.await.expect("woken");
    }

    #[tokio::test]
    async fn other_keys_do_not_wait() {
        let flights = SingleFlight::new();
        let _one = flights.turn("one").await;
        let _two = flights.turn("two").await;
    }
}
