//! What can go wrong between here and a registry, by what the caller does next.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use speech_flow_model_hub::{RequestId, SafeUrl, SourceError, SourceFault, WaitReason};
use speech_flow_model_types::retry::Failure;

use crate::artifact::InvalidArtifact;
use crate::reference::InvalidReference;

/// Why a registry, or a pack, did not become what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OciError {
    /// The text names no artifact.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// The connection cannot be set up.
    #[error("the connection to the registry cannot be set up")]
    Setup(#[from] speech_flow_model_hub::ConfigError),
    /// Credentials cannot be used.
    #[error("the credentials for the registry cannot be used: {0}")]
    Credentials(String),
    /// The registry has no such thing, or hides it.
    #[error("{what} was not found")]
    NotFound {
        /// What was asked for.
        what: String,
        /// What the registry said.
        #[source]
        source: Box<Answer>,
    },
    /// Credentials are needed, or those that were sent do not do.
    #[error("the registry refuses access to {what}")]
    Unauthorized {
        /// What was asked for.
        what: String,
        /// Whether credentials were sent.
        sent: bool,
        /// Why there are none, where the configuration of Docker names a helper.
        helper: Option<String>,
        /// What the registry said.
        #[source]
        source: Box<Answer>,
    },
    /// Too many requests.
    #[error("the registry takes no more requests for now")]
    RateLimited {
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// What the registry said.
        #[source]
        source: Box<Answer>,
    },
    /// The registry is not able to answer now.
    #[error("the registry failed with status {}", source.status)]
    Server {
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// What the registry said.
        #[source]
        source: Box<Answer>,
    },
    /// The registry does not want it.
    #[error("the registry refuses {what}")]
    Refused {
        /// What was asked for.
        what: String,
        /// What the registry said.
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
    /// The server's certificate is not one to trust.
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
    /// The answer did not come.
    #[error("the answer of `{url}` did not arrive within {} s (request `{request_id}`)", after.as_secs())]
    Timeout {
        /// What was asked for.
        url: SafeUrl,
        /// Our name for the request.
        request_id: RequestId,
        /// How long it was waited for.
        after: Duration,
    },
    /// The answer breaks the protocol.
    #[error("`{url}` gave an answer that cannot be used: {fault} (request `{request_id}`)")]
    Protocol {
        /// What was asked for.
        url: SafeUrl,
        /// Our name for the request.
        request_id: RequestId,
        /// What is wrong with it.
        fault: Fault,
    },
    /// What arrived is not what its digest says.
    #[error("{what} is not what its digest says: it is `{actual}` instead of `{expected}`")]
    Integrity {
        /// What arrived.
        what: String,
        /// The digest that was asked for.
        expected: String,
        /// The digest of what came.
        actual: String,
    },
    /// A layer holds something else than the artifact says of it.
    #[error("the layer of `{file}` is not as it was packed: {reason}")]
    Layer {
        /// The file.
        file: String,
        /// How it differs.
        reason: &'static str,
    },
    /// The artifact is none that can be read back.
    #[error("`{reference}` cannot be read back as a model")]
    Artifact {
        /// The artifact.
        reference: String,
        /// Why.
        #[source]
        source: InvalidArtifact,
    },
    /// The artifact does not hold what is asked of it.
    #[error("`{reference}` does not hold {what}")]
    NotHeld {
        /// The artifact.
        reference: String,
        /// What was asked for.
        what: String,
    },
    /// A file of a model cannot be packed.
    #[error("`{}` cannot be packed: {reason}", path.display())]
    Unpackable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Nothing that one artifact can hold was asked for.
    #[error("{0}")]
    Plan(&'static str),
    /// The disk said no.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The caller ended it.
    #[error("cancelled")]
    Cancelled,
    /// A part of this program ended unexpectedly.
    #[error("a task ended unexpectedly")]
    Task(#[from] tokio::task::JoinError),
}

/// How an answer breaks the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A status that no request here expects.
    #[error("it answered with status {0}")]
    Status(u16),
    /// A redirect that is not followed.
    #[error("it leads to an address that is not followed")]
    Redirect,
    /// A document larger than any honest one.
    #[error("its answer is larger than {0} bytes")]
    TooLarge(usize),
    /// Bytes of another range or length.
    #[error("it sends other bytes than those asked for")]
    WrongBytes,
    /// A login that is not understood, or that asks for credentials where they must not go.
    #[error("it asks for a login {0}")]
    Login(&'static str),
    /// Not the JSON that the protocol describes.
    #[error("its answer is not the JSON that the protocol describes")]
    Json,
    /// A number or address of an upload that makes no sense.
    #[error("it lost track of an upload")]
    Upload,
}

/// An answer with a status that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was asked for.
    pub url: SafeUrl,
    /// HTTP status.
    pub status: u16,
    /// The first code and message that the registry gave.
    pub message: Option<String>,
    /// Our name for the request.
    pub request_id: RequestId,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` answered {} (request `{}`)", self.url, self.status, self.request_id)?;
        match &self.message {
            Some(message) => write!(f, ": {}", message.escape_debug()),
            None => Ok(()),
        }
    }
}

impl Error for Answer {}

impl OciError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Server { .. } | Self::Network { .. } | Self::Timeout { .. } => true,
            // A proxy on the way may have cut or mixed up a body.
            Self::Protocol { fault, .. } => *fault == Fault::WrongBytes,
            Self::Integrity { .. } => true,
            _ => false,
        }
    }

    /// How long the registry asks to wait before the next request.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// One thing to do about it.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::Reference(_) => "write it as `oci://registry.example/models/whisper:v1`".into(),
            Self::NotFound { .. } => "check registry, name and tag; a private repository also needs credentials".into(),
            Self::Unauthorized { helper: Some(helper), .. } => format!(
                "Docker keeps this login in the helper `{helper}`, which is not asked: set \
                 `SPEECH_FLOW_REGISTRY_USERNAME` and `SPEECH_FLOW_REGISTRY_PASSWORD`, or name with `DOCKER_CONFIG` a \
                 folder whose `config.json` has the login under `auths`"
            )
            .into(),
            Self::Unauthorized { sent: false, .. } | Self::Credentials(_) => {
                "log in with `docker login`, or set `SPEECH_FLOW_REGISTRY_USERNAME` and \
                 `SPEECH_FLOW_REGISTRY_PASSWORD`"
                    .into()
            }
            Self::Unauthorized { .. } => "check the user's password and rights in the registry".into(),
            Self::Network { .. } | Self::Timeout { .. } => {
                "check the network, the registry's name and the proxy variables; a registry without TLS needs \
                 `--plain-http`"
                    .into()
            }
            Self::Untrusted { .. } => "name the certificates of the registry's authority in `SSL_CERT_FILE`".into(),
            Self::Integrity { .. } | Self::Layer { .. } => {
                "the registry, or a proxy on the way, changes content: push the artifact again".into()
            }
            Self::Artifact { .. } => "only what `speech-flow pack` writes can be read back; `oras pull` gives the \
                                      files of others"
                .into(),
            Self::NotHeld { .. } => "pack the model again with what is missing".into(),
            Self::Unpackable { .. } => "check the model with `speech-flow verify`, then preload it again".into(),
            _ => return None,
        })
    }

    /// Exit code of a command that ends with it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Reference(_) | Self::Setup(_) | Self::Plan(_) | Self::Task(_) => 2,
            _ => 1,
        }
    }

    /// How the retries see it.
    pub(crate) fn failure(&self) -> Failure {
        if self.is_transient() { Failure::Transient(self.retry_after()) } else { Failure::Permanent }
    }

    /// How a wait because of it is called.
    pub(crate) fn reason(&self) -> WaitReason {
        match self {
            Self::RateLimited { .. } => WaitReason::RateLimited,
            Self::Server { source, .. } => WaitReason::ServerError(source.status),
            Self::Timeout { .. } => WaitReason::TimedOut,
            Self::Network { .. } => WaitReason::ConnectionLost,
            _ => WaitReason::BadAnswer,
        }
    }
}

impl SourceFault for OciError {
    fn is_transient(&self) -> bool {
        self.is_transient()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }

    fn wait_reason(&self) -> WaitReason {
        self.reason()
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        self.hint()
    }
}

impl From<OciError> for speech_flow_model_hub::HubError {
    fn from(error: OciError) -> Self {
        Self::Elsewhere(SourceError::new(error))
    }
}
