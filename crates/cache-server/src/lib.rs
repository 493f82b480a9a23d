//! One model cache for a cluster: a pull-through server that speaks the protocol of the Hub.
//!
//! A client that points `HF_ENDPOINT` here gets the Hub, only nearer. Metadata is asked for once and kept for a
//! while; a file is fetched once, however many clients want it, and they get its bytes while it comes. The
//! server reads and fills the caches of the model manager, so that workers on the same volume share them.
//!
//! The way of a request: `app` (limits, request id, metrics) → `hub_path` (what is asked for) → `hub_api` (the
//! answer) → `metadata` (which commit, which files, who may see them) → `store` (it is there) or `flight` (it
//! is fetched) → `body`.
//!
//! **Invariant:** no client ever gets a wrong file that looks whole. The last bytes of a file leave only when
//! the whole is verified, and a client that may hold the start of other bytes gets the whole again (`taint`).
//!
//! **Invariant:** what not everybody may read is served only to a caller whose own token the hub accepted, or
//! where the configuration names the repository.

mod answer;
mod app;
mod body;
mod bring;
mod caller;
mod clean;
mod error;
mod flight;
mod hub_api;
mod hub_path;
mod jobs;
mod limits;
mod listing;
mod locked;
mod log;
mod metadata;
mod metrics;
mod operations;
mod range;
mod serve;
mod server;
mod settings;
mod shelf;
mod store;
mod taint;
mod tier;
mod turns;
mod updates;
mod upstream;

pub use app::app;
pub use error::Error;
pub use serve::{Bound, bind};
pub use server::{Deps, Server};
pub use settings::Settings;
