//! A model of a repository, with everything that was asked for: what each stage of `ensure` hands on.

use std::time::Instant;

use speech_flow_model_hub::HubError;
use speech_flow_model_types::{ModelKind, ModelSpec, RemoteFile, RepoId, Revision};

use crate::error::Error;
use crate::manager::EnsureOptions;

/// What one call is about.
pub(crate) struct Asked<'a> {
    pub(crate) spec: &'a ModelSpec,
    pub(crate) repo: &'a RepoId,
    pub(crate) revision: &'a Revision,
    pub(crate) options: &'a EnsureOptions,
    pub(crate) started: Instant,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(
        spec: &'a ModelSpec,
        repo: &'a RepoId,
        revision: &'a Revision,
        options: &'a EnsureOptions,
    ) -> Self {
        Self { spec, repo, revision, options, started: Instant::now() }
    }

    /// The kind that was asked for, or that the listing suggests.
    pub(crate) fn kind_of(&self, files: &[RemoteFile]) -> ModelKind {
        self.spec.kind.unwrap_or_else(|| ModelKind::detect(files.iter().map(|file| &file.path)))
    }

    /// Makes an error of the hub one of this model.
    pub(crate) fn hub_error(&self, source: HubError) -> Error {
        match source {
            HubError::Cancelled => Error::Cancelled,
            source => Error::Hub { model: self.spec.to_string(), source },
        }
    }

    /// The model is not complete on disk, and that is the only source.
    pub(crate) fn offline_miss(&self, missing: Vec<String>) -> Error {
        Error::OfflineMiss { model: self.spec.to_string(), missing }
    }
}
