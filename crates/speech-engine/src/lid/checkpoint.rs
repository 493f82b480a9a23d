//! The tensors of a folder with safetensors files: where they are, not what is in them.
//!
//! A file starts with the length of its header in 8 bytes and the header, JSON that gives each tensor's type, shape
//! and place. Data is read from its place when it is wanted, so that no second copy of a model is in memory.
//!
//! Source: the format's description at <https://github.com/huggingface/safetensors>.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::error::Error;
use crate::lid::config::read_json;

/// Bounds of what is read before any tensor: MMS with 48 layers has a header of 90 kB and, sharded, a few files.
const MAX_HEADER_BYTES: u64 = 4 << 20;
const MAX_FILES: usize = 256;
const MAX_NAME_BYTES: usize = 255;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The float types that weights come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FloatType {
    F32,
    F16,
    Bf16,
}

impl FloatType {
    /// Bytes of a number.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// A tensor of floats in a file.
#[derive(Debug, Clone)]
pub(super) struct TensorPlace {
    file: Arc<File>,
    /// First byte in the file.
    offset: u64,
    pub(super) float_type: FloatType,
    pub(super) shape: Vec<u64>,
    /// Numbers in it.
    pub(super) count: u64,
}

impl TensorPlace {
    /// Fills `bytes` with the tensor's bytes from byte `from` on; they must be within the tensor.
    pub(super) fn read_at(&self, bytes: &mut [u8], from: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, self.offset + from)
    }

    /// The numbers `from..from + count` as 32-bit floats.
    pub(super) fn numbers(&self, from: u64, count: usize) -> io::Result<Vec<f32>> {
        let size = self.float_type.size();
        let mut bytes = vec![0; count * size as usize];
        self.read_at(&mut bytes, from * size)?;
        let halves = || bytes.as_chunks().0.iter().map(|half| u16::from_le_bytes(*half));
        Ok(match self.float_type {
            FloatType::F32 => bytes.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)).collect(),
            FloatType::F16 => halves().map(widen_half).collect(),
            FloatType::Bf16 => halves().map(|half| f32::from_bits(u32::from(half) << 16)).collect(),
        })
    }
}

/// The value of a half-precision float, exactly.
fn widen_half(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(half >> 10 & 0x1f), u32::from(half & 0x3ff));
    let magnitude = match exponent {
        // Zero and subnormal numbers are multiples of 2^-24.
        0 => (fraction as f32 * 2.0_f32.powi(-24)).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// All tensors of floats of a folder, by name.
#[derive(Debug)]
pub(super) struct Checkpoint {
    folder: PathBuf,
    tensors: HashMap<String, (TensorPlace, Arc<str>)>,
}

#[derive(Debug, Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Checkpoint {
    /// Reads the headers of the folder's safetensors files: of the single file, or else of those that its index names.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let mut checkpoint = Self { folder: folder.to_owned(), tensors: HashMap::new() };
        if folder.join(SINGLE).exists() {
            checkpoint.add(SINGLE)?;
            return Ok(checkpoint);
        }
        let path = folder.join(INDEX);
        let Some(index) = read_json::<Index>(&path)? else {
            let pickles = folder.join("pytorch_model.bin").exists();
            let problem = if pickles { "it is not there: pickles are not read" } else { "it is not there" };
            return Err(Error::model_file(folder.join(SINGLE), problem));
        };
        let mut files: Vec<&String> = index.weight_map.values().collect();
        files.sort_unstable();
        files.dedup();
        if files.len() > MAX_FILES {
            return Err(Error::model_file(path, format!("it names more than {MAX_FILES} files")));
        }
        // A name goes into messages too, so it must not move the cursor of a terminal.
        let is_plain = |file: &str| {
            !file.is_empty()
                && file.len() <= MAX_NAME_BYTES
                && !file.starts_with('.')
                && !file.contains(['/', '\\'])
                && !file.contains(char::is_control)
        };
        if !files.iter().all(|file| is_plain(file)) {
            return Err(Error::model_file(path, "it names a file that is not in the folder"));
        }
        for file in files {
            checkpoint.add(file)?;
        }
        for (name, file) in &index.weight_map {
            if checkpoint.tensors.get(name).is_some_and(|(_, place)| **place != **file) {
                return Err(Error::model_file(path, "it places a tensor in another file than the one that has it"));
            }
        }
        Ok(checkpoint)
    }

    /// Adds the tensors of the file `name`.
    fn add(&mut self, name: &str) -> Result<(), Error> {
        let path = self.folder.join(name);
        let unreadable = |error: io::Error| Error::ModelFile {
            file: path.clone(),
            problem: "it cannot be read".into(),
            source: Some(error.into()),
        };
        let damaged = |problem: &'static str| Error::model_file(path.clone(), problem);
        let file = Arc::new(File::open(&path).map_err(unreadable)?);
        let length = file.metadata().map_err(unreadable)?.len();
        let mut prefix = [0; 8];
        file.read_exact_at(&mut prefix, 0).map_err(unreadable)?;
        let header_length = u64::from_le_bytes(prefix);
        let data_start = header_length.checked_add(8).filter(|start| *start <= length);
        let data_start = data_start.ok_or_else(|| damaged("its header is longer than the file"))?;
        if header_length > MAX_HEADER_BYTES {
            return Err(damaged("its header is too long"));
        }
        let mut header = vec![0; header_length as usize];
        file.read_exact_at(&mut header, 8).map_err(unreadable)?;
        let entries: HashMap<String, serde_json::Value> = serde_json::from_slice(&header).map_err(|error| {
            Error::ModelFile { file: path.clone(), problem: "its header is damaged".into(), source: Some(error.into()) }
        })?;
        drop(header);
        let origin: Arc<str> = name.into();
        for (tensor, entry) in entries {
            if tensor == "__metadata__" {
                continue;
            }
            let entry: Entry = serde_json::from_value(entry).map_err(|error| Error::ModelFile {
                file: path.clone(),
                problem: "its header has a tensor without type, shape or place".into(),
                source: Some(error.into()),
            })?;
            let float_type = match entry.dtype.as_str() {
                "F32" => FloatType::F32,
                "F16" => FloatType::F16,
                "BF16" => FloatType::Bf16,
                // A model that wants such a tensor will miss it.
                _ => continue,
            };
            let [start, end] = entry.data_offsets;
            let count = entry.shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size));
            let bytes = count.and_then(|count| count.checked_mul(float_type.size()));
            if start > end || end > length - data_start || bytes != Some(end - start) {
                return Err(damaged("a tensor's place does not fit its shape or the file"));
            }
            let place = TensorPlace {
                file: Arc::clone(&file),
                offset: data_start + start,
                float_type,
                shape: entry.shape,
                count: (end - start) / float_type.size(),
            };
            if self.tensors.insert(tensor, (place, Arc::clone(&origin))).is_some() {
                return Err(damaged("it has a tensor that another file has too"));
            }
        }
        Ok(())
    }

    /// Whether there is a tensor `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The tensor `name`, which must have the shape `shape`.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<TensorPlace, Error> {
        let Some((place, file)) = self.tensors.get(name) else {
            return Err(Error::model_file(self.folder.clone(), format!("it has no float tensor `{name}`")));
        };
        if !place.shape.iter().copied().eq(shape.iter().map(|size| *size as u64)) {
            let problem = format!(
                "tensor `{name}` has the shape {:?} instead of {shape:?}",
                &place.shape[..place.shape.len().min(8)]
            );
            return Err(Error::model_file(self.folder.join(&**file), problem));
        }
        Ok(place.clone())
    }

    /// The error of a tensor whose numbers cannot be read.
    pub(super) fn unreadable(&self, error: io::Error) -> Error {
        Error::ModelFile {
            file: self.folder.clone(),
            problem: "a tensor cannot be read".into(),
            source: Some(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn open(files: &[(&str, Vec<u8>)]) -> Result<Checkpoint, Error> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        Checkpoint::open(folder.path())
    }

    #[track_caller]
    fn refused(files: &[(&str, Vec<u8>)], problem: &str) {
        let error = open(files).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }

    #[test]
    fn numbers_of_every_type_widen_exactly() {
        let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
            "b":{"dtype":"F16","shape":[2,2],"data_offsets":[8,16]},
            "c":{"dtype":"BF16","shape":[],"data_offsets":[16,18]},
            "d":{"dtype":"I64","shape":[1],"data_offsets":[18,26]},"__metadata__":{"format":"pt"}}"#;
        let mut data: Vec<u8> = [1.5_f32, -2.25].iter().flat_map(|value| value.to_le_bytes()).collect();
        data.extend([0x3c00_u16, 0xc000, 0x0001, 0x7bff].iter().flat_map(|half| half.to_le_bytes()));
        data.extend(0x3fc0_u16.to_le_bytes());
        data.extend([0; 8]);
        let checkpoint = open(&[(SINGLE, safetensors(header, &data))]).unwrap();
        let numbers = |name, shape: &[usize]| {
            let tensor = checkpoint.tensor(name, shape).unwrap();
            tensor.numbers(0, tensor.count as usize).unwrap()
        };
        assert_eq!(numbers("a", &[2]), [1.5, -2.25]);
        assert_eq!(numbers("b", &[2, 2]), [1.0, -2.0, 2.0_f32.powi(-24), 65504.0]);
        assert_eq!(numbers("c", &[]), [1.5]);
        assert!(!checkpoint.has("d"));
        let error = checkpoint.tensor("a", &[1, 2]).unwrap_err().to_string();
        assert!(error.contains("[2] instead of [1, 2]"), "{error}");
    }

    #[test]
    fn halves_that_are_not_numbers_stay_so() {
        assert!(widen_half(0x7e00).is_nan());
        assert_eq!(widen_half(0xfc00), f32::NEG_INFINITY);
        assert_eq!(widen_half(0x0400), 2.0_f32.powi(-14));
        assert_eq!(widen_half(0x8000).to_bits(), (-0.0_f32).to_bits());
    }

    #[test]
    fn places_outside_the_file_are_refused() {
        let one = |offsets: &str, shape: &str| {
            let header = format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#);
            vec![(SINGLE, safetensors(&header, &[0; 8]))]
        };
        assert!(open(&one("[0,8]", "[2]")).is_ok());
        refused(&one("[0,12]", "[3]"), "does not fit");
        refused(&one("[0,8]", "[3]"), "does not fit");
        refused(&one("[8,0]", "[2]"), "does not fit");
        refused(&one("[0,8]", "[4611686018427387904,4]"), "does not fit");
        refused(&[(SINGLE, vec![0; 4])], "cannot be read");
        refused(&[(SINGLE, u64::MAX.to_le_bytes().to_vec())], "longer than the file");
        refused(&[(SINGLE, safetensors("{", &[]))], "header is damaged");
        refused(&[], "it is not there");
        refused(&[("pytorch_model.bin", vec![])], "pickles");
    }

    #[test]
    fn shards_are_read_through_their_index() {
        let shard = |name: &str| {
            safetensors(&format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#), &[0; 4])
        };
        let index = |text: &str| (INDEX, text.as_bytes().to_vec());
        let files = |text| vec![("one", shard("a")), ("two", shard("b")), index(text)];
        let checkpoint = open(&files(r#"{"weight_map":{"a":"one","b":"two"}}"#)).unwrap();
        assert!(checkpoint.has("a") && checkpoint.has("b"));
        refused(&files(r#"{"weight_map":{"a":"two","b":"one"}}"#), "another file");
        refused(&files(r#"{"weight_map":{"a":"../one"}}"#), "not in the folder");
        refused(&files(r#"{"weight_map":{"a":"\u007fone"}}"#), "not in the folder");
        refused(&files(r#"{"weight_map":{"a":"three"}}"#), "cannot be read");
        let twice = vec![("one", shard("a")), ("two", shard("a")), index(r#"{"weight_map":{"a":"one","b":"two"}}"#)];
        refused(&twice, "another file has too");
    }
}
