//! The fetcher against a source that is a script, on the runtime's paused clock: every wait and every stall is
//! exact, and no second passes.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is the failure of the test")]

mod fetches;
mod script;
