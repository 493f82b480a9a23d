//! The account of what is in. Pure: it is told the time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Backlog;
use super::speed::Speed;

/// What may be in at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Seconds of audio.
    pub(crate) audio_s: f64,
    /// Requests.
    pub(crate) requests: usize,
}

/// Why a request was not let in, and when it should fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Refusal {
    /// The limit that it is over.
    pub(crate) limit: Limit,
    /// After how long it should fit.
    pub(crate) retry_after: Duration,
}

/// A limit of the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// On the seconds of audio.
    Audio,
    /// On the number of requests.
    Requests,
    /// The door is closed for good.
    Closed,
}

/// Shortest and longest time that a caller is told to wait.
const RETRY_AFTER: (f64, f64) = (1.0, 3600.0);

pub(super) type TicketId = u64;

#[derive(Debug)]
pub(super) struct Ledger {
    limits: Limits,
    entries: HashMap<TicketId, Entry>,
    next: TicketId,
    speed: Speed,
    /// Until when the time is accounted for.
    at: Instant,
    is_closed: bool,
}

#[derive(Debug)]
struct Entry {
    total_s: f64,
    done_s: f64,
    /// Whether it is decoded; before, an upload is waited for, which says nothing of the worker's speed.
    is_worked_on: bool,
}

impl Entry {
    fn left_s(&self) -> f64 {
        (self.total_s - self.done_s).max(0.0)
    }
}

impl Ledger {
    pub(super) fn new(limits: Limits, speed: f64, now: Instant) -> Self {
        Self { limits, entries: HashMap::new(), next: 0, speed: Speed::guessed(speed), at: now, is_closed: false }
    }

    pub(super) fn admit(&mut self, estimate_s: f64, now: Instant) -> Result<TicketId, Refusal> {
        self.pass_time(now);
        if self.is_closed {
            return Err(Refusal { limit: Limit::Closed, retry_after: Duration::from_secs(1) });
        }
        if let Some(refusal) = self.refusal(None, estimate_s) {
            return Err(refusal);
        }
        let id = self.next;
        self.next += 1;
        self.entries.insert(id, Entry { total_s: estimate_s, done_s: 0.0, is_worked_on: false });
        Ok(id)
    }

    pub(super) fn settle(&mut self, id: TicketId, duration_s: f64, now: Instant) -> Result<(), Refusal> {
        self.pass_time(now);
        let estimate_s = self.entries.get(&id).map_or(0.0, |entry| entry.total_s);
        // What turns out shorter than it was let in for always fits.
        if duration_s > estimate_s
            && let Some(refusal) = self.refusal(Some(id), duration_s)
        {
            return Err(refusal);
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            (entry.total_s, entry.is_worked_on) = (duration_s, true);
        }
        Ok(())
    }

    pub(super) fn done_until(&mut self, id: TicketId, position_s: f64, now: Instant) {
        self.pass_time(now);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let position_s = position_s.min(entry.total_s);
        if position_s > entry.done_s && entry.is_worked_on {
            self.speed.done(position_s - entry.done_s);
            entry.done_s = position_s;
        }
    }

    pub(super) fn leave(&mut self, id: TicketId, now: Instant) {
        self.pass_time(now);
        self.entries.remove(&id);
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(super) fn guess_speed(&mut self, speed: f64) {
        self.speed = Speed::guessed(speed);
    }

    pub(super) fn backlog(&self) -> Backlog {
        Backlog { audio_s: self.left_s(None), requests: self.entries.len(), speed: self.speed.value() }
    }

    /// Why audio of this length does not fit beside the other requests.
    fn refusal(&self, own: Option<TicketId>, audio_s: f64) -> Option<Refusal> {
        let others = self.entries.len() - usize::from(own.is_some());
        if others >= self.limits.requests {
            return Some(Refusal { limit: Limit::Requests, retry_after: self.until_one_is_done() });
        }
        let over_s = self.left_s(own) + audio_s - self.limits.audio_s;
        (over_s > 0.0 && others > 0)
            .then(|| Refusal { limit: Limit::Audio, retry_after: wait(over_s / self.speed.value()) })
    }

    /// All share the worker's speed, so the shortest ends after its length times their number.
    fn until_one_is_done(&self) -> Duration {
        let shortest_s = self.entries.values().map(Entry::left_s).fold(f64::INFINITY, f64::min);
        let all_s = (shortest_s * self.entries.len() as f64).min(self.left_s(None));
        wait(all_s / self.speed.value())
    }

    fn left_s(&self, but: Option<TicketId>) -> f64 {
        // A sum of nothing would be minus zero.
        self.entries.iter().filter(|(id, _)| Some(**id) != but).map(|(_, entry)| entry.left_s()).fold(0.0, |a, b| a + b)
    }

    fn pass_time(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at);
        self.at = self.at.max(now);
        if self.entries.values().any(|entry| entry.is_worked_on) {
            self.speed.work(elapsed.as_secs_f64());
        }
    }
}

fn wait(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.ceil().clamp(RETRY_AFTER.0, RETRY_AFTER.1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ledger(audio_s: f64, requests: usize, speed: f64) -> (Ledger, Instant) {
        let now = Instant::now();
        (Ledger::new(Limits { audio_s, requests }, speed, now), now)
    }

    #[test]
    fn audio_over_the_bound_is_refused_until_enough_of_it_is_done() {
        let (mut ledger, now) = ledger(100.0, 10, 2.0);
        let first = ledger.admit(80.0, now).expect("fits");
        ledger.settle(first, 80.0, now).expect("fits");
        let refusal = ledger.admit(40.0, now).expect_err("20 s too much");
        // 20 s of audio at twice real time.
        assert_eq!(refusal, Refusal { limit: Limit::Audio, retry_after: Duration::from_secs(10) });
        ledger.done_until(first, 30.0, now);
        ledger.admit(40.0, now).expect("fits now");
    }

    #[test]
    fn an_empty_worker_takes_what_is_longer_than_its_queue() {
        let (mut ledger, now) = ledger(100.0, 10, 1.0);
        let long = ledger.admit(1000.0, now).expect("alone");
        ledger.settle(long, 2000.0, now).expect("alone");
        assert_eq!(ledger.admit(1.0, now).expect_err("full").limit, Limit::Audio);
        ledger.leave(long, now);
        ledger.admit(1.0, now).expect("free again");
    }

    #[test]
    fn requests_over_their_bound_wait_for_the_shortest() {
        let (mut ledger, now) = ledger(1000.0, 2, 1.0);
        ledger.admit(10.0, now).expect("fits");
        ledger.admit(30.0, now).expect("fits");
        let refusal = ledger.admit(1.0, now).expect_err("third");
        assert_eq!(refusal, Refusal { limit: Limit::Requests, retry_after: Duration::from_secs(20) });
    }

    #[test]
    fn a_wrong_estimate_is_found_out_when_it_is_settled() {
        let (mut ledger, now) = ledger(100.0, 10, 1.0);
        ledger.admit(50.0, now).expect("fits");
        let liar = ledger.admit(10.0, now).expect("fits");
        assert_eq!(ledger.settle(liar, 90.0, now).expect_err("does not fit").limit, Limit::Audio);
        ledger.settle(liar, 9.0, now).expect("shorter than it said");
        assert_eq!(ledger.backlog().audio_s, 59.0);
    }

    #[test]
    fn speed_is_measured_only_while_there_is_work() {
        let (mut ledger, mut now) = ledger(100.0, 10, 1.0);
        let id = ledger.admit(50.0, now).expect("fits");
        now += Duration::from_secs(600);
        ledger.settle(id, 50.0, now).expect("fits");
        assert_eq!(ledger.backlog().speed, 1.0, "an upload was waited for");
        for second in 1..=10 {
            now += Duration::from_secs(1);
            ledger.done_until(id, f64::from(second) * 4.0, now);
        }
        assert!(ledger.backlog().speed > 2.5, "{:?}", ledger.backlog());
    }

    proptest! {
        #[test]
        fn the_bounds_hold_whatever_comes(steps in prop::collection::vec((0..4_u8, 0..8_usize, 0.0..200.0_f64), 1..60)) {
            let (mut ledger, mut now) = ledger(100.0, 4, 1.0);
            let mut inside = Vec::new();
            for (step, which, audio_s) in steps {
                now += Duration::from_millis(100);
                let chosen = inside.get(which % inside.len().max(1)).copied();
                match (step, chosen) {
                    (0, _) => inside.extend(ledger.admit(audio_s, now).ok()),
                    (1, Some(id)) => drop(ledger.settle(id, audio_s, now)),
                    (2, Some(id)) => ledger.done_until(id, audio_s, now),
                    (_, Some(id)) => {
                        ledger.leave(id, now);
                        inside.retain(|other| *other != id);
                    }
                    (_, None) => {}
                }
                let backlog = ledger.backlog();
                prop_assert!(backlog.requests == inside.len() && backlog.requests <= 4);
                // Over the bound only where one alone is: the rest came in beside it or before it.
                let longest = ledger.entries.values().map(Entry::left_s).fold(0.0, f64::max);
                prop_assert!(backlog.audio_s <= 100.0 + longest + 1e-6);
                prop_assert!(backlog.speed > 0.0 && backlog.speed.is_finite());
            }
        }
    }
}
