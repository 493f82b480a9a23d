//! The hub and the fetcher against real servers on loopback: the demo hub, and small ones of our own where
//! the demo hub cannot misbehave in the way that is needed.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is the failure of the test")]

mod access;
mod bodies;
mod metadata;
mod proxy;
mod ranges;
mod redirects;
mod support;
mod tls;
mod waits;
