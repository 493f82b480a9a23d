//! Why a model has no prepared copy.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use speech_flow_ctranslate2::ComputeType;

use super::format::Trouble;

/// Why a model has no prepared copy. It loads without one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// A file cannot be read.
    #[error("`{}` cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The copy cannot be written.
    #[error("`{}` cannot be written", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The file is damaged or of another format.
    #[error("`{}` is not a model that can be prepared: {problem} at byte {position}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where it stops to make sense.
        position: u64,
        /// What is wrong there.
        problem: String,
    },
    /// The file is fine, but its conversion is not known to give the same bits as the engine's.
    #[error("`{}` cannot be prepared: {problem}", .path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not known.
        problem: String,
    },
    /// Weights cannot be prepared for this compute type.
    #[error("weights cannot be prepared for `{0}`")]
    ComputeType(ComputeType),
    /// The prepared weights are not those that were written.
    #[error("`{}` has changed since it was prepared", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

impl PrepareError {
    /// Whether the same call may succeed later without anybody doing something.
    pub fn is_transient(&self) -> bool {
        false
    }

    /// One thing to do about it.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Read { .. } => "check the volume that holds the file",
            Self::Write { .. } => "make room, or choose another folder for prepared weights",
            Self::Invalid { .. } => "fetch the model again",
            Self::Unsupported { .. } => "load the model without preparing it",
            Self::ComputeType(_) => "choose `int8`, `int8_float32`, `int8_float16`, `float16` or `float32`",
            Self::Changed { .. } => "prepare the model again",
        };
        Some(Cow::Borrowed(hint))
    }
}

pub(super) fn of_trouble(path: &Path, trouble: Trouble) -> PrepareError {
    let path = path.to_owned();
    match trouble {
        Trouble::Io(source) => PrepareError::Read { path, source },
        Trouble::Content(position, problem) => PrepareError::Invalid { path, position, problem },
    }
}
