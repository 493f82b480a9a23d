//! Why the engine did not do what was asked, by what the caller does next.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use crate::model::{ComputeType, Device};

/// Why the engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine's library is not on this machine.
    #[error("the speech engine is not installed: no `{file}` in {}", list(.looked_in))]
    NotInstalled {
        /// The file that was looked for.
        file: &'static str,
        /// The folders that were looked in.
        looked_in: Vec<PathBuf>,
    },
    /// The engine's library is there, but the system cannot load it.
    #[error("the speech engine `{}` cannot be opened", .path.display())]
    Unusable {
        /// The library.
        path: PathBuf,
        /// What the loader says.
        #[source]
        source: libloading::Error,
    },
    /// The engine's library was made for another version of this program.
    #[error("the speech engine `{}` is {found}; this program needs {expected}", .path.display())]
    WrongVersion {
        /// The library.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What is needed.
        expected: String,
    },
    /// The model lacks a file.
    #[error("the model `{model}` has no file `{file}`")]
    MissingFile {
        /// The model.
        model: String,
        /// The file.
        file: String,
    },
    /// A file of the model could not be read.
    #[error("file `{file}` of the model `{model}` cannot be read")]
    ReadFile {
        /// The model.
        model: String,
        /// The file.
        file: String,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The files of the model are damaged or of a kind that the engine does not read.
    #[error("the model `{model}` cannot be loaded: {reason}")]
    InvalidModel {
        /// The model.
        model: String,
        /// What the engine says.
        reason: String,
    },
    /// The device does not compute in this number format.
    #[error("the device `{device}` does not compute in `{compute_type}`")]
    UnsupportedComputeType {
        /// The format that was asked for.
        compute_type: ComputeType,
        /// The device.
        device: Device,
    },
    /// There is no such GPU on this machine.
    #[error("there is no device `cuda:{index}`: CUDA finds {count} GPU(s)")]
    NoGpu {
        /// The GPU that was asked for.
        index: u32,
        /// The GPUs that CUDA finds.
        count: usize,
    },
    /// CUDA is there, but it fails: a library is missing, or the GPU does not work.
    #[error("CUDA fails: {reason}")]
    Cuda {
        /// What the engine says.
        reason: String,
    },
    /// There is not enough memory, on the machine or on the GPU.
    #[error("there is not enough memory on `{device}`: {reason}")]
    OutOfMemory {
        /// The device whose memory is full.
        device: Device,
        /// What the engine says.
        reason: String,
    },
    /// The call does not fit the model: a shape, a token or an option is out of range.
    #[error("the call does not fit the model: {reason}")]
    InvalidInput {
        /// What is out of range.
        reason: String,
    },
    /// The computation failed for another reason.
    #[error("the speech engine failed: {reason}")]
    Failed {
        /// What the engine says.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may succeed later without anybody doing something.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::OutOfMemory { .. })
    }

    /// One thing to do about it.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::NotInstalled { .. } => {
                "run `make engine`, or set `CTRANSLATE2_ROOT` to a folder with the engine's `lib`"
            }
            Self::Unusable { .. } => "run `make engine` on this machine; the engine needs glibc 2.28 or newer",
            Self::WrongVersion { .. } => "run `make engine` with the sources of this program",
            Self::MissingFile { .. } => "check the model's folder, or fetch it again",
            Self::ReadFile { .. } => "check the volume that holds the model",
            Self::InvalidModel { .. } => "fetch the model again; it must be a folder in CTranslate2's format",
            Self::UnsupportedComputeType { .. } => "choose `default`, `int8` or `float32`",
            Self::NoGpu { .. } => "run on the CPU, or check the driver with `nvidia-smi`",
            Self::Cuda { reason } if reason.contains("libcublas") => {
                "install cuBLAS 12, as in the package `nvidia-cublas-cu12`, where the loader finds it"
            }
            Self::Cuda { .. } => "check the driver with `nvidia-smi`, or run on the CPU",
            Self::OutOfMemory { .. } => "give more memory, choose `int8`, or send smaller batches",
            Self::InvalidInput { .. } | Self::Failed { .. } => return None,
        };
        Some(Cow::Borrowed(hint))
    }
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| format!("`{}`", folder.display())).collect::<Vec<_>>().join(", ")
}
