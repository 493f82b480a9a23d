//! What can go wrong between here and a hub, by what the caller does next.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use speech_flow_model_types::retry::Failure;
use speech_flow_model_types::{CommitHash, RelPath, RepoId, Revision};

use crate::hub::listing::ListingError;
use crate::{RequestId, SafeUrl, SinkError, SourceError, Unexpected, WaitReason};

mod protocol;

pub use protocol::ProtocolFault;

/// Why a hub did not give what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// There is no such repository, or the token may not know of it.
    #[error("repository `{repo}` was not found")]
    RepoNotFound {
        /// The repository.
        repo: RepoId,
        /// What the hub said.
        #[source]
        source: Box<Answer>,
    },
    /// The repository has no such branch, tag or commit.
    #[error("revision `{revision}` of `{repo}` was not found")]
    RevisionNotFound {
        /// The repository.
        repo: RepoId,
        /// The revision.
        revision: Revision,
        /// What the hub said.
        #[source]
        source: Box<Answer>,
    },
    /// The commit has no such file.
    #[error("file `{file}` of `{repo}` was not found at commit `{}`", commit.short())]
    FileNotFound {
        /// The repository.
        repo: RepoId,
        /// The commit.
        commit: CommitHash,
        /// The file.
        file: RelPath,
        /// What the hub said.
        #[source]
        source: Box<Answer>,
    },
    /// A token is needed, or the one that was sent is not valid.
    #[error("the hub refuses access to `{repo}`")]
    Unauthorized {
        /// The repository.
        repo: RepoId,
        /// Whether a token was sent.
        token_sent: bool,
        /// What the hub said.
        #[source]
        source: Box<Answer>,
    },
    /// The account behind the token must ask for access.
    #[error("`{repo}` is gated: its authors give access on request")]
    Gated {
        /// The repository.
        repo: RepoId,
        /// Whether a token was sent.
        token_sent: bool,
        /// What the hub said.
        #[source]
        source: Box<Answer>,
    },
    /// The hub has switched the repository off.
    #[error("`{repo}` is disabled by the hub")]
    Disabled {
        /// The repository.
        repo: RepoId,
        /// What the hub said.
        #[source]
        source: Box<Answer>,
    },
    /// Too many requests.
    #[error("the hub takes no more requests for now{}", later(*retry_after))]
    RateLimited {
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// What the hub said.
        #[source]
        source: Box<Answer>,
    },
    /// No request may be made.
    #[error("no hub is asked")]
    Offline,
    /// This side's own limit of requests to the hub is reached.
    #[error("more requests wait for the hub than this program may send soon")]
    OwnLimit {
        /// When there is a turn.
        retry_after: Duration,
    },
    /// The hub, or the storage it sent us to, is not able to answer now.
    #[error("the hub failed with status {status}")]
    Server {
        /// HTTP status.
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// What the hub said.
        #[source]
        source: Box<Answer>,
    },
    /// No connection, or it broke.
    #[error("no connection to `{url}` (request `{request_id}`)")]
    Network {
        /// What was asked for.
        url: SafeUrl,
        /// Our name for the request.
        request_id: RequestId,
        /// What happened.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server's certificate is not one to trust. Waiting does not help.
    #[error("the certificate of `{url}` is not trusted (request `{request_id}`)")]
    Untrusted {
        /// What was asked for.
        url: SafeUrl,
        /// Our name for the request.
        request_id: RequestId,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The answer did not come, or stopped coming.
    #[error("{what} did not arrive within {} s", after.as_secs_f64())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// The body ended before all its bytes had come.
    #[error("the body of `{file}` ended at byte {offset} instead of {expected}")]
    Truncated {
        /// The file.
        file: RelPath,
        /// Where it ended.
        offset: u64,
        /// Where it should have ended.
        expected: u64,
    },
    /// The answer breaks the protocol.
    #[error("`{url}` gave an answer that cannot be used (request `{request_id}`)")]
    Protocol {
        /// What was asked for.
        url: SafeUrl,
        /// Our name for the request.
        request_id: RequestId,
        /// What is wrong with it.
        #[source]
        source: ProtocolFault,
    },
    /// The list of files is broken or hostile.
    #[error("the list of files of `{repo}` cannot be trusted")]
    HostileListing {
        /// The repository.
        repo: RepoId,
        /// What is wrong with it.
        #[source]
        source: ListingError,
    },
    /// The hub serves other content than it listed.
    #[error("`{file}` is no longer what the hub listed: its ETag is `{actual}` instead of `{expected}`")]
    ContentChanged {
        /// The file.
        file: RelPath,
        /// The digest of the listing, or the ETag at the start of the download.
        expected: String,
        /// What the hub says now.
        actual: String,
    },
    /// Something else stands in the file's place.
    #[error("the hub sent {found} in place of `{file}`")]
    UnexpectedContent {
        /// The file.
        file: RelPath,
        /// What came.
        found: Unexpected,
    },
    /// The server gave the whole file when asked for a part.
    #[error("the server ignores ranges of `{file}`")]
    RangeIgnored {
        /// The file.
        file: RelPath,
    },
    /// The caller ended it.
    #[error("cancelled")]
    Cancelled,
    /// The bytes could not be stored.
    #[error("cannot store `{file}`")]
    Sink {
        /// The file.
        file: RelPath,
        /// Why.
        #[source]
        source: SinkError,
    },
    /// A source that is no hub did not give it.
    #[error(transparent)]
    Elsewhere(SourceError),
}

/// An answer with a status that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was asked for.
    pub url: SafeUrl,
    /// HTTP status.
    pub status: u16,
    /// The hub's `X-Error-Code`.
    pub code: Option<String>,
    /// The hub's `X-Error-Message`.
    pub message: Option<String>,
    /// Our name for the request.
    pub request_id: RequestId,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` answered {} (", self.url, self.status)?;
        if let Some(code) = &self.code {
            write!(f, "`{}`, ", code.escape_debug())?;
        }
        write!(f, "request `{}`)", self.request_id)?;
        match &self.message {
            Some(message) => write!(f, ": {}", message.escape_debug()),
            None => Ok(()),
        }
    }
}

impl Error for Answer {}

fn later(retry_after: Option<Duration>) -> String {
    retry_after.map(|delay| format!(": it asks to come back in {} s", delay.as_secs())).unwrap_or_default()
}

impl HubError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::OwnLimit { .. }
            | Self::Server { .. }
            | Self::Network { .. }
            | Self::Timeout { .. }
            | Self::Truncated { .. }
            // A body as short as can be.
            | Self::UnexpectedContent { found: Unexpected::EmptyBody, .. } => true,
            Self::Protocol { source, .. } => source.is_transient(),
            Self::Elsewhere(error) => error.fault().is_transient(),
            _ => false,
        }
    }

    /// How long the hub asks to wait before the next request.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Server { retry_after, .. } => *retry_after,
            Self::OwnLimit { retry_after } => Some(*retry_after),
            Self::Elsewhere(error) => error.fault().retry_after(),
            _ => None,
        }
    }

    /// One thing to do about it.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::RepoNotFound { repo, .. } => {
                format!("check the spelling of `{repo}`; a private repository also needs a token in `HF_TOKEN`").into()
            }
            Self::RevisionNotFound { repo, .. } => {
                format!("name a branch, a tag or a full commit hash of `{repo}`; the usual branch is `main`").into()
            }
            Self::Unauthorized { token_sent: false, .. } => "set `HF_TOKEN` to a token that may read it".into(),
            Self::Unauthorized { .. } => "the token in `HF_TOKEN` is not valid for it: make a new one".into(),
            Self::Gated { repo, token_sent: false, .. } => {
                format!("accept the conditions of `{repo}` on the hub's page, then set `HF_TOKEN`").into()
            }
            Self::Gated { repo, .. } => {
                format!("ask for access on the hub's page of `{repo}` with the account of your token").into()
            }
            Self::RateLimited { .. } => "wait, or set `HF_TOKEN`: accounts have higher limits than visitors".into(),
            Self::OwnLimit { .. } => "wait, or raise `server.request-limit`".into(),
            Self::Network { .. } | Self::Timeout { .. } => {
                "check the network, `HF_ENDPOINT` and the proxy variables with `speech-flow doctor`".into()
            }
            Self::Untrusted { .. } => {
                "behind a proxy that opens TLS, name its authority's certificates in `SSL_CERT_FILE`".into()
            }
            Self::UnexpectedContent { found, .. } => found.hint().into(),
            Self::Elsewhere(error) => return error.fault().hint(),
            Self::HostileListing { .. } => "do not use this repository, and report it to the hub".into(),
            _ => return None,
        })
    }

    /// How the retries see it.
    pub(crate) fn failure(&self) -> Failure {
        if self.is_transient() { Failure::Transient(self.retry_after()) } else { Failure::Permanent }
    }

    /// How a wait because of it is called.
    pub(crate) fn wait_reason(&self) -> WaitReason {
        match self {
            Self::RateLimited { .. } | Self::OwnLimit { .. } => WaitReason::RateLimited,
            Self::Server { status, .. } => WaitReason::ServerError(*status),
            Self::Timeout { .. } => WaitReason::TimedOut,
            Self::Elsewhere(error) => error.fault().wait_reason(),
            Self::Network { .. } | Self::Truncated { .. } => WaitReason::ConnectionLost,
            _ => WaitReason::BadAnswer,
        }
    }
}
