//! The hub on loopback, seen through raw connections: a client library would hide what is broken on purpose.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is the failure of the test")]

mod access;
mod client;
mod control;
mod faults;
mod files;
mod listings;
