//! Recordings in, text and languages out, by the real program and engine; beside faster-whisper and to OpenAI's client.

#[path = "shows_speech/files.rs"]
mod files;
#[path = "shows_speech/parity.rs"]
mod parity;
#[path = "shows_speech/served.rs"]
mod served;
#[path = "shows_speech/soak.rs"]
mod soak;
#[path = "shows_speech/worker.rs"]
mod worker;

#[path = "show_clients/client.rs"]
mod client;
#[path = "support/metrics.rs"]
mod metrics;
#[path = "support/support.rs"]
mod support;
