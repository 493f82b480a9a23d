//! What a removal would take, for people to look at before it happens.

use std::fmt;

use serde_json::{Value, json};
use speech_flow_model_manager::config::Config;
use speech_flow_model_manager::{CacheReport, CachedRevision, ClearSelection, RevisionGiven};
use speech_flow_model_types::{ByteSize, CommitHash, ModelSource, ModelSpec, RepoId};

/// One revision that would go. What is held when the removal comes stays.
pub(super) struct Planned {
    repo: RepoId,
    commit: CommitHash,
    pub(super) bytes: u64,
}

/// The revisions that a selection is about and that nobody holds now.
pub(super) fn plan(config: &Config, caches: &[CacheReport], selection: &ClearSelection) -> Vec<Planned> {
    let mut planned = Vec::new();
    for cache in caches {
        let wants = |repo: &RepoId, revision: &CachedRevision| match selection {
            ClearSelection::All => true,
            ClearSelection::Whisper => cache.root == *config.cache.whisper,
            ClearSelection::LanguageId => names(&config.lid_model().spec, RevisionGiven::No, repo, revision),
            ClearSelection::Models(models) => models.iter().any(|(spec, given)| names(spec, *given, repo, revision)),
        };
        for repo in &cache.repos {
            for revision in repo.revisions.iter().filter(|revision| is_free(revision) && wants(&repo.repo, revision)) {
                let (repo, commit) = (repo.repo.clone(), revision.commit.clone());
                planned.push(Planned { repo, commit, bytes: revision.size_unique });
            }
        }
    }
    planned
}

fn is_free(revision: &CachedRevision) -> bool {
    revision.pinned.is_none() && revision.leases.is_empty() && revision.downloading.is_none()
}

fn names(spec: &ModelSpec, given: RevisionGiven, repo: &RepoId, revision: &CachedRevision) -> bool {
    let ModelSource::Hub { repo: wanted, revision: asked } = &spec.source else { return false };
    let is_asked = || revision.refs.contains(asked) || asked.commit().as_ref() == Some(&revision.commit);
    wanted == repo && (given == RevisionGiven::No || is_asked())
}

impl Planned {
    pub(super) fn to_json(&self) -> Value {
        json!({ "repo": self.repo.as_str(), "commit": self.commit.as_str(), "bytes": self.bytes })
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}  {}", self.repo, self.commit.short(), ByteSize(self.bytes))
    }
}
