//! `speech-flow.lock`: every configured model, down to the hash of each file.
//!
//! TOML, sorted, one file of a model on one line, so that a diff shows what moved. A model is known by its
//! repository and the revision that was asked for; several revisions of one repository stand side by side.
//! Models that are folders have no versions and are not locked.
//!
//! **Invariant:** a [`LockedModel`] has at least one file, its files are sorted by path, no path twice, and
//! its digest is that of its files. So a lockfile that was read is one that was written, or its reader is told.

mod changes;
mod error;
mod file;
mod text;

use std::fmt::Write as _;

use speech_flow_model_types::{
    CommitHash, Digest, ModelKind, RelPath, RemoteFile, RepoId, Resolved, Revision, file_set_digest,
};

pub use changes::{Difference, FileChange, ModelChange, check, diff};
pub use error::{LockfileError, Reason};

/// Version of the format that this program reads and writes.
pub const LOCKFILE_VERSION: u64 = 1;

/// The content of a lockfile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lockfile {
    /// Sorted by repository and revision, no pair twice.
    models: Vec<LockedModel>,
}

/// One model, settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedModel {
    name: String,
    repo: RepoId,
    revision: Revision,
    commit: CommitHash,
    kind: ModelKind,
    files: Vec<LockedFile>,
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedFile {
    /// Where it stands in the repository.
    pub path: RelPath,
    /// Its length in bytes.
    pub size: u64,
    /// Hash of its content.
    pub digest: Digest,
}

impl Lockfile {
    /// A lockfile of these models.
    ///
    /// # Errors
    /// [`Reason::Duplicate`] when two have the same repository and revision.
    pub fn new(mut models: Vec<LockedModel>) -> Result<Self, Reason> {
        models.sort_by(|a, b| a.key().cmp(&b.key()));
        match models.windows(2).find(|pair| pair[0].key() == pair[1].key()) {
            Some(pair) => Err(Reason::Duplicate(format!("model `{}@{}`", pair[0].repo, pair[0].revision))),
            None => Ok(Self { models }),
        }
    }

    /// Reads a lockfile.
    ///
    /// # Errors
    /// [`LockfileError`] says which line is wrong, what is wrong there, and what to do.
    pub fn parse(text: &str) -> Result<Self, LockfileError> {
        text::parse(text)
    }

    /// The lockfile as text; [`Lockfile::parse`] reads it back.
    pub fn to_toml(&self) -> String {
        text::write(self)
    }

    /// The models, sorted by repository and revision.
    pub fn models(&self) -> &[LockedModel] {
        &self.models
    }

    /// The model of a repository at the revision that was asked for.
    pub fn get(&self, repo: &RepoId, revision: &Revision) -> Option<&LockedModel> {
        self.models.iter().find(|model| model.repo == *repo && model.revision == *revision)
    }

    /// The same lockfile with a model added, or put in the place of the one with its repository and revision.
    pub fn with(mut self, model: LockedModel) -> Self {
        match self.models.binary_search_by(|other| other.key().cmp(&model.key())) {
            Ok(place) => self.models[place] = model,
            Err(place) => self.models.insert(place, model),
        }
        self
    }
}

impl LockedModel {
    /// Locks a resolved model with the files that were selected from it.
    ///
    /// # Errors
    /// [`Reason::NoFiles`] for no files, [`Reason::Duplicate`] for a path twice.
    pub fn new(name: &str, kind: ModelKind, resolved: &Resolved, selected: &[&RemoteFile]) -> Result<Self, Reason> {
        let files =
            selected.iter().map(|file| LockedFile { path: file.path.clone(), size: file.size, digest: file.digest });
        Self::from_parts(name, kind, (&resolved.repo, &resolved.revision, &resolved.commit), files.collect())
    }

    fn from_parts(
        name: &str,
        kind: ModelKind,
        (repo, revision, commit): (&RepoId, &Revision, &CommitHash),
        mut files: Vec<LockedFile>,
    ) -> Result<Self, Reason> {
        files.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
        if files.is_empty() {
            return Err(Reason::NoFiles);
        }
        if let Some(pair) = files.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(Reason::Duplicate(format!("file `{}`", pair[0].path)));
        }
        Ok(Self {
            name: name.to_owned(),
            repo: repo.clone(),
            revision: revision.clone(),
            commit: commit.clone(),
            kind,
            files,
        })
    }

    /// The model's name as the configuration has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its repository.
    pub fn repo(&self) -> &RepoId {
        &self.repo
    }

    /// The revision that was asked for.
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// The commit that the revision stood for.
    pub fn commit(&self) -> &CommitHash {
        &self.commit
    }

    /// What the model is for.
    pub fn kind(&self) -> ModelKind {
        self.kind
    }

    /// Its files, sorted by path.
    pub fn files(&self) -> &[LockedFile] {
        &self.files
    }

    /// The digest of its files; see [`file_set_digest`].
    pub fn digest(&self) -> Digest {
        file_set_digest(self.files.iter().map(|file| (&file.path, file.size, &file.digest)))
    }

    /// Bytes of all files; a sum that does not fit is the largest number.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    fn key(&self) -> (&str, &str) {
        (self.repo.as_str(), self.revision.as_str())
    }
}

/// A text as a TOML string in double quotes, on one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            control if control.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
