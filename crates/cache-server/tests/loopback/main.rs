//! The cache server between the embedded hub and plain HTTP clients, on loopback.

mod access;
mod chain;
mod client;
mod connections;
mod crowd;
mod lies;
mod operations;
mod protocol;
mod scene;
mod standing_alone;
mod updates;
