//! From a model's name to a verified, version-pinned folder on disk.
//!
//! [`ModelManager::ensure`] is the one call most programs need. Each of its stages stands in a module of its
//! own: settle the commit and look on disk (`local`), fetch and commit (`download`), check once and remember
//! (`check`, [`validate`]), write down what was fetched (`record`).
//!
//! **Invariant:** the environment is read nowhere here: a [`config::Config`] is handed in.

pub mod card;
pub mod config;
pub mod lockfile;
pub mod validate;

mod asked;
mod care;
mod check;
mod doctor;
mod document;
mod download;
mod ensure;
mod error;
mod events;
mod forecast;
mod local;
mod manager;
mod model;
mod prepared;
mod record;
mod single_flight;
mod sink;
mod verification;
mod versions;

pub use care::{ClearSelection, Cleared, RevisionGiven};
pub use config::Config;
pub use doctor::{Finding, Status};
pub use error::{Error, IntegrityFailure};
pub use events::{Event, Events, Silent};
pub use forecast::{Forecast, ForecastFile};
pub use manager::{EnsureOptions, LockChoice, ModelManager, fetch_config, hub_config};
pub use model::{Model, ModelFile, ModelOrigin, Outcome};
pub use prepared::PreparedPlace;
pub use sink::StagingSink;
pub use verification::{FileReport, VerifyDepth, VerifyReport};
pub use versions::{LockMode, PinnedModel};

pub use speech_flow_model_cache::{
    CacheReport, CachedRevision, ClearReport, Completeness, GcItem, GcPolicy, GcReport, Hold, KeepReason, Lease,
    RemoveReason,
};

/// Names, revisions, digests and sizes.
pub use speech_flow_model_types as types;
