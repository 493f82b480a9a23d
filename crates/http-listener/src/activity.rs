//! What a connection is doing, and since when: from it follows when it is ended.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::options::Patience;
use crate::stats::Closed;

/// A connection that waits when the service ends has so long to begin a request.
const LINGER: Duration = Duration::from_secs(1);

/// What a connection is doing. Its socket, its requests and its answers each say when that changes.
#[derive(Debug)]
pub(crate) struct Activity {
    state: Mutex<State>,
    /// Cancelled when another connection takes its place.
    pub(crate) evicted: CancellationToken,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Since when the client has taken no more of what is sent.
    blocked: Option<Instant>,
    /// Since when it has sent no more of a body that is waited for.
    starved: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The handshake or a head is on its way.
    Opening,
    /// A request is answered.
    Busy,
    /// The last bytes of an answer are on their way.
    Finishing,
    /// Nothing is on its way.
    Idle,
    /// It has to go.
    Evicted,
}

/// What to do with a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// End it.
    Overdue(Closed),
    /// Look again then, at the latest.
    Until(Instant),
}

impl Activity {
    /// A connection that was just accepted.
    pub(crate) fn new() -> Self {
        let state = State { phase: Phase::Opening, since: Instant::now(), blocked: None, starved: None };
        Self { state: Mutex::new(state), evicted: CancellationToken::new() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came.
    pub(crate) fn received(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Idle {
            state.enter(Phase::Opening);
        }
    }

    /// A request came; `false` when it is too late for one.
    pub(crate) fn begin(&self) -> bool {
        let mut state = self.lock();
        if state.phase == Phase::Evicted {
            return false;
        }
        state.enter(Phase::Busy);
        true
    }

    /// The answer is made; its last bytes may still have to be sent.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Busy {
            state.enter(Phase::Finishing);
        }
    }

    /// The socket took bytes, or could not.
    pub(crate) fn sending(&self, is_blocked: bool) {
        let mut state = self.lock();
        match is_blocked {
            true => drop(state.blocked.get_or_insert_with(Instant::now)),
            false => state.blocked = None,
        }
    }

    /// All that was to be sent is sent.
    pub(crate) fn flushed(&self) {
        let mut state = self.lock();
        state.blocked = None;
        if state.phase == Phase::Finishing {
            state.enter(Phase::Idle);
        }
    }

    /// A body that is waited for goes on, or does not.
    pub(crate) fn starving(&self, is_starved: bool) {
        let mut state = self.lock();
        match is_starved {
            true => drop(state.starved.get_or_insert_with(Instant::now)),
            false => state.starved = None,
        }
    }

    /// Since when it has waited for a request, where it does.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        let state = self.lock();
        matches!(state.phase, Phase::Opening | Phase::Idle).then_some(state.since)
    }

    /// Ends it, unless a request has come meanwhile.
    pub(crate) fn evict(&self) -> bool {
        let mut state = self.lock();
        let waits = matches!(state.phase, Phase::Opening | Phase::Idle);
        if waits {
            state.enter(Phase::Evicted);
            self.evicted.cancel();
        }
        waits
    }

    /// Waits until it has to be ended.
    pub(crate) async fn overdue(&self, patience: Patience, stop: &CancellationToken) -> Closed {
        loop {
            let is_ending = stop.is_cancelled();
            let patience = match is_ending {
                true => Patience { head: patience.head.min(LINGER), idle: Duration::ZERO, ..patience },
                false => patience,
            };
            match self.look(Instant::now(), patience) {
                Verdict::Overdue(reason) => return reason,
                Verdict::Until(then) => tokio::select! {
                    () = tokio::time::sleep_until(then) => {}
                    () = stop.cancelled(), if !is_ending => {}
                },
            }
        }
    }

    fn look(&self, now: Instant, patience: Patience) -> Verdict {
        let state = self.lock();
        let (limit, reason) = match state.phase {
            Phase::Opening => (state.since + patience.head, Closed::Head),
            Phase::Idle => (state.since + patience.idle, Closed::Idle),
            Phase::Evicted => (now, Closed::Evicted),
            Phase::Busy | Phase::Finishing => {
                let blocked = state.blocked.map(|since| (since + patience.send, Closed::Send));
                let starved = state.starved.map(|since| (since + patience.receive, Closed::Receive));
                match blocked.into_iter().chain(starved).min_by_key(|(limit, _)| *limit) {
                    Some(due) => due,
                    None => return Verdict::Until(now + patience.shortest()),
                }
            }
        };
        // What begins from now on is not due before the shortest time of all.
        if limit <= now { Verdict::Overdue(reason) } else { Verdict::Until(limit.min(now + patience.shortest())) }
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        (self.phase, self.since) = (phase, Instant::now());
    }
}

impl Patience {
    fn shortest(&self) -> Duration {
        // An idle time of zero is for the end of the service, which tells by itself when it comes.
        let longest_look = Duration::from_millis(100).max(self.idle);
        self.head.min(longest_look).min(self.send).min(self.receive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(70),
        send: Duration::from_secs(100),
        receive: Duration::from_secs(50),
    };

    #[track_caller]
    fn overdue_after(activity: &Activity, seconds: u64, reason: Closed) {
        let now = Instant::now();
        let before = activity.look(now + Duration::from_secs(seconds) - Duration::from_millis(1), PATIENCE);
        assert!(matches!(before, Verdict::Until(_)), "{before:?}");
        let after = activity.look(now + Duration::from_secs(seconds), PATIENCE);
        assert_eq!(after, Verdict::Overdue(reason));
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_time() {
        let activity = Activity::new();
        overdue_after(&activity, 10, Closed::Head);
        assert!(activity.begin());
        assert!(matches!(activity.look(Instant::now() + Duration::from_secs(9999), PATIENCE), Verdict::Until(_)));
        activity.starving(true);
        overdue_after(&activity, 50, Closed::Receive);
        activity.starving(false);
        activity.end();
        activity.sending(true);
        overdue_after(&activity, 100, Closed::Send);
        activity.sending(false);
        activity.flushed();
        overdue_after(&activity, 70, Closed::Idle);
        activity.received();
        overdue_after(&activity, 10, Closed::Head);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_waits_can_be_evicted() {
        let activity = Activity::new();
        assert!(activity.begin() && !activity.evict());
        activity.end();
        assert!(!activity.evict(), "its last bytes are on their way");
        activity.flushed();
        assert!(activity.evict() && !activity.begin());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_service_leaves_no_time_to_what_is_idle() {
        let (activity, stop) = (Activity::new(), CancellationToken::new());
        activity.begin();
        activity.end();
        activity.flushed();
        let started = Instant::now();
        stop.cancel();
        assert_eq!(activity.overdue(PATIENCE, &stop).await, Closed::Idle);
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
