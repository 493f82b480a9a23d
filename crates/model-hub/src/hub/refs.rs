//! Branches and tags of a repository.

use speech_flow_model_types::RepoId;

use super::Hub;
use super::answers::Asked;
use crate::{HubError, ProtocolFault, RefKind, RepoRef};

/// Largest list of branches and tags.
const MAX_DOCUMENT: usize = 8 << 20;

#[derive(serde::Deserialize)]
struct Refs {
    #[serde(default)]
    branches: Vec<WireRef>,
    #[serde(default)]
    tags: Vec<WireRef>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRef {
    name: String,
    target_commit: String,
}

impl Hub {
    pub(super) async fn list_refs(&self, repo: &RepoId) -> Result<Vec<RepoRef>, HubError> {
        let document = self.document(&self.api_url(repo, &["refs"]), Asked::Repo(repo), MAX_DOCUMENT).await?;
        let Refs { branches, tags } = document.json()?;
        let branches = branches.into_iter().map(|wire| (RefKind::Branch, wire));
        let tags = tags.into_iter().map(|wire| (RefKind::Tag, wire));
        let convert = |(kind, WireRef { name, target_commit }): (RefKind, WireRef)| match target_commit.parse() {
            Ok(commit) => Ok(RepoRef { name, kind, commit }),
            Err(_) => Err(document.fault(ProtocolFault::Commit(target_commit))),
        };
        branches.chain(tags).map(convert).collect()
    }
}
