//! Who may come in: a bound on the audio and on the requests that wait or are worked on.
//!
//! Audio is what costs, so the queue is measured in seconds of it. A request is admitted on an estimate, before its
//! body is read; once it is decoded, its true length takes the estimate's place; while it is worked on, what is done
//! of it no longer counts. What is over the bound is refused with the time after which it should fit, computed from
//! the backlog and the speed that was measured.
//!
//! An empty worker admits any request that the other limits allow, also one that is longer than its queue.

mod ledger;
mod speed;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub(crate) use ledger::{Limit, Limits, Refusal};

use ledger::{Ledger, TicketId};

/// The door. Clones are one door.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    ledger: Arc<Mutex<Ledger>>,
}

/// What is in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Backlog {
    /// Seconds of audio that are not done yet.
    pub(crate) audio_s: f64,
    /// Requests.
    pub(crate) requests: usize,
    /// Seconds of audio that are done in a second, over the recent past.
    pub(crate) speed: f64,
}

/// A place inside, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Admission,
    id: TicketId,
}

impl Admission {
    /// A door with these limits. `speed` is a first guess at the seconds of audio that are done in a second.
    pub(crate) fn new(limits: Limits, speed: f64) -> Self {
        Self { ledger: Arc::new(Mutex::new(Ledger::new(limits, speed, Instant::now()))) }
    }

    /// Lets a request in that is expected to have so many seconds of audio.
    pub(crate) fn admit(&self, estimate_s: f64) -> Result<Ticket, Refusal> {
        let id = self.lock().admit(estimate_s, Instant::now())?;
        Ok(Ticket { admission: self.clone(), id })
    }

    /// What is in.
    pub(crate) fn backlog(&self) -> Backlog {
        self.lock().backlog()
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        self.lock().close();
    }

    /// Replaces the first guess at the speed; what was measured since counts more.
    pub(crate) fn guess_speed(&self, speed: f64) {
        self.lock().guess_speed(speed);
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Says how long the audio really is, once it is decoded; from now on it is worked on.
    ///
    /// # Errors
    /// [`Refusal`] when the estimate was so wrong that the audio does not fit beside the rest.
    pub(crate) fn settle(&self, duration_s: f64) -> Result<(), Refusal> {
        self.admission.lock().settle(self.id, duration_s, Instant::now())
    }

    /// Says up to where the audio is done.
    pub(crate) fn done_until(&self, position_s: f64) {
        self.admission.lock().done_until(self.id, position_s, Instant::now());
    }

    /// Says that all the audio is done.
    pub(crate) fn finish(&self) {
        self.admission.lock().done_until(self.id, f64::INFINITY, Instant::now());
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admission.lock().leave(self.id, Instant::now());
    }
}
