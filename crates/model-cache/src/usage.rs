//! When a snapshot was fetched and last used, and what was asked for.
//!
//! Access times are not kept on most volumes, so a use touches a small file in the state folder, at most
//! once a minute for each process and snapshot. The time is the volume's own, like that of a heartbeat.
//! A read-only cache is left alone.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use speech_flow_model_types::{CommitHash, Digest, RelPath, RemoteFile, RepoId, Revision};

use crate::Cache;
use crate::error::CacheError;
use crate::heartbeat::touch;
use crate::state_files::{as_text, read_record, write_record};

/// A use within this time after the last one is not written down again.
const USE_INTERVAL: Duration = Duration::from_secs(60);

/// What is known of a snapshot: what was asked for, what it is and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// The name that was asked for, `large-v3` or `org/name`.
    pub name: String,
    /// The repository.
    #[serde(with = "as_text")]
    pub repo: RepoId,
    /// The revision that was asked for.
    #[serde(with = "as_text")]
    pub revision: Revision,
    /// The commit it stood for.
    #[serde(with = "as_text")]
    pub commit: CommitHash,
    /// Digest of the set of files; see `model-types`.
    pub digest: Digest,
    /// The files that were asked for; the snapshot is complete when it has them all.
    pub files: Vec<RecordedFile>,
    /// Licence, as the model card gives it.
    #[serde(default)]
    pub license: Option<String>,
    /// The model it was made from, as the model card gives it.
    #[serde(default)]
    pub base_model: Option<String>,
    /// Where it was fetched from: the address of the hub.
    #[serde(default)]
    pub source: Option<String>,
    /// When the last of its files arrived.
    #[serde(with = "as_text")]
    pub fetched_at: Timestamp,
}

/// A file of a snapshot, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFile {
    /// Where it stands in the repository.
    #[serde(with = "as_text")]
    pub path: RelPath,
    /// Its length in bytes.
    pub size: u64,
    /// Hash of its content.
    pub digest: Digest,
}

impl From<&RemoteFile> for RecordedFile {
    fn from(file: &RemoteFile) -> Self {
        Self { path: file.path.clone(), size: file.size, digest: file.digest }
    }
}

impl Cache {
    /// Writes down that a model was fetched. Nothing happens on a read-only cache.
    ///
    /// # Errors
    /// What the volume says.
    pub fn record_fetch(&self, record: &ModelRecord) -> Result<(), CacheError> {
        if self.is_read_only() {
            return Ok(());
        }
        write_record(&self.layout().usage_record(&record.repo, &record.commit), record)?;
        self.record_use(&record.repo, &record.commit);
        Ok(())
    }

    /// Writes down that a snapshot is used now. Never fails: a use that is not seen only makes the
    /// snapshot look older. Nothing happens on a read-only cache.
    pub fn record_use(&self, repo: &RepoId, commit: &CommitHash) {
        static LAST: Mutex<Option<HashMap<PathBuf, Instant>>> = Mutex::new(None);
        let path = self.layout().usage_mark(repo, commit);
        {
            let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
            let last = last.get_or_insert_default();
            if last.get(&path).is_some_and(|at| at.elapsed() < USE_INTERVAL) {
                return;
            }
            last.insert(path.clone(), Instant::now());
        }
        // Asked last: a server is here for each small file that it sends.
        if !self.may_record(&path) {
            return;
        }
        let marked = match touch(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path
                .parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::OpenOptions::new().append(true).create(true).open(&path).map(drop)),
            other => other,
        };
        if let Err(error) = marked {
            tracing::debug!(path = %path.display(), %error, "a use could not be written down");
        }
    }

    /// What is known of a snapshot; `None` when it was not fetched by us.
    ///
    /// # Errors
    /// [`CacheError::RecordUnreadable`] for a damaged record; what the volume says otherwise.
    pub fn read_record(&self, repo: &RepoId, commit: &CommitHash) -> Result<Option<ModelRecord>, CacheError> {
        read_record(&self.layout().usage_record(repo, commit))
    }

    /// When a snapshot was last used, by the volume's clock; `None` when no use was seen.
    pub fn last_used(&self, repo: &RepoId, commit: &CommitHash) -> Option<SystemTime> {
        fs::metadata(self.layout().usage_mark(repo, commit)).ok()?.modified().ok()
    }
}
