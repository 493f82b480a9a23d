//! What a listener is told. Plain values: who reads the configuration fills them in.

use std::path::PathBuf;
use std::time::Duration;

/// How a listener behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections at once.
    pub max_connections: usize,
    /// How long clients may take.
    pub patience: Patience,
    /// The certificate and its key; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// How the names of its metrics begin.
    pub metric_prefix: &'static str,
}

/// How long clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the TLS handshake and the whole head of a request.
    pub head: Duration,
    /// Between an answer and the next request.
    pub idle: Duration,
    /// For reading any more of an answer.
    pub send: Duration,
    /// For sending any more of a body.
    pub receive: Duration,
}

/// A certificate with its chain, and its private key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate first, then those that vouch for it.
    pub certificate: PathBuf,
    /// The key, not encrypted.
    pub key: PathBuf,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(15),
            // Longer than most load balancers keep theirs, so that none sends on a connection that just ended.
            idle: Duration::from_secs(75),
            send: Duration::from_secs(120),
            receive: Duration::from_secs(60),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { max_connections: 1024, patience: Patience::default(), tls: None, metric_prefix: "" }
    }
}
