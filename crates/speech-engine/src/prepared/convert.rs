//! Which variables become what, and the writing of them.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use speech_flow_ctranslate2::ComputeType;

use super::PrepareError;
use super::format::{self, DataType, Layout, VERSION, Variable};
use super::quantize::{row_to_int8, to_f32};
use super::record::{Staged, hexadecimal};

/// The longest row of a matrix. The widest of Whisper has 5,120 numbers.
const MAX_ROW: u32 = 1 << 20;
/// Bytes that are converted at once, at least a row.
const CHUNK: u64 = 1 << 18;

/// The types of a compute type. Source: `compute_type_to_data_type` in CTranslate2's `src/types.cc`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    weights: DataType,
    others: DataType,
}

impl Target {
    pub(super) fn of(compute_type: ComputeType) -> Result<Self, PrepareError> {
        let (weights, others) = match compute_type {
            ComputeType::Float32 => (DataType::Float32, DataType::Float32),
            ComputeType::Float16 => (DataType::Float16, DataType::Float16),
            ComputeType::Int8Float32 => (DataType::Int8, DataType::Float32),
            ComputeType::Int8Float16 => (DataType::Int8, DataType::Float16),
            other => return Err(PrepareError::ComputeType(other)),
        };
        Ok(Self { weights, others })
    }
}

/// What becomes of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Copy,
    /// From a 16-bit to a 32-bit float.
    Widen,
    /// To 8-bit rows, with a variable of scales after it.
    Quantize,
}

/// Decides for each variable, or says what is not understood.
///
/// Source: `Model::set_compute_type`, `is_quantizable` and `is_convertible` in CTranslate2's `src/models/model.cc`. The
/// kernels of convolutions stay floats here; a build that quantizes them too does it at load, from the same floats.
pub(super) fn plan(layout: &Layout, target: Target) -> Result<Vec<Step>, String> {
    if layout.specification != b"WhisperSpec" {
        return Err(format!("it is of `{}`, not `WhisperSpec`", layout.specification.escape_ascii()));
    }
    let aliases = layout.aliases.iter().map(|(alias, _)| alias);
    let names: HashSet<&Vec<u8>> = layout.variables.iter().map(|variable| &variable.name).chain(aliases).collect();
    layout
        .variables
        .iter()
        .map(|variable| {
            let step = step(variable, target)?;
            if step == Step::Quantize && (variable.name.len() > 60_000 || names.contains(&scale_name(variable))) {
                return Err(format!("`{}` has scales already", variable.name.escape_ascii()));
            }
            if step == Step::Widen && variable.len() * 4 > u32::MAX.into() {
                return Err(format!("`{}` would be larger than 4 GiB", variable.name.escape_ascii()));
            }
            Ok(step)
        })
        .collect()
}

fn step(variable: &Variable, target: Target) -> Result<Step, String> {
    let refuse = |problem: &str| Err(format!("`{}` {problem}", variable.name.escape_ascii()));
    let contains = |part: &[u8]| variable.name.windows(part.len()).any(|window| window == part);
    if !variable.name.ends_with(b"weight") {
        // Attributes, scales and integers stay as they are.
        let stays = variable.dimensions.is_empty() || contains(b"_scale") || !variable.data_type.is_float();
        return if stays { Ok(Step::Copy) } else { convert(variable, target.others) };
    }
    if !variable.data_type.is_float() {
        return refuse("is quantized already");
    }
    match (contains(b"conv"), &variable.dimensions[..]) {
        (true, [_, _, _]) => convert(variable, target.others),
        (false, [_, width]) if target.weights == DataType::Int8 && *width <= MAX_ROW => Ok(Step::Quantize),
        (false, [_, _]) if target.weights != DataType::Int8 => convert(variable, target.weights),
        _ => refuse("has another shape than a weight"),
    }
}

/// Only conversions without rounding.
fn convert(variable: &Variable, to: DataType) -> Result<Step, String> {
    match (variable.data_type, to) {
        (from, to) if from == to => Ok(Step::Copy),
        (DataType::Float16 | DataType::Bfloat16, DataType::Float32) => Ok(Step::Widen),
        (from, to) => Err(format!("`{}` would be rounded from {from:?} to {to:?}", variable.name.escape_ascii())),
    }
}

fn scale_name(variable: &Variable) -> Vec<u8> {
    [&variable.name[..], b"_scale"].concat()
}

/// A file that was written.
pub(super) struct Written {
    pub(super) digest: String,
    pub(super) bytes: u64,
}

/// Converts the file at `source_path`, open as `source`, into `path`.
pub(super) fn write(
    source_path: &Path,
    source: &mut File,
    layout: &Layout,
    plan: &[Step],
    path: &Path,
) -> Result<Written, PrepareError> {
    let write_error = |source| PrepareError::Write { path: path.to_owned(), source };
    let staged = Staged::new(path).map_err(write_error)?;
    let written = fill(source, layout, plan, &staged.file).map_err(|trouble| match trouble {
        Trouble::Read(source) => PrepareError::Read { path: source_path.to_owned(), source },
        Trouble::Write(source) => write_error(source),
        Trouble::Scale(name) => PrepareError::Unsupported {
            path: source_path.to_owned(),
            problem: format!("`{name}` has a row without a finite scale"),
        },
    })?;
    staged.publish().map_err(write_error)?;
    Ok(written)
}

/// Writes all of the file.
fn fill(source: &mut File, layout: &Layout, plan: &[Step], file: &File) -> Result<Written, Trouble> {
    let mut out = Output { file: BufWriter::with_capacity(1 << 20, file), hash: Sha256::new(), bytes: 0 };
    let scales = plan.iter().filter(|step| **step == Step::Quantize).count();
    out.head(layout, scales).map_err(Trouble::Write)?;
    for (variable, step) in layout.variables.iter().zip(plan) {
        one(source, variable, *step, &mut out)?;
    }
    out.tail(layout).map_err(Trouble::Write)?;
    Ok(Written { digest: hexadecimal(out.hash), bytes: out.bytes })
}

enum Trouble {
    Read(io::Error),
    Write(io::Error),
    /// The variable of this name has a row without one.
    Scale(String),
}

/// Writes one variable, chunk after chunk, and its scales if it has any.
fn one(source: &mut File, variable: &Variable, step: Step, out: &mut Output<'_>) -> Result<(), Trouble> {
    let (data_type, size) = match step {
        Step::Copy => (variable.data_type, variable.bytes()),
        Step::Widen => (DataType::Float32, variable.len() * 4),
        Step::Quantize => (DataType::Int8, variable.len()),
    };
    let size = u32::try_from(size).map_err(|_| Trouble::Write(io::ErrorKind::FileTooLarge.into()))?;
    out.put(&format::header(&variable.name, &variable.dimensions, data_type, size)).map_err(Trouble::Write)?;

    // A whole number of rows where rows matter.
    let width = variable.dimensions.last().map_or(1, |width| *width as usize);
    let row = if step == Step::Quantize { width as u64 * variable.data_type.size() } else { variable.data_type.size() };
    let mut left = variable.bytes();
    let mut bytes = vec![0; usize::try_from(left.min(CHUNK.max(row) / row * row)).unwrap_or(0)];
    let (mut floats, mut converted, mut scales) = (Vec::new(), Vec::new(), Vec::new());
    source.seek(SeekFrom::Start(variable.offset)).map_err(Trouble::Read)?;
    while left > 0 {
        let count = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let chunk = &mut bytes[..count];
        source.read_exact(chunk).map_err(Trouble::Read)?;
        left -= count as u64;
        if step == Step::Copy {
            out.put(chunk).map_err(Trouble::Write)?;
            continue;
        }
        to_f32(chunk, variable.data_type, &mut floats);
        converted.clear();
        if step == Step::Widen {
            converted.extend(floats.iter().flat_map(|value| value.to_le_bytes()));
        } else {
            for row in floats.chunks_exact(width) {
                scales.push(
                    row_to_int8(row, &mut converted)
                        .ok_or_else(|| Trouble::Scale(variable.name.escape_ascii().to_string()))?,
                );
            }
        }
        out.put(&converted).map_err(Trouble::Write)?;
    }
    if step == Step::Quantize {
        let payload: Vec<u8> = scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
        let rows = u32::try_from(scales.len()).unwrap_or(u32::MAX);
        let size = u32::try_from(payload.len()).map_err(|_| Trouble::Write(io::ErrorKind::FileTooLarge.into()))?;
        let header = format::header(&scale_name(variable), &[rows], DataType::Float32, size);
        out.put(&[header, payload].concat()).map_err(Trouble::Write)?;
    }
    Ok(())
}

/// The file that is written, with its digest.
struct Output<'a> {
    file: BufWriter<&'a File>,
    hash: Sha256,
    bytes: u64,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn head(&mut self, layout: &Layout, scales: usize) -> io::Result<()> {
        let variables = u32::try_from(layout.variables.len() + scales).map_err(io::Error::other)?;
        self.put(&VERSION.to_le_bytes())?;
        self.put(&format::text(&layout.specification))?;
        self.put(&layout.revision.to_le_bytes())?;
        self.put(&variables.to_le_bytes())
    }

    fn tail(&mut self, layout: &Layout) -> io::Result<()> {
        self.put(&u32::try_from(layout.aliases.len()).map_err(io::Error::other)?.to_le_bytes())?;
        for (alias, name) in &layout.aliases {
            self.put(&[format::text(alias), format::text(name)].concat())?;
        }
        self.file.flush()
    }
}
