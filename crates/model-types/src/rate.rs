//! A limit on bytes per second over all lanes. Pure: `now` is a parameter, the caller waits.

use std::time::Duration;

/// A token bucket that may go into debt: bytes are counted when they have arrived, and whoever brought
/// them waits until the debt is paid. So a chunk of any size passes, and the average holds.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    bytes_per_second: f64,
    /// Largest credit, in bytes; what an idle time may save up.
    burst: f64,
    /// Bytes that may pass at once; negative while in debt.
    credit: f64,
    updated: Duration,
}

impl TokenBucket {
    /// A full bucket. It saves up at most a quarter of a second of its rate.
    ///
    /// # Panics
    /// When the rate is 0: nothing would ever pass.
    pub fn new(bytes_per_second: u64, now: Duration) -> Self {
        assert!(bytes_per_second > 0, "a rate limit lets something pass");
        let rate = bytes_per_second as f64;
        Self { bytes_per_second: rate, burst: rate / 4.0, credit: rate / 4.0, updated: now }
    }

    /// Counts bytes that have arrived; the answer is how long to wait before taking more.
    pub fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        let earned = now.saturating_sub(self.updated).as_secs_f64() * self.bytes_per_second;
        self.updated = self.updated.max(now);
        self.credit = (self.credit + earned).min(self.burst) - bytes as f64;
        if self.credit >= 0.0 {
            return Duration::ZERO;
        }
        // A debt beyond any real wait must not overflow the type.
        Duration::try_from_secs_f64(-self.credit / self.bytes_per_second).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = TokenBucket::new(1000, Duration::ZERO);
        assert_eq!(bucket.take(250, Duration::ZERO), Duration::ZERO);
        assert_eq!(bucket.take(500, Duration::ZERO), Duration::from_millis(500));
        assert_eq!(bucket.take(0, Duration::from_millis(500)), Duration::ZERO);
        assert_eq!(bucket.take(1000, Duration::from_secs(60)), Duration::from_millis(750), "idle time saves 250 bytes");
    }

    proptest! {
        #[test]
        fn the_average_never_exceeds_the_rate(rate in 1_u64..1_000_000, chunks in proptest::collection::vec(0_u64..200_000, 1..50)) {
            let mut bucket = TokenBucket::new(rate, Duration::ZERO);
            let mut now = Duration::ZERO;
            let mut total = 0;
            for chunk in chunks {
                now += bucket.take(chunk, now);
                total += chunk;
            }
            let allowed = rate as f64 * (now.as_secs_f64() + 0.25);
            prop_assert!(total as f64 <= allowed + 1.0, "{} bytes in {:?}", total, now);
        }
    }
}
