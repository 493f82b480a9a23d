//! A copy of a model's weights in the number format in which they are computed.
//!
//! Whisper models are mostly saved in 16-bit floats, and the engine converts them at each load: to 32 bits, or to
//! 8-bit integers with a scale for each row. [`prepare`] does the same once and writes a `model.bin` that loads
//! without conversion, half the size for `int8`. Results are bit for bit those of converting at load: every number
//! goes through the same roundings (`quantize`), and which variables are converted follows
//! `Model::set_compute_type` in CTranslate2's `src/models/model.cc`.
//!
//! The folder of a prepared copy, which the caller chooses, holds
//! - `model.bin`: the weights. The model's other files are not copied; [`Prepared::files`] joins the two folders.
//! - `prepared.json`: digests of both files of weights, the number format and the version of the engine. It is written
//!   last and removed first, so that it never describes another file than the one beside it. After a crash at worst
//!   it is missing: then there is no prepared copy.
//!
//! A prepared copy must be loaded with its own compute type ([`Prepared::compute_type`]): with `default` the engine
//! would guess from variables of mixed types.

mod convert;
mod error;
mod format;
mod quantize;
mod record;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use speech_flow_ctranslate2::{ComputeType, Device, ModelConfig, ModelFile, ModelFiles};

pub use error::PrepareError;
use format::{DataType, Layout, Trouble};

/// Name of the weights in both folders.
const WEIGHTS: &str = "model.bin";
/// Name of the record beside the prepared weights.
const RECORD: &str = "prepared.json";

/// Prepared weights and where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    folder: PathBuf,
    /// The number format of the weights. Load them with it.
    pub compute_type: ComputeType,
    /// SHA-256 of the prepared `model.bin`, in hexadecimal.
    pub digest: String,
    /// Bytes of the prepared `model.bin`.
    pub bytes: u64,
    /// SHA-256 of the `model.bin` that it was made from, in hexadecimal.
    pub source_digest: String,
}

/// Writes the weights of the model in `folder`, converted to `compute_type`, into `out_folder`, and takes the place of
/// what was prepared there before. Blocking; it takes seconds for a large model and a few megabytes of memory.
///
/// `int8` means `int8_float32`, as it does on a CPU.
///
/// # Errors
///
/// [`PrepareError`]. Nothing is lost by any of them: the model loads without a prepared copy.
pub fn prepare(folder: &Path, out_folder: &Path, compute_type: ComputeType) -> Result<Prepared, PrepareError> {
    let compute_type = if compute_type == ComputeType::Int8 { ComputeType::Int8Float32 } else { compute_type };
    let target = convert::Target::of(compute_type)?;
    let path = folder.join(WEIGHTS);
    let read_error = |source| PrepareError::Read { path: path.clone(), source };
    refuse_other_quantization(folder)?;

    let mut source = BufReader::with_capacity(1 << 16, File::open(&path).map_err(read_error)?);
    let length = source.get_ref().metadata().map_err(read_error)?.len();
    let layout = format::read(&mut source, length).map_err(|trouble| error::of_trouble(&path, trouble))?;
    let plan =
        convert::plan(&layout, target).map_err(|problem| PrepareError::Unsupported { path: path.clone(), problem })?;

    std::fs::create_dir_all(out_folder)
        .map_err(|source| PrepareError::Write { path: out_folder.to_owned(), source })?;
    record::remove(out_folder)?;
    let written = convert::write(&path, source.get_mut(), &layout, &plan, &out_folder.join(WEIGHTS))?;
    let prepared = Prepared {
        folder: out_folder.to_owned(),
        compute_type,
        digest: written.digest,
        bytes: written.bytes,
        source_digest: record::digest(&path)?,
    };
    record::write(&prepared)?;
    Ok(prepared)
}

impl Prepared {
    /// The prepared weights in `folder`, if there are any and they are for this version of the engine. The weights are
    /// not read: see [`Prepared::verify`].
    ///
    /// # Errors
    ///
    /// [`PrepareError::Read`] where the folder cannot be read.
    pub fn find(folder: &Path) -> Result<Option<Self>, PrepareError> {
        record::read(folder)
    }

    /// As [`Prepared::find`], of the `model.bin` whose SHA-256 is `source_digest` and of no other.
    ///
    /// # Errors
    ///
    /// As [`Prepared::find`].
    pub fn of(folder: &Path, source_digest: &str) -> Result<Option<Self>, PrepareError> {
        Ok(Self::find(folder)?.filter(|found| found.source_digest == source_digest))
    }

    /// How these weights are loaded where `asked` is wanted; `None` where they are for another device.
    pub fn config(&self, asked: &ModelConfig) -> Option<ModelConfig> {
        // A GPU computes `int8` with other floats than the processor, for which it was prepared.
        let fits = asked.device == Device::Cpu || self.compute_type == asked.compute_type;
        fits.then(|| ModelConfig { compute_type: self.compute_type, ..asked.clone() })
    }

    /// Reads the weights and compares them with the digest.
    ///
    /// # Errors
    ///
    /// [`PrepareError::Changed`] where they differ, [`PrepareError::Read`].
    pub fn verify(&self) -> Result<(), PrepareError> {
        let path = self.folder.join(WEIGHTS);
        if record::digest(&path)? == self.digest { Ok(()) } else { Err(PrepareError::Changed { path }) }
    }

    /// The files to load: the prepared weights, and the others of `model_folder`.
    pub fn files(&self, model_folder: &Path) -> PreparedFiles {
        PreparedFiles { weights: self.folder.clone(), others: model_folder.to_owned() }
    }
}

/// A model whose weights are in another folder than the rest.
#[derive(Debug, Clone)]
pub struct PreparedFiles {
    weights: PathBuf,
    others: PathBuf,
}

impl ModelFiles for PreparedFiles {
    fn open(&self, name: &str) -> io::Result<Option<ModelFile>> {
        if name == WEIGHTS { self.weights.open(name) } else { self.others.open(name) }
    }

    fn name(&self) -> String {
        format!("{} (weights of {})", self.others.display(), self.weights.display())
    }
}

/// What a `model.bin` holds, by its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Name of the specification, such as `WhisperSpec`.
    pub specification: String,
    /// Number of variables.
    pub variables: usize,
    /// Whether the weights are saved as integers.
    pub is_quantized: bool,
}

/// Reads the headers of a `model.bin` of `length` bytes, without its weights.
///
/// # Errors
///
/// [`PrepareError::Read`], [`PrepareError::Invalid`]; `path` is only for the message.
pub fn inspect(path: &Path, mut file: impl Read + Seek, length: u64) -> Result<Contents, PrepareError> {
    let layout: Layout =
        format::read(&mut file, length).map_err(|trouble: Trouble| error::of_trouble(path, trouble))?;
    let is_integer = |data_type| matches!(data_type, DataType::Int8 | DataType::Int16);
    Ok(Contents {
        specification: layout.specification.escape_ascii().to_string(),
        variables: layout.variables.len(),
        is_quantized: layout
            .variables
            .iter()
            .any(|variable| variable.name.ends_with(b"weight") && is_integer(variable.data_type)),
    })
}

/// Models quantized by AWQ say so in `config.json`, and the engine does not convert them.
fn refuse_other_quantization(folder: &Path) -> Result<(), PrepareError> {
    let path = folder.join("config.json");
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(PrepareError::Read { path, source }),
    };
    let config: serde_json::Value = serde_json::from_slice(&text).map_err(|error| PrepareError::Invalid {
        path: path.clone(),
        position: 0,
        problem: error.to_string(),
    })?;
    match config.get("quantization_type") {
        None => Ok(()),
        Some(kind) if kind == &serde_json::json!(0) => Ok(()),
        Some(kind) => Err(PrepareError::Unsupported { path, problem: format!("`quantization_type` is {kind}") }),
    }
}
