//! What is wrong with a model's folder.

use std::borrow::Cow;

use super::ctranslate2::Ct2Error;
use super::safetensors::SafetensorsError;
use super::sniff::Lookalike;

/// The folder holds no model that can load: one file is missing or wrong.
#[derive(Debug)]
pub struct Invalid {
    /// The file inside the folder; `.` for the folder itself.
    pub file: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "model file `{}` {}", self.file.escape_debug(), self.problem)
    }
}

impl std::error::Error for Invalid {
    // The problem is the message itself; its cause is the cause.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Unreadable(error)
            | Problem::Ct2(Ct2Error::Io(error))
            | Problem::Safetensors(SafetensorsError::Io(error)) => Some(error),
            _ => None,
        }
    }
}

/// What is wrong with one file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It is not there.
    #[error("is missing")]
    Missing,
    /// It cannot be read.
    #[error("cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// It is something else under a model file's name.
    #[error("is {0}")]
    Lookalike(Lookalike),
    /// It is longer than a file of its kind can be.
    #[error("has {actual} bytes, more than the {limit} that a file of its kind may have")]
    TooLarge {
        /// Its length.
        actual: u64,
        /// The limit.
        limit: u64,
    },
    /// It is not JSON of the expected shape.
    #[error("is not the JSON that it should be: {0}")]
    Json(String),
    /// It is no CTranslate2 model.
    #[error("is no usable CTranslate2 model: {0}")]
    Ct2(Ct2Error),
    /// It is no safetensors file.
    #[error("is no usable safetensors file: {0}")]
    Safetensors(SafetensorsError),
    /// It does not fit the rest of the model.
    #[error("{0}")]
    Wrong(String),
}

impl Invalid {
    pub(crate) fn new(file: impl Into<String>, problem: Problem) -> Self {
        Self { file: file.into(), problem }
    }

    pub(crate) fn wrong(file: &str, what: impl Into<String>) -> Self {
        Self::new(file, Problem::Wrong(what.into()))
    }

    /// One thing to do about it.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match &self.problem {
            Problem::Unreadable(_) => "check the permissions of the file and of the folders above it",
            Problem::Lookalike(Lookalike::Pickle) => {
                "take a revision with safetensors, or convert the weights on a machine that may run their code"
            }
            Problem::Lookalike(Lookalike::LfsPointer) => {
                "the repository was cloned without git-lfs: run `git lfs pull` there, or preload the model"
            }
            Problem::Lookalike(Lookalike::Html | Lookalike::JsonMessage) => {
                "a proxy or mirror answered with a page instead of the file: check `HF_ENDPOINT` and the proxy"
            }
            Problem::Wrong(_) | Problem::TooLarge { .. } => return None,
            _ => "fetch the model again: `speech-flow clear MODEL`, then `speech-flow preload MODEL`",
        }))
    }
}
