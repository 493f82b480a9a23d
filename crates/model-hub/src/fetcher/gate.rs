//! The door to the network: how many lanes of the whole process may be open, in which order.
//!
//! A lane passes the door anew for every segment, and the door is first come, first served. So a small file
//! waits for the end of one segment at most, however large the files are that came before it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use speech_flow_model_types::LaneGovernor;
use tokio::sync::Semaphore;

/// How often goodput is judged.
const WINDOW: Duration = Duration::from_secs(5);

/// Counts lanes and closes some when goodput falls.
#[derive(Debug)]
pub(super) struct LaneGate {
    permits: Semaphore,
    state: Mutex<State>,
    /// Bytes since the running window began.
    bytes: AtomicU64,
    /// When the running window ends, in milliseconds of the clock.
    window_end_ms: AtomicU64,
    /// Lanes that have work, whether inside the door or in front of it.
    workers: AtomicUsize,
    /// Fewest workers in the running window.
    fewest_workers: AtomicUsize,
}

/// Invariant: permits in the semaphore + permits held - debt = lanes that the governor allows.
#[derive(Debug)]
struct State {
    governor: LaneGovernor,
    allowed: usize,
    /// Lanes to close as soon as their segment ends.
    debt: usize,
    /// No lane is closed for a refusal before this moment: many lanes hear the same refusal.
    calm_until: Duration,
}

/// One open lane.
#[derive(Debug)]
pub(super) struct LanePermit {
    gate: Arc<LaneGate>,
}

/// One lane that has work.
#[derive(Debug)]
pub(super) struct Worker {
    gate: Arc<LaneGate>,
}

impl LaneGate {
    pub(super) fn new(lanes: usize, now: Duration) -> Self {
        let lanes = lanes.clamp(1, Semaphore::MAX_PERMITS);
        let governor = LaneGovernor::new(lanes, WINDOW, now);
        Self {
            permits: Semaphore::new(lanes),
            window_end_ms: AtomicU64::new(millis(governor.window_end())),
            state: Mutex::new(State { governor, allowed: lanes, debt: 0, calm_until: now }),
            bytes: AtomicU64::new(0),
            workers: AtomicUsize::new(0),
            fewest_workers: AtomicUsize::new(0),
        }
    }

    /// Waits for a free lane, first come, first served.
    pub(super) async fn enter(self: &Arc<Self>) -> LanePermit {
        let permit = self.permits.acquire().await.expect("nothing closes the semaphore");
        // Given back by the drop of `LanePermit`, which may have to close the lane instead.
        permit.forget();
        LanePermit { gate: Arc::clone(self) }
    }

    /// Counts a lane that has work until the guard is dropped.
    pub(super) fn worker(self: &Arc<Self>) -> Worker {
        self.workers.fetch_add(1, Ordering::Relaxed);
        Worker { gate: Arc::clone(self) }
    }

    /// Counts bytes; once a window, judges them.
    pub(super) fn received(&self, bytes: u64, now: Duration) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if millis(now) < self.window_end_ms.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now < state.governor.window_end() {
            return;
        }
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        let fewest = self.fewest_workers.swap(self.workers.load(Ordering::Relaxed), Ordering::Relaxed);
        let lanes = state.governor.received(bytes, fewest, now);
        self.window_end_ms.store(millis(state.governor.window_end()), Ordering::Relaxed);
        self.resize(&mut state, lanes);
    }

    /// The hub asked for fewer requests.
    pub(super) fn refused(&self, now: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= state.calm_until {
            state.calm_until = now + WINDOW;
            let lanes = state.governor.refused();
            self.resize(&mut state, lanes);
        }
    }

    fn resize(&self, state: &mut State, lanes: usize) {
        if lanes == state.allowed {
            return;
        }
        if lanes < state.allowed {
            tracing::debug!("lanes are closed: goodput fell or the hub asked for it");
            let close = state.allowed - lanes;
            state.debt += close - self.permits.forget_permits(close);
        } else {
            tracing::debug!("a lane is opened again");
            let open = lanes - state.allowed;
            let spared = open.min(state.debt);
            state.debt -= spared;
            self.permits.add_permits(open - spared);
        }
        state.allowed = lanes;
    }
}

impl Drop for LanePermit {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.debt > 0 {
            state.debt -= 1;
        } else {
            self.gate.permits.add_permits(1);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let left = self.gate.workers.fetch_sub(1, Ordering::Relaxed) - 1;
        self.gate.fewest_workers.fetch_min(left, Ordering::Relaxed);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(gate: &LaneGate) -> usize {
        gate.permits.available_permits()
    }

    #[tokio::test]
    async fn a_collapse_closes_lanes_when_their_segment_ends() {
        let gate = Arc::new(LaneGate::new(4, Duration::ZERO));
        let workers: Vec<_> = (0..4).map(|_| gate.worker()).collect();
        let mut permits = Vec::new();
        for _ in 0..4 {
            permits.push(gate.enter().await);
        }
        // The first window only began while lanes came up.
        gate.received(1000, WINDOW);
        gate.received(1000, WINDOW * 2);
        gate.received(1, WINDOW * 3);
        assert_eq!(free(&gate), 0);
        permits.truncate(1);
        assert_eq!(free(&gate), 1, "two of three are closed for good");
        drop(permits);
        assert_eq!(free(&gate), 2);
        drop(workers);
    }

    #[tokio::test]
    async fn one_refusal_heard_by_all_lanes_closes_one() {
        let gate = Arc::new(LaneGate::new(4, Duration::ZERO));
        (0..4).for_each(|_| gate.refused(Duration::from_secs(1)));
        assert_eq!(free(&gate), 3);
        (0..4).for_each(|_| gate.refused(Duration::from_secs(10)));
        assert_eq!(free(&gate), 2);
    }
}
