//! One call of a request: its windows, and the answers that come back one by one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often one who waits looks whether it still should.
const LOOK: Duration = Duration::from_millis(50);

/// Where the answers to a call are gathered.
#[derive(Debug)]
pub(super) struct Call<O, E> {
    state: Mutex<State<O, E>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<O, E> {
    answers: Vec<Option<O>>,
    missing: usize,
    failed: Option<E>,
    /// Nobody waits any more.
    is_over: bool,
}

/// How long a call is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Until it is answered.
    GoOn,
    /// No longer.
    Stop,
}

impl<O, E> Call<O, E> {
    pub(super) fn new(windows: usize) -> Self {
        let answers = std::iter::repeat_with(|| None).take(windows).collect();
        let state = State { answers, missing: windows, failed: None, is_over: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Whether somebody waits for an answer; after one window failed, nobody does.
    pub(super) fn is_open(&self) -> bool {
        let state = self.lock();
        !state.is_over && state.failed.is_none()
    }

    pub(super) fn answer(&self, window: usize, answer: O) {
        let mut state = self.lock();
        if let Some(place) = state.answers.get_mut(window)
            && place.replace(answer).is_none()
        {
            state.missing -= 1;
        }
        self.changed.notify_all();
    }

    pub(super) fn fail(&self, error: E) {
        let mut state = self.lock();
        state.failed.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Waits for all answers; `None` when `look` said that it should stop.
    pub(super) fn wait(&self, look: impl Fn() -> Waiting) -> Option<Result<Vec<O>, E>> {
        let mut state = self.lock();
        loop {
            if let Some(error) = state.failed.take() {
                state.is_over = true;
                return Some(Err(error));
            }
            if state.missing == 0 {
                state.is_over = true;
                return Some(Ok(state.answers.drain(..).flatten().collect()));
            }
            if look() == Waiting::Stop {
                state.is_over = true;
                return None;
            }
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<O, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
