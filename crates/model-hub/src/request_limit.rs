//! A limit on requests to the hub, of this side's own: it keeps the hub from setting a harsher one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use speech_flow_model_types::TokenBucket;

use crate::{Clock, HubError};

/// One request as a bucket counts it: finer than one, so that slow rates save up parts of requests.
const ONE: u64 = 1000;
/// Whoever would have to wait longer is told when to come back instead.
const MOST_WAIT: Duration = Duration::from_secs(5);

/// Lets so many requests a second pass, in the order in which they came. Clones share the limit.
#[derive(Debug, Clone)]
pub struct RequestLimit {
    bucket: Arc<Mutex<TokenBucket>>,
}

impl RequestLimit {
    /// A limit of so many requests a second, at least one.
    pub fn new(per_second: u32, clock: &dyn Clock) -> Self {
        let bucket = TokenBucket::new(u64::from(per_second.max(1)) * ONE, clock.monotonic());
        Self { bucket: Arc::new(Mutex::new(bucket)) }
    }

    /// Waits for a turn.
    ///
    /// # Cancel safety
    /// A wait that is dropped has used its turn up.
    pub(crate) async fn turn(&self, clock: &dyn Clock) -> Result<(), HubError> {
        let wait = self.take(clock.monotonic());
        match wait {
            Ok(wait) if wait.is_zero() => Ok(()),
            Ok(wait) => {
                clock.sleep(wait).await;
                Ok(())
            }
            Err(retry_after) => Err(HubError::OwnLimit { retry_after }),
        }
    }

    /// How long until this request's turn; a turn that is too far away is not taken.
    fn take(&self, now: Duration) -> Result<Duration, Duration> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = bucket.clone();
        let wait = taken.take(ONE, now);
        if wait > MOST_WAIT {
            return Err(wait);
        }
        *bucket = taken;
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;

    #[tokio::test(start_paused = true)]
    async fn requests_pass_in_turn_and_too_many_are_put_off() {
        let clock = SystemClock::new();
        let limit = RequestLimit::new(4, &clock);
        let began = clock.monotonic();
        for _ in 0..9 {
            limit.turn(&clock).await.expect("its turn comes");
        }
        // One passes at once, the other eight a quarter of a second apart.
        assert_eq!((clock.monotonic() - began).as_millis(), 2000);
        let waiting: Vec<_> = (0..20).map(|_| limit.take(clock.monotonic()).expect("within five seconds")).collect();
        assert_eq!(waiting.last().map(Duration::as_millis), Some(5000));
        let refused = limit.turn(&clock).await.expect_err("too far away");
        assert_eq!(refused.retry_after().map(|delay| delay.as_millis()), Some(5250));
        assert!(refused.is_transient());
        // What was put off has taken nothing.
        clock.sleep(Duration::from_millis(250)).await;
        assert!(limit.take(clock.monotonic()).is_ok());
    }
}
