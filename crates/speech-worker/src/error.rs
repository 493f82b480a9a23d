//! Why a worker does not start, or ends.

use std::path::PathBuf;

use speech_flow_model_manager as manager;
use speech_flow_speech_engine as engine;

/// Why a worker does not start, or ends, by what its operator does next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model cannot be had: see the cause.
    #[error("the model `{model}` cannot be made ready")]
    Model {
        /// The model as asked for.
        model: String,
        /// Why.
        #[source]
        source: Box<manager::Error>,
    },
    /// Files of the model are not what their hashes say, and they cannot be mended here. Repair the volume.
    #[error("the model `{model}` failed verification: {}", problems.join("; "))]
    Verification {
        /// The model as asked for.
        model: String,
        /// Each problem with its file.
        problems: Vec<String>,
    },
    /// The model was made ready and does not load, or does not answer.
    #[error("the model `{model}` in `{}` does not {step}", folder.display())]
    Engine {
        /// The model as asked for.
        model: String,
        /// Its folder.
        folder: PathBuf,
        /// What it does not do: `load` or `answer`.
        step: &'static str,
        /// Why.
        #[source]
        source: Box<engine::error::Error>,
    },
    /// The library of the engine cannot be used.
    #[error("the speech engine cannot be used")]
    Library(#[source] Box<engine::ctranslate2::Error>),
    /// The worker was asked to end before it was ready.
    #[error("the worker was asked to end before it was ready")]
    Stopped,
    /// The system has no thread or socket to give.
    #[error("the system does not let the worker {what}")]
    System {
        /// What it wanted.
        what: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The address or the certificate cannot be used.
    #[error(transparent)]
    Listen(#[from] speech_flow_http_listener::Error),
    /// A metric has a name that is none: a fault of this program.
    #[error("the metrics cannot be made")]
    Metrics(#[from] prometheus::Error),
}

impl Error {
    /// Whether the same start may succeed later without anybody doing something.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Model { source, .. } => source.is_transient(),
            Self::Engine { source, .. } => source.is_transient(),
            Self::Library(source) => source.is_transient(),
            Self::Listen(error) => error.is_transient(),
            Self::System { .. } => true,
            Self::Verification { .. } | Self::Stopped | Self::Metrics(_) => false,
        }
    }

    /// One thing to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Model { source, .. } => source.hint(),
            Self::Verification { .. } => Some(
                "let `speech-flow preload` repair the cache on a machine that may write to it and reach the hub"
                    .to_owned(),
            ),
            Self::Engine { source, .. } => source.hint().map(Into::into),
            Self::Library(source) => source.hint().map(Into::into),
            Self::Listen(error) => error.hint(),
            Self::Stopped | Self::System { .. } | Self::Metrics(_) => None,
        }
    }

    /// The exit code: 1 where the request cannot be met, 2 for what nobody expects.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Model { source, .. } => source.exit_code(),
            Self::Verification { .. } | Self::Engine { .. } | Self::Library(_) | Self::Listen(_) | Self::Stopped => 1,
            Self::System { .. } | Self::Metrics(_) => 2,
        }
    }
}
