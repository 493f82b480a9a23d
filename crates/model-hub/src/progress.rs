//! What a download tells whoever watches it.

use std::fmt;
use std::time::Duration;

/// Hears what happens. Calls come from several tasks at once and must return at once.
pub trait Progress: Send + Sync + fmt::Debug {
    /// Bytes have arrived and were given to the sink.
    fn received(&self, bytes: u64) {
        let _ = bytes;
    }

    /// A request failed and will be repeated after the delay.
    fn waiting(&self, reason: &WaitReason, delay: Duration) {
        let _ = (reason, delay);
    }

    /// What the sink had of the file was dropped; it is fetched from the start.
    fn restarted(&self) {}
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}

/// Why a request is repeated later.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// The hub takes no more requests for now.
    RateLimited,
    /// The hub answered with a server's error.
    ServerError(u16),
    /// Nothing arrived for a while.
    TimedOut,
    /// The connection failed or ended early.
    ConnectionLost,
    /// The answer was not what was asked for.
    BadAnswer,
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimited => f.write_str("rate limited"),
            Self::ServerError(status) => write!(f, "hub answered {status}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::ConnectionLost => f.write_str("connection lost"),
            Self::BadAnswer => f.write_str("hub gave a wrong answer"),
        }
    }
}
