//! Why a model cannot be had, by what the caller does next.

use std::path::PathBuf;

use speech_flow_model_cache::CacheError;
use speech_flow_model_hub::HubError;
use speech_flow_model_types::{CommitHash, Digest, RelPath, RepoId, Revision};

use crate::config::ConfigError;

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text names no model.
    #[error("`{text}` names no model")]
    Spec {
        /// The text.
        text: String,
        /// What is wrong with it.
        #[source]
        source: speech_flow_model_types::spec::InvalidSpec,
    },
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The hub's address, proxies or certificates cannot be used.
    #[error("the connection to the hub cannot be set up")]
    HubSetup(#[from] speech_flow_model_hub::ConfigError),
    /// The hub did not give what was asked for.
    #[error("`{model}` cannot be fetched")]
    Hub {
        /// The model as asked for.
        model: String,
        /// What the hub did.
        #[source]
        source: HubError,
    },
    /// The cache could not be read or written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The model is not complete on disk, and no request may be made.
    #[error("`{model}` is not complete in the cache and the mode is offline{}", list_missing(missing))]
    OfflineMiss {
        /// The model as asked for.
        model: String,
        /// The files that are missing; empty when nothing at all is known of it.
        missing: Vec<String>,
    },
    /// The model is not complete on disk, and the hub cannot be asked for the rest.
    #[error("`{model}` is not complete in the cache and the hub cannot be asked{}", list_missing(missing))]
    HubDown {
        /// The model as asked for.
        model: String,
        /// The files that are missing.
        missing: Vec<String>,
        /// What the hub did.
        #[source]
        source: Box<HubError>,
    },
    /// The lockfile does not name the model as it is asked for.
    #[error("`{model}` at `{revision}` is not in the lockfile `{}`", lockfile.display())]
    NotLocked {
        /// The model.
        model: String,
        /// The revision that was asked for.
        revision: Revision,
        /// The lockfile.
        lockfile: PathBuf,
    },
    /// The hub's listing of a locked commit is not what was locked.
    #[error("`{repo}` at commit `{}` is not what the lockfile says: `{file}` differs", commit.short())]
    LockBroken {
        /// The repository.
        repo: RepoId,
        /// The commit.
        commit: CommitHash,
        /// The first file that differs.
        file: String,
    },
    /// The models cannot stand in one lockfile.
    #[error("the models cannot be locked together")]
    Unlockable {
        /// Why.
        #[source]
        reason: crate::lockfile::Reason,
    },
    /// The lockfile cannot be used.
    #[error(transparent)]
    Lockfile(#[from] crate::lockfile::LockfileError),
    /// The content is not what its hash says, twice in a row.
    #[error(transparent)]
    Integrity(Box<IntegrityFailure>),
    /// Other processes took the download over again and again.
    #[error("the download of `{file}` was taken over by another process twice")]
    KeptLosing {
        /// The file.
        file: RelPath,
    },
    /// The files are there and whole, but no model of the kind can load from them.
    #[error("`{model}` is not a model that can load: {}", problems.join("; "))]
    InvalidModel {
        /// The model as asked for.
        model: String,
        /// Each problem with its file.
        problems: Vec<String>,
        /// Whether the files are known to be exactly those of the hub.
        genuine: bool,
    },
    /// No file of the repository is wanted.
    #[error("no file of `{repo}` at commit `{}` matches what is asked for", commit.short())]
    NothingSelected {
        /// The repository.
        repo: RepoId,
        /// The commit.
        commit: CommitHash,
    },
    /// A folder that was named is not there.
    #[error("the folder `{}` is not there", path.display())]
    FolderMissing {
        /// The folder.
        path: PathBuf,
    },
    /// What is asked for needs a repository, and a folder was named.
    #[error("`{}` is a folder: it has no revisions", path.display())]
    FolderHasNoRevision {
        /// The folder.
        path: PathBuf,
    },
    /// The model is in use and cannot be deleted.
    #[error("nothing was deleted: {}", held.join("; "))]
    InUse {
        /// What is held, and by whom.
        held: Vec<String>,
    },
    /// The caller ended it. What has arrived is kept.
    #[error("cancelled")]
    Cancelled,
    /// A part of this program ended unexpectedly.
    #[error("a task ended unexpectedly")]
    Task(#[from] tokio::task::JoinError),
}

/// Content that was fetched twice and had another hash than the listing names.
#[derive(Debug, thiserror::Error)]
#[error("`{file}` of `{repo}` arrived damaged twice: its digest is `{actual}` instead of `{expected}`{}", seeming(seems.as_deref()))]
pub struct IntegrityFailure {
    /// The repository.
    pub repo: RepoId,
    /// The file.
    pub file: RelPath,
    /// The digest that the listing names.
    pub expected: Digest,
    /// The digest of what arrived.
    pub actual: Digest,
    /// What the content seems to be.
    pub seems: Option<String>,
    /// Where the damaged file and the reason are.
    pub quarantined: Option<PathBuf>,
    /// Whether it came from the configured hub.
    pub from_hub: bool,
}

fn seeming(seems: Option<&str>) -> String {
    seems.map_or_else(String::new, |seems| format!(", and it seems to be {seems}"))
}

impl Error {
    /// One thing to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Spec { source, .. } => Some(source.hint()),
            Self::Config(error) => error.hint(),
            Self::Hub { source, .. } => source.hint().map(Into::into),
            Self::HubDown { source, .. } => source.hint().map(Into::into),
            Self::Cache(error) => error.hint().map(Into::into),
            Self::OfflineMiss { model, .. } => {
                Some(format!("with a connection, run `speech-flow preload {model}`, or unset `HF_HUB_OFFLINE`"))
            }
            Self::NotLocked { .. } => Some("run `speech-flow lock`, and commit the lockfile".to_owned()),
            Self::LockBroken { .. } => {
                Some("the hub or the lockfile was changed: check both, then run `speech-flow lock --update`".to_owned())
            }
            Self::Lockfile(error) => Some(error.hint()),
            Self::Integrity(failure) => {
                let kept = failure
                    .quarantined
                    .as_ref()
                    .map_or_else(String::new, |folder| format!("; it is kept in `{}`", folder.display()));
                Some(match failure.from_hub {
                    true => format!(
                        "the hub, a mirror or a proxy on the way changes content: try another `HF_ENDPOINT`{kept}"
                    ),
                    false => {
                        format!("the source, or a proxy on the way, changes content: push the artifact again{kept}")
                    }
                })
            }
            Self::InvalidModel { genuine: true, .. } => {
                Some("the files are as the hub has them: take another model or revision".to_owned())
            }
            Self::InvalidModel { genuine: false, model, .. } => {
                Some(format!("check the files with `speech-flow verify {model}`"))
            }
            Self::NothingSelected { .. } => Some("check the patterns of `--include` and `--exclude`".to_owned()),
            Self::FolderMissing { .. } => {
                Some("check the path; a relative one starts at the current folder".to_owned())
            }
            Self::FolderHasNoRevision { .. } => Some("name the model as `owner/name`".to_owned()),
            Self::InUse { .. } => Some("stop what uses it, or run `speech-flow unpin` first".to_owned()),
            Self::Cancelled => Some("run the same command again: it goes on where it stopped".to_owned()),
            Self::KeptLosing { .. } => Some("run the same command again".to_owned()),
            Self::Unlockable { .. } => Some("name each model and revision once".to_owned()),
            Self::HubSetup(_) | Self::Task(_) => None,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Hub { source, .. } => source.is_transient(),
            Self::HubDown { source, .. } => source.is_transient(),
            Self::Cache(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Exit code of a command that ends with it: 1 when the request cannot be met, 2 for wrong usage or
    /// an unexpected error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Spec { .. } | Self::Config(_) | Self::HubSetup(_) | Self::Task(_) | Self::Unlockable { .. } => 2,
            Self::FolderHasNoRevision { .. } => 2,
            _ => 1,
        }
    }
}

fn list_missing(missing: &[String]) -> String {
    match missing {
        [] => String::new(),
        some => format!("; it lacks {}", some.iter().map(|file| format!("`{file}`")).collect::<Vec<_>>().join(", ")),
    }
}
