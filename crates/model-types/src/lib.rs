//! The shared vocabulary of model delivery: names, revisions, digests, listings, plans and policies.
//!
//! **Invariant:** this crate is pure. No disk, no network, no clock, no environment: the same input
//! gives the same answer, so every rule here is tested without a runtime.

pub mod byte_size;
pub mod digest;
mod file_set;
pub mod kind;
pub mod lanes;
pub mod listing;
pub mod path;
pub mod patterns;
pub mod plan;
pub mod ranges;
pub mod rate;
pub mod repo;
pub mod retry;
pub mod retry_after;
pub mod revision;
pub mod spec;
pub mod whisper;

pub use byte_size::ByteSize;
pub use digest::Digest;
pub use file_set::file_set_digest;
pub use kind::ModelKind;
pub use lanes::LaneGovernor;
pub use listing::{RemoteFile, Resolved};
pub use path::RelPath;
pub use patterns::Patterns;
pub use plan::Plan;
pub use ranges::RangeSet;
pub use rate::TokenBucket;
pub use repo::RepoId;
pub use retry::{Backoff, Failure, Retry, RetryPolicy};
pub use revision::{CommitHash, Revision};
pub use spec::{ModelSource, ModelSpec};
