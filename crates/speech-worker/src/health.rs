//! What the probes say: which phase of the start-up it is, whether the worker drains.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A step of the start-up. The socket is bound before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The model is looked for, fetched where it is missing, verified, validated.
    Ensure,
    /// Every byte of it is hashed, where that was asked for.
    Verify,
    /// The model is said to be in use, so that nobody deletes it.
    Lease,
    /// The engine is opened and the model loaded.
    Load,
    /// The first inference.
    WarmUp,
}

impl Phase {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 5] = [Self::Ensure, Self::Verify, Self::Lease, Self::Load, Self::WarmUp];

    /// The phase as probes and metrics name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ensure => "ensure",
            Self::Verify => "verify",
            Self::Lease => "lease",
            Self::Load => "load",
            Self::WarmUp => "warm-up",
        }
    }
}

/// What the start-up has come to.
#[derive(Debug)]
pub(crate) struct Health {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    now: Option<Running>,
    done: Vec<(Phase, Duration)>,
    is_ready: bool,
    is_draining: bool,
}

#[derive(Debug)]
struct Running {
    phase: Phase,
    since: Instant,
    /// Part of the phase that is done, where it can be known.
    progress: Option<f64>,
}

impl Health {
    /// The health of a worker that starts now.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), state: Mutex::default() }
    }

    /// A phase begins. One that was done before begins anew.
    pub(crate) fn begin(&self, phase: Phase) {
        let mut state = self.lock();
        state.now = Some(Running { phase, since: Instant::now(), progress: None });
        state.done.retain(|(other, _)| *other != phase);
    }

    /// How much of the running phase is done, from 0 to 1.
    pub(crate) fn progress(&self, part: f64) {
        if let Some(running) = &mut self.lock().now {
            running.progress = Some(part.clamp(0.0, 1.0));
        }
    }

    /// The running phase is done; the time that it took.
    pub(crate) fn end(&self) -> Option<(Phase, Duration)> {
        let mut state = self.lock();
        let running = state.now.take()?;
        let done = (running.phase, running.since.elapsed());
        state.done.push(done);
        Some(done)
    }

    /// A model is loaded and answers; the time since the start.
    pub(crate) fn ready(&self) -> Duration {
        self.lock().is_ready = true;
        self.started.elapsed()
    }

    /// No new work is taken from now on.
    pub(crate) fn drain(&self) {
        self.lock().is_draining = true;
    }

    /// Whether no new work is taken.
    pub(crate) fn is_draining(&self) -> bool {
        self.lock().is_draining
    }

    /// Whether work is taken.
    pub(crate) fn is_ready(&self) -> bool {
        let state = self.lock();
        state.is_ready && !state.is_draining
    }

    /// What `/readyz` says, beside whether it is yes or no.
    pub(crate) fn report(&self) -> Value {
        let state = self.lock();
        let status = match (state.is_draining, state.is_ready) {
            (true, _) => "draining",
            (false, true) => "ready",
            (false, false) => "starting",
        };
        let running = state.now.as_ref().filter(|_| !state.is_ready);
        let seconds = |time: Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
        let phases: serde_json::Map<String, Value> =
            state.done.iter().map(|(phase, took)| (phase.as_str().to_owned(), json!(seconds(*took)))).collect();
        json!({
            "status": status,
            "phase": running.map(|running| running.phase.as_str()),
            "phase_seconds": running.map(|running| seconds(running.since.elapsed())),
            "progress": running.and_then(|running| running.progress),
            "seconds": seconds(self.started.elapsed()),
            "phases": phases,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_which_phase_it_is_and_how_far() {
        let health = Health::new();
        health.begin(Phase::Ensure);
        health.progress(0.25);
        let report = health.report();
        assert_eq!(
            (&report["status"], &report["phase"], &report["progress"]),
            (&json!("starting"), &json!("ensure"), &json!(0.25))
        );
        assert!(!health.is_ready());
    }

    #[test]
    fn what_is_done_has_its_time() {
        let health = Health::new();
        for phase in Phase::ALL {
            health.begin(phase);
            health.end();
        }
        health.ready();
        let report = health.report();
        assert_eq!(report["phases"].as_object().expect("an object").len(), Phase::ALL.len());
        assert_eq!((&report["status"], &report["phase"]), (&json!("ready"), &Value::Null));
    }

    #[test]
    fn a_worker_that_drains_is_not_ready() {
        let health = Health::new();
        health.ready();
        assert!(health.is_ready());
        health.drain();
        assert!(!health.is_ready());
        assert_eq!(health.report()["status"], "draining");
    }
}
