//! Where an engine may keep what it made of a model's weights.
//!
//! The files there are the engine's: this crate says where, and removes them with the revision they belong to.

use std::path::PathBuf;

use speech_flow_model_cache::Writability;

use crate::manager::ModelManager;
use crate::model::Model;

/// A place beside the cache for one form of a model's weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedPlace {
    /// The folder, which need not exist: one for each commit and form.
    pub folder: PathBuf,
    /// Whether it can be written.
    pub is_writable: bool,
}

impl ModelManager {
    /// Where the weights of `model` are kept in the form `form`, such as `int8`; `None` for a folder that the user
    /// named, beside which nothing is written.
    pub fn prepared_place(&self, model: &Model, form: &str) -> Option<PreparedPlace> {
        let origin = model.origin.as_ref()?;
        let cache = self.cache_of(model.kind);
        let folder = cache.layout().prepared(&origin.repo, &origin.commit).join(form);
        Some(PreparedPlace { folder, is_writable: cache.writability() == Writability::Writable })
    }
}
