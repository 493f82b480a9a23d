//! Workers on real sockets, with the real engine and the embedded hub.

mod answers;
mod bad_input;
mod client;
mod connections;
mod load;
mod memory;
mod scene;
mod starts;
