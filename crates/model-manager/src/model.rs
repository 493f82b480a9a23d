//! What a caller gets: a model on disk, with everything that says which one it is.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use speech_flow_model_types::{CommitHash, Digest, ModelKind, RelPath, RepoId, Revision};

/// A model that is on disk, verified and validated.
#[derive(Debug, Clone)]
pub struct Model {
    /// The name as it was asked for.
    pub name: String,
    /// What the model is for.
    pub kind: ModelKind,
    /// The folder that an engine loads.
    pub path: PathBuf,
    /// Where it came from; `None` for a folder that the user named.
    pub origin: Option<ModelOrigin>,
    /// How the folder came to be complete.
    pub outcome: Outcome,
    /// The files that the model needs, sorted by path.
    pub files: Vec<ModelFile>,
    /// Digest of the file set: the same for the same files, wherever they are; `None` where a hash is not known.
    pub digest: Option<String>,
    /// Bytes that the network brought for this call.
    pub bytes_downloaded: u64,
    /// How long the call took.
    pub elapsed: Duration,
}

/// Where a model came from.
#[derive(Debug, Clone)]
pub struct ModelOrigin {
    /// The repository.
    pub repo: RepoId,
    /// The revision that was asked for.
    pub revision: Revision,
    /// The commit that is on disk.
    pub commit: CommitHash,
    /// What the model card says of the licence.
    pub license: Option<String>,
    /// The model that this one was made from, as its card says.
    pub base_model: Option<String>,
    /// The hub that it was fetched from, without credentials.
    pub source: Option<String>,
    /// When it was fetched, RFC 3339.
    pub fetched_at: Option<String>,
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelFile {
    /// Its path below [`Model::path`].
    #[serde(serialize_with = "as_text")]
    pub path: RelPath,
    /// Its length in bytes.
    pub size: u64,
    /// Its content's hash; `None` where no listing is known, as for a user's own folder.
    pub digest: Option<Digest>,
}

/// How a model came to be complete on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was there already.
    Hit,
    /// It was fetched.
    Downloaded,
    /// It had been complete before, was found damaged, and was made whole again.
    Repaired,
}

impl Outcome {
    /// The outcome as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Downloaded => "downloaded",
            Self::Repaired => "repaired",
        }
    }
}

impl Model {
    /// Size of all files in bytes.
    pub fn bytes_total(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The model as one JSON object, as `preload --json` prints it.
    pub fn to_json(&self) -> serde_json::Value {
        let origin = self.origin.as_ref();
        serde_json::json!({
            "name": self.name,
            "kind": self.kind,
            "repo": origin.map(|origin| origin.repo.as_str()),
            "revision": origin.map(|origin| origin.revision.as_str()),
            "commit": origin.map(|origin| origin.commit.as_str()),
            "path": self.path,
            "outcome": self.outcome,
            "digest": self.digest,
            "license": origin.and_then(|origin| origin.license.as_deref()),
            "base_model": origin.and_then(|origin| origin.base_model.as_deref()),
            "source": origin.and_then(|origin| origin.source.as_deref()),
            "fetched_at": origin.and_then(|origin| origin.fetched_at.as_deref()),
            "files": self.files,
            "bytes_total": self.bytes_total(),
            "bytes_downloaded": self.bytes_downloaded,
            "seconds": self.elapsed.as_secs_f64(),
        })
    }
}

fn as_text<S: serde::Serializer>(path: &RelPath, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(path.as_str())
}
