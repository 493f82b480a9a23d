//! What can go wrong while a hub is described or started.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use speech_flow_model_types::repo::InvalidRepoId;

/// Why a demo hub could not be built, started or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoHubError {
    /// The name cannot be that of a repository.
    #[error("cannot name a repository of the demo hub")]
    InvalidRepository(#[from] InvalidRepoId),
    /// A file or folder that should be served cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The hub has no repository of this name.
    #[error("the demo hub has no repository `{repository}`")]
    UnknownRepository {
        /// The name asked for.
        repository: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("`{repository}` has no revision `{revision}`")]
    UnknownRevision {
        /// The repository.
        repository: String,
        /// The revision asked for.
        revision: String,
    },
    /// The pattern of a fault rule cannot be read.
    #[error("`{pattern}` is not a path pattern")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// Why it failed.
        #[source]
        source: globset::Error,
    },
    /// The text is not a list of fault rules.
    #[error("cannot read fault rules")]
    InvalidFaults(#[source] serde_json::Error),
}

impl DemoHubError {
    /// Whether the same call can succeed later without a change by the caller.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }

    /// One thing to do about it.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::InvalidRepository(_) => Some("name it like `owner/name`".into()),
            Self::Listen { address, .. } => Some(format!("use port 0 in place of {} to get a free one", address.port()).into()),
            Self::InvalidPattern { .. } => Some("use a pattern such as `*.bin` or `/api/models/*`".into()),
            Self::InvalidFaults(_) => {
                Some("write a list such as `[{\"match\": {\"path\": \"*.bin\"}, \"action\": {\"kind\": \"cut_after\", \"bytes\": 1000}}]`".into())
            }
            Self::Read { .. } | Self::UnknownRepository { .. } | Self::UnknownRevision { .. } => None,
        }
    }
}
