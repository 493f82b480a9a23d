//! What a listener counts.

use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry, Result};

/// Why the listener ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The handshake or the head of a request did not come.
    Head,
    /// No request came for long.
    Idle,
    /// The client did not read its answer.
    Send,
    /// The client did not send its body.
    Receive,
    /// It waited without a request, and another client needed its place.
    Evicted,
    /// The client and this server did not agree on TLS.
    Handshake,
}

impl Closed {
    const ALL: [Self; 6] = [Self::Head, Self::Idle, Self::Send, Self::Receive, Self::Evicted, Self::Handshake];

    fn label(self) -> &'static str {
        match self {
            Self::Head => "head-timeout",
            Self::Idle => "idle",
            Self::Send => "send-timeout",
            Self::Receive => "receive-timeout",
            Self::Evicted => "evicted",
            Self::Handshake => "tls-handshake",
        }
    }
}

/// Numbers of one listener.
#[derive(Debug)]
pub struct Stats {
    pub(crate) open: IntGauge,
    closed: IntCounterVec,
    reloads: IntCounterVec,
    pub(crate) not_after: IntGauge,
    is_tls: bool,
}

impl Stats {
    /// Numbers that are all zero. Each metric's name begins with `prefix`.
    pub(crate) fn new(prefix: &str, is_tls: bool) -> Result<Self> {
        let named = |name: &str, help: &str| Opts::new(format!("{prefix}{name}"), help);
        let closed = named("connections_closed_total", "Connections that this side ended, by reason.");
        let closed = IntCounterVec::new(closed, &["reason"])?;
        Closed::ALL.iter().for_each(|reason| drop(closed.with_label_values(&[reason.label()])));
        let reloads = named("tls_reloads_total", "Changed certificates that were taken, or could not be.");
        let reloads = IntCounterVec::new(reloads, &["outcome"])?;
        ["done", "failed"].iter().for_each(|outcome| drop(reloads.with_label_values(&[outcome])));
        let not_after = named("tls_certificate_expiry_timestamp_seconds", "When the certificate in use runs out.");
        Ok(Self {
            open: IntGauge::with_opts(named("connections", "Open connections of clients."))?,
            closed,
            reloads,
            not_after: IntGauge::with_opts(not_after)?,
            is_tls,
        })
    }

    /// Puts the numbers into a registry.
    ///
    /// # Errors
    /// When it has metrics of these names.
    pub fn register(&self, registry: &Registry) -> Result<()> {
        let mut all: Vec<Box<dyn Collector>> = vec![Box::new(self.open.clone()), Box::new(self.closed.clone())];
        if self.is_tls {
            all.extend([Box::new(self.reloads.clone()) as Box<dyn Collector>, Box::new(self.not_after.clone())]);
        }
        all.into_iter().try_for_each(|metric| registry.register(metric))
    }

    /// Connections that are open.
    pub fn open(&self) -> i64 {
        self.open.get()
    }

    /// Connections that the listener ended for this reason.
    pub fn closed(&self, reason: Closed) -> u64 {
        self.closed.with_label_values(&[reason.label()]).get()
    }

    /// How often another certificate was taken, and how often one could not be.
    pub fn reloads(&self) -> (u64, u64) {
        let count = |outcome| self.reloads.with_label_values(&[outcome]).get();
        (count("done"), count("failed"))
    }

    pub(crate) fn count(&self, reason: Closed) {
        self.closed.with_label_values(&[reason.label()]).inc();
        tracing::debug!(reason = reason.label(), "a connection was ended");
    }

    pub(crate) fn reloaded(&self, is_done: bool) {
        self.reloads.with_label_values(&[if is_done { "done" } else { "failed" }]).inc();
    }
}
