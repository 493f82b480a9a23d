//! Why the engine did not give a result.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::cancel::CancelReason;

/// Why audio could not be transcribed or identified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the model folder is missing, damaged or does not fit the others. Repair the folder.
    #[error("`{}` cannot be used: {problem}", file.display())]
    ModelFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: Cow<'static, str>,
        /// The cause, where there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// An option has a value that cannot be honored. Ask for another value.
    #[error("option `{option}` {problem}")]
    Option {
        /// Name of the option, as a caller writes it.
        option: &'static str,
        /// What is wrong with its value.
        problem: Cow<'static, str>,
    },
    /// The option works window after window, and the batched mode decodes windows side by side.
    /// Leave the option out, or do without the batched mode.
    #[error("option `{option}` cannot be honored in batched mode: {reason}")]
    NotInBatchedMode {
        /// Name of the option, as a caller writes it.
        option: &'static str,
        /// Why the mode cannot honor it.
        reason: &'static str,
    },
    /// The caller gave up or its deadline has passed. Nothing is left running.
    #[error("{}", match .0 { CancelReason::Canceled => "the work was canceled", CancelReason::DeadlinePassed => "the deadline of the work has passed" })]
    Canceled(CancelReason),
    /// The engine failed or is not there.
    #[error("the engine could not {step}")]
    Engine {
        /// What was asked of the engine, such as `encode audio`.
        step: &'static str,
        /// What it said.
        #[source]
        source: speech_flow_ctranslate2::Error,
    },
    /// The model is being replaced or shut down: ask again later, or elsewhere.
    #[error("the model does not take work: {reason}")]
    Unavailable {
        /// Why.
        reason: Cow<'static, str>,
    },
}

impl Error {
    /// Whether the same call may succeed later without any change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Engine { source, .. } => source.is_transient(),
            Self::Canceled(reason) => *reason == CancelReason::DeadlinePassed,
            _ => false,
        }
    }

    /// One thing to do about it.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::ModelFile { .. } => Some("fetch the model again, or take another folder".into()),
            Self::NotInBatchedMode { option, .. } => {
                Some(format!("leave `{option}` out, or transcribe without the batched mode").into())
            }
            Self::Canceled(CancelReason::DeadlinePassed) => Some("allow more time, or send a shorter clip".into()),
            Self::Engine { source, .. } => source.hint(),
            _ => None,
        }
    }

    /// The error of an option.
    pub(crate) fn option(option: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::Option { option, problem: problem.into() }
    }

    /// The error of a model file without a deeper cause.
    pub(crate) fn model_file(file: impl Into<PathBuf>, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::ModelFile { file: file.into(), problem: problem.into(), source: None }
    }
}
