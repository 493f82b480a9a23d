//! The listening socket of our services.
//!
//! A service hands over its routes; this crate accepts connections and speaks HTTP/1.1 on them, over TLS where a
//! certificate is given. No client can take the service from the others:
//!
//! - A head that does not come, an answer that is not read and a body that stops each end the connection.
//! - At the bound on connections, the one that has waited longest without a request makes room for a new one. Where
//!   all are at work, a few more are taken, on which the service answers probes and refuses the rest
//!   ([`Peer::is_over`]), so that an orchestrator never takes a busy service for a dead one.
//!
//! HTTP/2 is not spoken: it would put all lanes of a client on one connection, and no client of ours asks for it.
//!
//! **Invariant:** a connection with a request on it is ended by its client, by a stall of its client or by the end
//! of the service, and by nothing else.

mod activity;
mod connections;
mod direct;
mod error;
mod listener;
mod options;
mod serve;
mod socket;
mod stats;
mod tls;

pub use direct::{BLANK_BYTES, Pieces, is_in_memory};
pub use error::{Error, TlsError};
pub use listener::{Listener, Reload};
pub use options::{Options, Patience, TlsFiles};
pub use serve::Peer;
pub use stats::{Closed, Stats};
