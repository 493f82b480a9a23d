//! Calls that run, so that the end of the process can wait for them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

static STATE: Mutex<State> = Mutex::new(State { running: 0, is_ending: false });
static CHANGED: Condvar = Condvar::new();

struct State {
    running: usize,
    is_ending: bool,
}

/// Lets no call begin any more and waits for those that run; whether all have ended within `limit`.
///
/// For the end of a process that may have calls on other threads. When a process ends, the engine's static objects
/// are destroyed, and a call that still runs crashes. A call that would begin later never returns.
pub fn end_calls(limit: Duration) -> bool {
    lock().is_ending = true;
    wait_for_calls(limit)
}

/// Waits for the calls that run; whether there was a moment without any within `limit`.
pub fn wait_for_calls(limit: Duration) -> bool {
    let waited = CHANGED.wait_timeout_while(lock(), limit, |state| state.running > 0);
    let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
    state.running == 0
}

/// A call that runs until this is dropped.
pub(crate) struct Running(());

impl Running {
    pub(crate) fn begin() -> Self {
        let state = lock();
        // The process is about to end, and this thread with it.
        let mut state = CHANGED.wait_while(state, |state| state.is_ending).unwrap_or_else(PoisonError::into_inner);
        state.running += 1;
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        lock().running -= 1;
        CHANGED.notify_all();
    }
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
