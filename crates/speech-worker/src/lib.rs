//! Long-running speech workers: start-up, scheduling, HTTP API, metrics.
//!
//! [`run`] takes a socket that listens already and serves until it is told to end. A request goes this way:
//!
//! ```text
//! socket -> trace -> key -> admission -> upload (to disk) -> form -> thread: decode -> engine -> format -> socket
//!                           503, 413                         400                415     batches
//! ```
//!
//! The async runtime only moves bytes: decoding and all that goes around the model run on a thread for each request,
//! and the model on threads of the scheduler, so that probes are answered whatever is computed.

mod admission;
mod app;
mod engine;
mod error;
mod health;
mod http;
mod identification;
mod job;
mod metrics;
mod model;
mod priority;
mod schedule;
mod serve;
mod serving;
mod startup;
mod threads;
mod transcription;
mod warm_up;

pub use error::Error;
pub use serve::{Options, bind, run};

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Transcribes, with Whisper.
    Whisper,
    /// Says which language is spoken.
    Lid,
}
