//! Where an engine may keep what it made of a model's weights.
//!
//! The files there are the engine's: this crate says where, and removes them with the revision they belong to.

use std::path::PathBuf;

use speech_flow_model_cache::Writability;

use crate::manager::ModelManager;
use crate::model::Model;

/// The weights that CTranslate2 converts when it loads them.
const WEIGHTS: &str = "model.bin";

/// A place beside the cache for one form of a model's weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedPlace {
    /// The folder, which need not exist: one for each commit and form.
    pub folder: PathBuf,
    /// SHA-256 of the weights that it is made of, in hexadecimal: what was made of others is not for this model.
    pub source_digest: String,
    /// Whether it can be written.
    pub is_writable: bool,
}

impl ModelManager {
    /// Where the weights of `model` are kept in the form `form`, such as `int8`; `None` for a model without a
    /// `model.bin` whose hash is known, and for a folder that the user named: beside it nothing is written.
    pub fn prepared_place(&self, model: &Model, form: &str) -> Option<PreparedPlace> {
        let origin = model.origin.as_ref()?;
        let weights = model.files.iter().find(|file| file.path.as_str() == WEIGHTS)?;
        let source_digest = weights.digest?.to_string();
        let cache = self.cache_of(model.kind);
        let folder = cache.layout().prepared(&origin.repo, &origin.commit).join(form);
        Some(PreparedPlace { folder, source_digest, is_writable: cache.writability() == Writability::Writable })
    }
}
