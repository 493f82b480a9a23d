//! A small HTTP/1.1 server that can break the protocol on purpose.
//!
//! A wrong length, a body cut at an exact byte and a connection closed before any answer are what an
//! HTTP library keeps its users from. So requests are parsed by one (`httparse`), and answers are written here.

mod connection;
mod range;
mod request;
mod response;
mod send;

pub(crate) use connection::serve_connection;
pub(crate) use range::{RequestedRange, requested_range};
pub(crate) use request::Request;
pub use request::Server;
pub(crate) use response::{Body, Response, Wire};
