//! A token by which the owner of a piece of work stops it.
//!
//! Work here is plain blocking code, so nothing interrupts it: each stage asks the token between two steps (a packet
//! decoded, a window encoded, a token batch generated) and ends with an error of its own. A step is short, so that
//! "canceled" means "stopped within a step".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Says whether work should go on. Clones share one state.
///
/// ```
/// # use speech_flow_speech_engine::cancel::Cancel;
/// let cancel = Cancel::new();
/// let in_the_worker = cancel.clone();
/// cancel.cancel();
/// assert!(in_the_worker.is_canceled());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    canceled: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

/// Why work has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// [`Cancel::cancel`] was called: nobody waits for the result.
    Canceled,
    /// The deadline of the token has passed: somebody waits, but not longer.
    DeadlinePassed,
}

impl Cancel {
    /// A token that is not canceled and has no deadline.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that counts as canceled from `deadline` on.
    pub fn with_deadline(deadline: Instant) -> Self {
        Self { canceled: Arc::default(), deadline: Some(deadline) }
    }

    /// The same token with `deadline`, or with the earlier one where it has one already. Canceling either of both
    /// cancels both.
    #[must_use]
    pub fn and_deadline(&self, deadline: Instant) -> Self {
        let deadline = self.deadline.map_or(deadline, |earlier| earlier.min(deadline));
        Self { canceled: Arc::clone(&self.canceled), deadline: Some(deadline) }
    }

    /// Stops the work, for good.
    pub fn cancel(&self) {
        self.canceled.store(true, Ordering::Release);
    }

    /// Whether the work must stop: the owner said so, or the deadline has passed.
    pub fn is_canceled(&self) -> bool {
        self.reason().is_some()
    }

    /// Why the work must stop; `None` while it may go on. A call of [`Cancel::cancel`] counts before a deadline.
    pub fn reason(&self) -> Option<CancelReason> {
        if self.canceled.load(Ordering::Acquire) {
            Some(CancelReason::Canceled)
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Some(CancelReason::DeadlinePassed)
        } else {
            None
        }
    }

    /// Time left until the deadline; `None` without one, zero after it.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_canceled_together() {
        let first = Cancel::new();
        let second = first.clone();
        assert!(!first.is_canceled() && !second.is_canceled());
        second.cancel();
        assert_eq!(first.reason(), Some(CancelReason::Canceled));
    }

    #[test]
    fn a_passed_deadline_cancels() {
        let late = Cancel::with_deadline(Instant::now());
        assert_eq!(late.reason(), Some(CancelReason::DeadlinePassed));
        assert_eq!(late.remaining(), Some(Duration::ZERO));
        assert!(!Cancel::with_deadline(Instant::now() + Duration::from_secs(60)).is_canceled());
    }

    #[test]
    fn the_earlier_deadline_counts() {
        let now = Instant::now();
        let (soon, later) = (now + Duration::from_secs(60), now + Duration::from_secs(120));
        let long = Cancel::with_deadline(later);
        let short = long.and_deadline(soon);
        assert!(short.and_deadline(later).remaining() <= Some(Duration::from_secs(60)));
        short.cancel();
        assert!(long.is_canceled());
    }
}
