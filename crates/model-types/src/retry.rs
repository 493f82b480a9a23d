//! When a failed request is tried again. Pure: the caller counts time, draws the random number and waits.

use std::time::Duration;

/// How often and how patiently a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Retries in a row without a byte of progress; the first try is not counted.
    pub max_retries: u32,
    /// Delay before the first retry; each further one doubles it.
    pub base_delay: Duration,
    /// Longest delay that is computed.
    pub cap: Duration,
    /// How much of a computed delay is random, from 0 (nothing) to 1 (all of it).
    pub jitter: f64,
    /// Longest delay a server may ask for. A longer one ends the retries: coming back earlier would only
    /// be refused again, and the caller can say how long the server wants.
    pub server_cap: Duration,
}

impl RetryPolicy {
    /// Never tries again.
    pub const NEVER: Self = Self {
        max_retries: 0,
        base_delay: Duration::ZERO,
        cap: Duration::ZERO,
        jitter: 0.0,
        server_cap: Duration::ZERO,
    };
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: 3,
            base_delay: Duration::from_secs(5),
            cap: Duration::from_secs(60),
            jitter: 0.25,
            // The Hub's rate limits count in windows of five minutes.
            server_cap: Duration::from_secs(330),
        }
    }
}

/// What kind of failure a request met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It will fail again.
    Permanent,
    /// It may work later. The delay is the server's wish, if it has one.
    Transient(Option<Duration>),
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Wait this long, then try again.
    After(Duration),
    /// Report the failure.
    GiveUp,
}

/// The retries of one request.
#[derive(Debug, Clone)]
pub struct Backoff {
    policy: RetryPolicy,
    /// Failures since the start or the last progress.
    failures: u32,
}

impl Backoff {
    /// No failure yet.
    pub fn new(policy: RetryPolicy) -> Self {
        Self { policy, failures: 0 }
    }

    /// Bytes arrived: what failed before no longer counts.
    pub fn progressed(&mut self) {
        self.failures = 0;
    }

    /// Failures since the start or the last progress.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Decides after a failure. `random` is drawn anew by the caller, from `0.0..1.0`.
    ///
    /// A computed delay is shortened by jitter, so the cap holds. A server's delay is never shortened;
    /// jitter of at most the first delay is added so that many clients do not return at one moment.
    pub fn failed(&mut self, failure: Failure, random: f64) -> Retry {
        let Failure::Transient(server_delay) = failure else { return Retry::GiveUp };
        if self.failures >= self.policy.max_retries {
            return Retry::GiveUp;
        }
        let policy = &self.policy;
        let spread = policy.jitter.clamp(0.0, 1.0) * random.clamp(0.0, 1.0);
        let delay = match server_delay {
            Some(delay) if delay > policy.server_cap => return Retry::GiveUp,
            Some(delay) => delay + policy.base_delay.mul_f64(spread),
            None => {
                let doubled = policy.base_delay.saturating_mul(2_u32.saturating_pow(self.failures));
                doubled.min(policy.cap).mul_f64(1.0 - spread)
            }
        };
        self.failures += 1;
        Retry::After(delay)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AGAIN: Failure = Failure::Transient(None);

    fn policy(max_retries: u32) -> RetryPolicy {
        RetryPolicy { max_retries, jitter: 0.0, ..RetryPolicy::default() }
    }

    fn seconds(seconds: u64) -> Retry {
        Retry::After(Duration::from_secs(seconds))
    }

    #[test]
    fn delays_double_up_to_the_cap_and_then_end() {
        let mut backoff = Backoff::new(policy(6));
        let delays: Vec<_> = (0..7).map(|_| backoff.failed(AGAIN, 0.5)).collect();
        let expected = [5, 10, 20, 40, 60, 60].map(seconds).into_iter().chain([Retry::GiveUp]);
        assert!(delays.iter().copied().eq(expected), "{delays:?}");
    }

    #[test]
    fn progress_starts_the_count_again() {
        let mut backoff = Backoff::new(policy(1));
        assert_eq!(backoff.failed(AGAIN, 0.0), seconds(5));
        backoff.progressed();
        assert_eq!(backoff.failed(AGAIN, 0.0), seconds(5));
        assert_eq!(backoff.failed(AGAIN, 0.0), Retry::GiveUp);
    }

    #[test]
    fn the_servers_delay_wins_unless_it_is_too_long() {
        let mut backoff = Backoff::new(policy(3));
        assert_eq!(backoff.failed(Failure::Transient(Some(Duration::from_secs(12))), 0.0), seconds(12));
        assert_eq!(backoff.failed(Failure::Transient(Some(Duration::ZERO)), 0.0), seconds(0));
        assert_eq!(backoff.failed(Failure::Transient(Some(Duration::from_secs(3600))), 0.0), Retry::GiveUp);
    }

    #[test]
    fn a_permanent_failure_is_not_tried_again() {
        assert_eq!(Backoff::new(policy(3)).failed(Failure::Permanent, 0.0), Retry::GiveUp);
        assert_eq!(Backoff::new(RetryPolicy::NEVER).failed(AGAIN, 0.0), Retry::GiveUp);
    }

    proptest! {
        #[test]
        fn delays_keep_their_bounds(
            failures in 0_u32..40, random in 0.0..1.0, jitter in 0.0..=1.0, server in proptest::option::of(0_u64..330),
        ) {
            let policy = RetryPolicy { max_retries: 100, jitter, ..RetryPolicy::default() };
            let mut backoff = Backoff { policy, failures };
            let server = server.map(Duration::from_secs);
            let Retry::After(delay) = backoff.failed(Failure::Transient(server), random) else {
                return Err(TestCaseError::fail("gave up early"));
            };
            match server {
                Some(server) => prop_assert!(delay >= server && delay <= server + policy.base_delay),
                None => prop_assert!(delay <= policy.cap),
            }
        }
    }
}
