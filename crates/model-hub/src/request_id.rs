//! Names of single requests, by which a log line here and one at the hub find each other.

use std::fmt;

/// The value of `X-Request-Id` of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u64);

impl RequestId {
    /// A new id. Random, since several processes speak to one hub.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sf-{:016x}", self.0)
    }
}
