//! Pins: commits that stay, whatever the quota says.
//!
//! A pin says which commit a revision of a repository stands for here, and which one it stood for
//! before, so that a roll back needs no download. One file for each pin; a pin that cannot be read
//! protects every revision of its repository.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use speech_flow_model_types::{CommitHash, RepoId, Revision};

use crate::Cache;
use crate::error::CacheError;
use crate::state_files::{as_text, file_name, folder_entries, option_as_text, read_record, remove_file, write_record};

/// A commit that is never deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The repository.
    #[serde(with = "as_text")]
    pub repo: RepoId,
    /// The branch, tag or commit that was pinned.
    #[serde(with = "as_text")]
    pub revision: Revision,
    /// The commit that it stands for.
    #[serde(with = "as_text")]
    pub commit: CommitHash,
    /// The commit that was pinned before under this revision.
    #[serde(default, with = "option_as_text")]
    pub previous: Option<CommitHash>,
    /// When the commit was pinned.
    #[serde(with = "as_text")]
    pub pinned_at: Timestamp,
}

/// Why a pin protects a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PinRole {
    /// It is the pinned commit.
    Pinned,
    /// It is the one that was pinned before.
    Previous,
}

/// All pins of a cache, with those that cannot be read.
#[derive(Debug, Default)]
pub(crate) struct PinSet {
    pub(crate) pins: Vec<Pin>,
    pub(crate) unreadable: Vec<(RepoId, CacheError)>,
}

impl PinSet {
    /// Whether, and how, a commit is protected.
    pub(crate) fn role(&self, repo: &RepoId, commit: &CommitHash) -> Option<PinRole> {
        let pins = || self.pins.iter().filter(|pin| pin.repo == *repo);
        if pins().any(|pin| pin.commit == *commit) || self.unreadable.iter().any(|(other, _)| other == repo) {
            Some(PinRole::Pinned)
        } else if pins().any(|pin| pin.previous.as_ref() == Some(commit)) {
            Some(PinRole::Previous)
        } else {
            None
        }
    }
}

impl Cache {
    /// Pins the commit that a revision stands for. The commit pinned before becomes the previous one.
    ///
    /// # Errors
    /// [`CacheError::ReadOnly`] on a read-only cache; what the volume says otherwise.
    pub fn pin(&self, repo: &RepoId, revision: &Revision, commit: &CommitHash) -> Result<Pin, CacheError> {
        let path = self.layout().pin(repo, &pin_name(revision));
        if self.is_read_only() {
            return Err(CacheError::ReadOnly { path });
        }
        let previous = match read_record::<Pin>(&path)? {
            Some(pin) if pin.commit == *commit => return Ok(pin),
            Some(pin) => Some(pin.commit),
            None => None,
        };
        let (repo, revision, commit) = (repo.clone(), revision.clone(), commit.clone());
        let pin = Pin { repo, revision, commit, previous, pinned_at: Timestamp::now() };
        write_record(&path, &pin)?;
        Ok(pin)
    }

    /// Removes the pins of a repository: that of one revision, or all. Returns those that there were.
    ///
    /// # Errors
    /// [`CacheError::ReadOnly`] on a read-only cache; [`CacheError::RecordUnreadable`] for a damaged
    /// pin, which stays; what the volume says otherwise.
    pub fn unpin(&self, repo: &RepoId, revision: Option<&Revision>) -> Result<Vec<Pin>, CacheError> {
        if self.is_read_only() {
            return Err(CacheError::ReadOnly { path: self.layout().repo_pins(repo) });
        }
        let paths = match revision {
            Some(revision) => vec![self.layout().pin(repo, &pin_name(revision))],
            None => folder_entries(&self.layout().repo_pins(repo))?,
        };
        let mut removed = Vec::new();
        for path in paths.iter().filter(|path| is_record(file_name(path))) {
            if let Some(pin) = read_record::<Pin>(path)? {
                remove_file(path)?;
                removed.push(pin);
            }
        }
        Ok(removed)
    }

    /// The pin of a revision.
    ///
    /// # Errors
    /// [`CacheError::RecordUnreadable`] for a damaged pin: which commit it meant is not known. What the volume
    /// says otherwise.
    pub fn pin_of(&self, repo: &RepoId, revision: &Revision) -> Result<Option<Pin>, CacheError> {
        read_record(&self.layout().pin(repo, &pin_name(revision)))
    }

    /// All pins, sorted by repository and revision.
    ///
    /// # Errors
    /// [`CacheError::RecordUnreadable`] for a damaged pin; what the volume says otherwise.
    pub fn pins(&self) -> Result<Vec<Pin>, CacheError> {
        let set = self.read_pins()?;
        match set.unreadable.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(set.pins),
        }
    }

    pub(crate) fn read_pins(&self) -> Result<PinSet, CacheError> {
        let mut set = PinSet::default();
        for folder in folder_entries(&self.layout().pins())? {
            let Some(repo) = RepoId::from_folder(file_name(&folder)) else { continue };
            for path in folder_entries(&folder)?.iter().filter(|path| is_record(file_name(path))) {
                match read_record::<Pin>(path) {
                    Ok(Some(pin)) => set.pins.push(pin),
                    Ok(None) => {}
                    Err(error) => set.unreadable.push((repo.clone(), error)),
                }
            }
        }
        set.pins.sort_by(|a, b| (&a.repo, &a.revision).cmp(&(&b.repo, &b.revision)));
        Ok(set)
    }
}

/// Temporary names start with a dot; a revision's may too, but `pin_name` changes it.
fn is_record(name: &str) -> bool {
    name.ends_with(".json") && !name.starts_with('.')
}

/// A file name for a revision: itself where that is one, else made so and told apart by its hash.
fn pin_name(revision: &Revision) -> String {
    const PLAIN_LEN: usize = 100;
    let text = revision.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.len() <= PLAIN_LEN && text.chars().all(plain) && !text.starts_with('.') {
        return text.to_owned();
    }
    let safe: String = text.chars().take(PLAIN_LEN).map(|c| if plain(c) && c != '.' { c } else { '_' }).collect();
    let hash: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{safe}.{hash}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_revision_has_its_own_file_name(texts in proptest::collection::hash_set("[ -~é]{1,120}", 1..8)) {
            let revisions: Vec<Revision> = texts.iter().filter_map(|text| text.parse().ok()).collect();
            let names: HashSet<String> = revisions.iter().map(pin_name).collect();
            prop_assert_eq!(names.len(), revisions.len());
            prop_assert!(names.iter().all(|name| name.len() < 200 && !name.contains('/') && !name.starts_with('.')));
        }
    }
}
