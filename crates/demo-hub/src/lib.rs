//! An embedded hub with tiny trained models and injectable faults.
//!
//! It speaks the protocol of the Hugging Face Hub well enough that unmodified clients work against it through
//! `HF_ENDPOINT`: model information, paged listings, files with ranges and redirects to a second port, errors with
//! their codes, tokens, gated and private repositories. Hashes, trees and commits are computed as git computes them.
//!
//! - [`Repository`] describes files at commits: in memory, from disk, embedded, or generated as they are sent.
//! - [`DemoHub`] serves repositories on loopback and is the handle that a test holds.
//! - [`FaultRule`] makes chosen requests go wrong, down to the byte.
//! - [`DemoHub::requests`] tells what was asked for and how many bytes were sent.
//! - [`models`] are the models that are part of the program; [`serve`] runs them as a program of its own.
//!
//! **Invariant:** nothing here knows the clients of this workspace, so that the hub cannot share their mistakes.

mod api;
mod card;
mod catalog;
mod content;
mod error;
mod fault;
mod git;
mod http;
mod hub;
mod log;
pub mod models;
mod repository;
mod serve;

pub use error::DemoHubError;
pub use fault::{Action, Endpoint, FaultId, FaultRule, FaultState, Matching, RetryAfter, Times};
pub use http::Server;
pub use hub::{DemoHub, DemoHubBuilder};
pub use log::RequestRecord;
pub use models::EmbeddedModel;
pub use repository::{FileSummary, Repository, RepositoryBuilder};
pub use serve::{ServeOptions, serve};
