//! Time as this crate sees it, so that tests can let an hour of waiting pass in no time.

use std::fmt;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

/// What tells the time and waits between retries and for a rate limit.
///
/// Timeouts (connect, metadata, stall) are real time of the runtime and do not go through here.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;

    /// The date, for servers that name one.
    fn date(&self) -> SystemTime;

    /// Waits. Dropping the future ends the wait.
    fn sleep(&self, delay: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clock, by way of the runtime: a paused runtime pauses it too.
#[derive(Debug)]
pub struct SystemClock {
    start: std::sync::OnceLock<tokio::time::Instant>,
}

impl SystemClock {
    /// A clock that starts when it is first asked.
    pub fn new() -> Self {
        Self { start: std::sync::OnceLock::new() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.start.get_or_init(tokio::time::Instant::now).elapsed()
    }

    fn date(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, delay: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(delay))
    }
}
