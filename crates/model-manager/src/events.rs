//! What happens while a model is made ready, for whoever shows progress.

use std::time::Duration;

/// One thing that happened. Text is for people; numbers are bytes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A revision is being looked up.
    Resolving {
        /// The model as asked for.
        model: String,
    },
    /// It is known what has to be fetched.
    Planned {
        /// The model as asked for.
        model: String,
        /// Files that the model needs.
        files: usize,
        /// Size of all its files.
        bytes_total: u64,
        /// Bytes that the network has to bring.
        bytes_to_fetch: u64,
    },
    /// Bytes arrived.
    Received {
        /// How many.
        bytes: u64,
    },
    /// Bytes that had arrived are thrown away and count as missing again.
    Discarded {
        /// How many.
        bytes: u64,
        /// Why.
        reason: String,
    },
    /// A file is complete, verified and under its final name.
    FileDone {
        /// Its path in the repository.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// A request waits before it is tried again.
    Waiting {
        /// Why.
        reason: String,
        /// How long.
        delay: Duration,
    },
    /// Another process fetches the same file; this one waits for it.
    WaitingForOther {
        /// The file's path in the repository.
        path: String,
    },
    /// The files are checked for being a model that can load.
    Validating {
        /// The model as asked for.
        model: String,
    },
    /// Something is off, and the call goes on.
    Warning {
        /// What, and what to do.
        message: String,
    },
}

/// Hears of events. Called from many tasks; must not block.
pub trait Events: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Events for Silent {
    fn event(&self, _event: Event) {}
}
