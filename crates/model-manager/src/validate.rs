//! Does a folder hold a model of its kind that can load?
//!
//! Only headers and small files are read: a model of 3 GB is checked in milliseconds. That every byte is the
//! right one is the work of `verify`; this stage finds what is truncated, misnamed or does not fit together,
//! also in a folder that no hub vouches for. Files are untrusted: every length and count is bounded.
//!
//! **Invariant:** pickled weights are never accepted as the weights of a model; content decides, not the name.

pub mod ctranslate2;
mod invalid;
mod json;
mod memory;
mod memory_need;
pub mod safetensors;
pub mod sniff;
mod transformers;
mod whisper;

use std::fs::File;
use std::path::{Path, PathBuf};

use speech_flow_model_types::{ModelKind, RelPath};

pub use invalid::{Invalid, Problem};
pub use json::{count_labels, count_tokenizer, count_vocabulary};
pub use memory::{Fingerprint, remembered, validate_remembered};
pub use memory_need::{MemoryNeed, MemorySettings, memory_need};
pub use safetensors::check_index;

use sniff::Lookalike;

/// A folder that holds a model that can load.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Validated {
    /// What the model is for.
    pub kind: ModelKind,
    /// What the files say about it.
    pub details: Details,
}

/// What the files of a model say about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Details {
    /// The architecture, such as `Wav2Vec2ForSequenceClassification` or `WhisperSpec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Labels that a classifier tells apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<u64>,
    /// Mel bins that the model hears.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_mels: Option<u64>,
    /// Number format of most of the weights, such as `float16` or `F32`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    /// Tensors in the weights.
    pub tensors: u64,
    /// Bytes of the files that hold the weights.
    pub weight_bytes: u64,
    /// Entries of the tokenizer's or model's vocabulary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<u64>,
}

/// Most files that a model's folder may hold at its top.
const MAX_FILES: usize = 10_000;

/// Checks that the folder holds a model of the kind, or of the kind that its files suggest.
///
/// # Errors
/// [`Invalid`] names the first file that is missing or wrong, and what is wrong with it.
pub fn validate(folder: &Path, kind: Option<ModelKind>) -> Result<Validated, Invalid> {
    let model = Folder::list(folder)?;
    let kind = kind.unwrap_or_else(|| ModelKind::detect(&model.names));
    let details = match kind {
        ModelKind::Whisper => whisper::check(&model)?,
        ModelKind::LanguageId => transformers::check_language_id(&model)?,
        ModelKind::Transformers => transformers::check(&model)?,
        ModelKind::Other => transformers::check_other(&model)?,
    };
    Ok(Validated { kind, details })
}

/// A folder and the files at its top.
struct Folder {
    path: PathBuf,
    /// Sorted.
    names: Vec<RelPath>,
}

impl Folder {
    fn list(folder: &Path) -> Result<Self, Invalid> {
        let unreadable = |source| Invalid::new(".", Problem::Unreadable(source));
        let mut names = Vec::new();
        for entry in folder.read_dir().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse::<RelPath>().ok()) else { continue };
            // Follows the link: a dangling one is found when the file is needed, a folder is none of ours.
            if entry.path().is_dir() {
                continue;
            }
            if names.len() == MAX_FILES {
                return Err(Invalid::wrong(".", format!("holds more than {MAX_FILES} files")));
            }
            names.push(name);
        }
        names.sort();
        Ok(Self { path: folder.to_owned(), names })
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|other| other.as_str() == name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(RelPath::as_str)
    }

    /// Opens a file that has to be there, and refuses what is no model file at all.
    ///
    /// A pickle is for the caller to judge: `training_args.bin` beside a model is nobody's business.
    fn open(&self, name: &str) -> Result<Opened, Invalid> {
        let unreadable = |error: std::io::Error| {
            let absent = error.kind() == std::io::ErrorKind::NotFound;
            Invalid::new(name, if absent { Problem::Missing } else { Problem::Unreadable(error) })
        };
        let path = self.path.join(name);
        // A pipe would block the open, and a device is no file of a model.
        let metadata = path.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(Invalid::wrong(name, "is no regular file"));
        }
        let mut file = File::open(&path).map_err(unreadable)?;
        let lookalike = sniff::sniff_file(&mut file, metadata.len()).map_err(unreadable)?;
        Ok(Opened { file, len: metadata.len(), lookalike })
    }

    /// Opens weights: a pickle under their name is refused.
    fn open_weights(&self, name: &str) -> Result<Opened, Invalid> {
        let opened = self.open(name)?;
        match opened.lookalike {
            Some(lookalike) => Err(Invalid::new(name, Problem::Lookalike(lookalike))),
            None => Ok(opened),
        }
    }
}

/// A file of the model, at its start.
struct Opened {
    file: File,
    len: u64,
    /// What it is instead of a model's file.
    lookalike: Option<Lookalike>,
}

#[cfg(test)]
mod tests;
