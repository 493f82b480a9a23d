//! What differs between a lockfile and a configuration, and between a locked model and the hub.

use std::collections::BTreeMap;

use speech_flow_model_types::{
    ByteSize, CommitHash, Digest, ModelSource, ModelSpec, RelPath, RemoteFile, RepoId, Resolved, Revision,
    file_set_digest,
};

use super::{LockedFile, LockedModel, Lockfile};

/// One way in which a lockfile and a configuration differ.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "difference", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Difference {
    /// A configured model is not locked.
    Missing {
        /// The repository.
        repo: String,
        /// The revision that the configuration asks for.
        revision: String,
    },
    /// A configured model is locked at another revision.
    Revision {
        /// The repository.
        repo: String,
        /// The revision that the configuration asks for.
        asked: String,
        /// The revisions that are locked.
        locked: Vec<String>,
    },
    /// A configured model is locked as another kind, with that kind's choice of files.
    Kind {
        /// The repository.
        repo: String,
        /// The kind that the configuration says.
        asked: String,
        /// The kind that is locked.
        locked: String,
    },
    /// A file that the configuration asks for by name pattern is not locked, or one that it excludes is.
    Files {
        /// The repository.
        repo: String,
        /// The locked files that the patterns do not take.
        unwanted: Vec<String>,
    },
    /// A locked model is not configured.
    Extra {
        /// The repository.
        repo: String,
        /// The revision that is locked.
        revision: String,
    },
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing { repo, revision } => write!(f, "`{repo}@{revision}` is configured but not locked"),
            Self::Revision { repo, asked, locked } => {
                write!(f, "`{repo}` is configured at `{asked}` but locked at `{}`", locked.join("`, `"))
            }
            Self::Kind { repo, asked, locked } => {
                write!(f, "`{repo}` is configured as `{asked}` but locked as `{locked}`")
            }
            Self::Files { repo, unwanted } => {
                write!(f, "`{repo}` has locked files that its patterns leave out: `{}`", unwanted.join("`, `"))
            }
            Self::Extra { repo, revision } => write!(f, "`{repo}@{revision}` is locked but not configured"),
        }
    }
}

/// The differences between a lockfile and the configured models; none when they agree. No request is made:
/// whether the hub has moved on is [`diff`]'s question.
pub fn check(lockfile: &Lockfile, specs: &[ModelSpec]) -> Vec<Difference> {
    let mut differences = Vec::new();
    let asked: Vec<(&ModelSpec, &RepoId, &Revision)> = specs
        .iter()
        .filter_map(|spec| match &spec.source {
            ModelSource::Hub { repo, revision } => Some((spec, repo, revision)),
            ModelSource::Folder(_) => None,
        })
        .collect();
    let is_asked = |model: &LockedModel| {
        asked.iter().any(|(_, repo, revision)| **repo == model.repo && **revision == model.revision)
    };
    // A locked model that is only at another revision is said once, not as missing and extra.
    let mut explained: Vec<&LockedModel> = Vec::new();
    for (spec, repo, revision) in &asked {
        if let Some(model) = lockfile.get(repo, revision) {
            differences.extend(differences_of(spec, model));
            continue;
        }
        let stale: Vec<&LockedModel> =
            lockfile.models().iter().filter(|model| model.repo == **repo && !is_asked(model)).collect();
        differences.push(if stale.is_empty() {
            Difference::Missing { repo: repo.to_string(), revision: revision.to_string() }
        } else {
            let locked = stale.iter().map(|model| model.revision.to_string()).collect();
            Difference::Revision { repo: repo.to_string(), asked: revision.to_string(), locked }
        });
        explained.extend(stale);
    }
    for model in lockfile.models() {
        if !is_asked(model) && !explained.contains(&model) {
            differences.push(Difference::Extra { repo: model.repo.to_string(), revision: model.revision.to_string() });
        }
    }
    differences
}

fn differences_of(spec: &ModelSpec, model: &LockedModel) -> Vec<Difference> {
    let mut differences = Vec::new();
    let repo = model.repo.to_string();
    if let Some(kind) = spec.kind.filter(|kind| *kind != model.kind) {
        let (asked, locked) = (kind.to_string(), model.kind.to_string());
        differences.push(Difference::Kind { repo: repo.clone(), asked, locked });
    }
    let unwanted: Vec<String> = model
        .files
        .iter()
        .filter(|file| !spec.patterns.matches(&file.path))
        .map(|file| file.path.to_string())
        .collect();
    if !unwanted.is_empty() {
        differences.push(Difference::Files { repo, unwanted });
    }
    differences
}

/// What moved between a locked model and what the hub has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelChange {
    /// The model's name as the configuration has it.
    pub name: String,
    /// The repository.
    pub repo: RepoId,
    /// The revision that was asked for.
    pub revision: Revision,
    /// The locked commit.
    pub old_commit: CommitHash,
    /// The commit that the revision stands for now.
    pub new_commit: CommitHash,
    /// The locked digest of the file set.
    pub old_digest: Digest,
    /// The digest of the file set now.
    pub new_digest: Digest,
    /// Files that are new.
    pub added: Vec<FileChange>,
    /// Files that are gone.
    pub removed: Vec<FileChange>,
    /// Files whose content changed.
    pub changed: Vec<FileChange>,
    /// Bytes of new content that nothing locked has, each content once.
    pub bytes_to_fetch: ByteSize,
}

/// One file that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Where it stands in the repository.
    pub path: RelPath,
    /// Its length and hash before; none for a new file.
    pub old: Option<(u64, Digest)>,
    /// Its length and hash now; none for a file that is gone.
    pub new: Option<(u64, Digest)>,
}

impl ModelChange {
    /// Whether commit and files are the same as before.
    pub fn is_none(&self) -> bool {
        self.old_commit == self.new_commit && !self.files_changed()
    }

    /// Whether the files are others than before; a commit may move without that.
    pub fn files_changed(&self) -> bool {
        !(self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty())
    }
}

/// Compares a locked model with what its revision stands for now and the files selected from that.
pub fn diff(old: &LockedModel, new: &Resolved, selected: &[&RemoteFile]) -> ModelChange {
    let before: BTreeMap<&RelPath, &LockedFile> = old.files.iter().map(|file| (&file.path, file)).collect();
    let after: BTreeMap<&RelPath, &RemoteFile> = selected.iter().map(|file| (&file.path, *file)).collect();
    let (mut added, mut changed) = (Vec::new(), Vec::new());
    for (path, file) in &after {
        let new = Some((file.size, file.digest));
        let old = before.get(path).map(|file| (file.size, file.digest));
        if old != new {
            let list = if old.is_none() { &mut added } else { &mut changed };
            list.push(FileChange { path: (*path).clone(), old, new });
        }
    }
    let gone = before.iter().filter(|(path, _)| !after.contains_key(*path));
    let removed =
        gone.map(|(path, file)| FileChange { path: (*path).clone(), old: Some((file.size, file.digest)), new: None });
    ModelChange {
        name: old.name.clone(),
        repo: new.repo.clone(),
        revision: new.revision.clone(),
        old_commit: old.commit.clone(),
        new_commit: new.commit.clone(),
        old_digest: old.digest(),
        new_digest: file_set_digest(selected.iter().map(|file| (&file.path, file.size, &file.digest))),
        removed: removed.collect(),
        bytes_to_fetch: bytes_to_fetch(old, selected),
        added,
        changed,
    }
}

/// A blob is kept under its hash, so a file that only moved costs nothing, and the same content costs once.
fn bytes_to_fetch(old: &LockedModel, selected: &[&RemoteFile]) -> ByteSize {
    let mut fresh: BTreeMap<Digest, u64> = selected.iter().map(|file| (file.digest, file.size)).collect();
    for file in &old.files {
        fresh.remove(&file.digest);
    }
    ByteSize(fresh.into_values().fold(0, u64::saturating_add))
}
