//! The header of a safetensors file and the index of a sharded model, without the data.
//!
//! A `u64` length, that many bytes of JSON (a map of tensors, each with type, shape and offsets into the
//! data, and perhaps `__metadata__`), then the data. The offsets have to cover the data without a gap.
//! Source: the README of `huggingface/safetensors`, "Format"; `MAX_HEADER_SIZE` in its `tensor.rs` is
//! 100 MB, the Python client refuses more than 25 MB, and so do we.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{self, Read};

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::json::Object;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafetensorsHeader {
    /// The tensors, sorted by where their data begins.
    pub tensors: Vec<Tensor>,
    /// Bytes of the data.
    pub data_bytes: u64,
}

/// One tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its number format, such as `F32`.
    pub dtype: String,
    /// Its dimensions.
    pub shape: Vec<u64>,
    /// Where its data begins and ends, from the start of all data.
    pub data: (u64, u64),
}

/// The bytes are no safetensors file, or not all of one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SafetensorsError {
    /// The length of the header makes no sense.
    #[error("its header would have {header} bytes; the file has {len}, and a header at most {MAX_HEADER}")]
    HeaderLength {
        /// The length that the file claims.
        header: u64,
        /// Length of the file.
        len: u64,
    },
    /// The header is not JSON of the right shape.
    #[error("its header is malformed: {0}")]
    Header(String),
    /// A tensor's numbers contradict each other.
    #[error("tensor {name:?} {what}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// The file is shorter or longer than its header says.
    #[error("its header describes {expected} bytes, but the file has {len}{}", if len < expected { ": it is truncated" } else { "" })]
    Length {
        /// Length that the header describes.
        expected: u64,
        /// Length of the file.
        len: u64,
    },
    /// The file cannot be read.
    #[error("it cannot be read")]
    Io(#[source] io::Error),
}

/// Longest header. Source: `SAFETENSORS_MAX_HEADER_LENGTH` in `huggingface_hub/constants.py`.
pub const MAX_HEADER: u64 = 25_000_000;
/// Highest rank of a tensor that is read.
const MAX_RANK: usize = 32;

impl SafetensorsHeader {
    /// The tensor of a name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// The number format that most of the bytes are in.
    pub fn main_type(&self) -> Option<&str> {
        let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
        for tensor in &self.tensors {
            *bytes.entry(&tensor.dtype).or_default() += tensor.data.1 - tensor.data.0;
        }
        bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(dtype, _)| dtype)
    }
}

/// Reads and checks a header. `len` is the length of the whole file.
///
/// # Errors
/// [`SafetensorsError`] says what is wrong.
pub fn read_header(mut source: impl Read, len: u64) -> Result<SafetensorsHeader, SafetensorsError> {
    let mut prefix = [0; 8];
    if len < prefix.len() as u64 {
        return Err(SafetensorsError::HeaderLength { header: 0, len });
    }
    source.read_exact(&mut prefix).map_err(SafetensorsError::Io)?;
    let header = u64::from_le_bytes(prefix);
    if !(2..=MAX_HEADER.min(len - 8)).contains(&header) {
        return Err(SafetensorsError::HeaderLength { header, len });
    }
    let mut text = Vec::new();
    source.take(header).read_to_end(&mut text).map_err(SafetensorsError::Io)?;
    if text.len() as u64 != header {
        return Err(SafetensorsError::Length { expected: 8 + header, len: 8 + text.len() as u64 });
    }
    let tensors = parse_header(&text)?;
    let data_bytes = check_coverage(&tensors)?;
    // Both are far below u64::MAX: the header is bounded, and the sum of all data is checked.
    let expected = data_bytes.saturating_add(8 + header);
    if expected != len {
        return Err(SafetensorsError::Length { expected, len });
    }
    Ok(SafetensorsHeader { tensors, data_bytes })
}

/// The tensors of a header, sorted by where their data begins.
fn parse_header(text: &[u8]) -> Result<Vec<Tensor>, SafetensorsError> {
    let malformed = |error: serde_json::Error| SafetensorsError::Header(error.to_string());
    if text.first() != Some(&b'{') {
        return Err(SafetensorsError::Header("it does not begin with `{`".to_owned()));
    }
    let Entries(entries) = serde_json::from_slice(text).map_err(malformed)?;
    let mut tensors = Vec::with_capacity(entries.len());
    for (name, WireTensor { dtype, shape, data_offsets: [begin, end] }) in entries {
        let tensor = Tensor { name, dtype, shape, data: (begin, end) };
        tensor.check()?;
        tensors.push(tensor);
    }
    tensors.sort_by(|a, b| a.data.cmp(&b.data).then_with(|| a.name.cmp(&b.name)));
    let mut names = HashSet::with_capacity(tensors.len());
    match tensors.iter().find(|tensor| !names.insert(tensor.name.as_str())) {
        Some(twice) => Err(twice.wrong("stands in the header twice")),
        None => Ok(tensors),
    }
}

/// Checks that the tensors lie end to end, and gives the length of their data.
fn check_coverage(tensors: &[Tensor]) -> Result<u64, SafetensorsError> {
    let mut covered = 0;
    for tensor in tensors {
        let (begin, end) = tensor.data;
        if begin != covered {
            return Err(tensor.wrong(format!("begins at byte {begin} of the data, not at {covered}")));
        }
        covered = end;
    }
    Ok(covered)
}

impl Tensor {
    fn check(&self) -> Result<(), SafetensorsError> {
        let (begin, end) = self.data;
        let Some(bytes) = end.checked_sub(begin) else { return Err(self.wrong("ends before it begins")) };
        let Some(bits) = bits_of(&self.dtype) else {
            return Err(self.wrong(format!("has the unknown type {:?}", self.dtype)));
        };
        if self.shape.len() > MAX_RANK {
            return Err(self.wrong(format!("has more than {MAX_RANK} dimensions")));
        }
        let elements = self.shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size));
        let expected = elements.and_then(|elements| elements.checked_mul(bits));
        if expected.is_none() || expected != bytes.checked_mul(8) {
            return Err(
                self.wrong(format!("has {bytes} bytes, which are not {} of shape {:?}", self.dtype, self.shape))
            );
        }
        Ok(())
    }

    fn wrong(&self, what: impl Into<String>) -> SafetensorsError {
        SafetensorsError::Tensor { name: self.name.clone(), what: what.into() }
    }
}

/// Bits of one element. Source: `Dtype` of safetensors 0.8.
fn bits_of(dtype: &str) -> Option<u64> {
    match dtype {
        "F4" => Some(4),
        "F6_E2M3" | "F6_E3M2" => Some(6),
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => Some(8),
        "I16" | "U16" | "F16" | "BF16" => Some(16),
        "I32" | "U32" | "F32" => Some(32),
        "I64" | "U64" | "F64" | "C64" => Some(64),
        _ => None,
    }
}

#[derive(Deserialize)]
struct WireTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// The entries of a header in their order, a name that stands there twice included.
struct Entries(Vec<(String, WireTensor)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entries, M::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        let Object(tensor) = map.next_value()?;
                        entries.push((name, tensor));
                    }
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// Reads the index of a sharded model: which shard holds each tensor.
///
/// # Errors
/// What is wrong with it, ready for a sentence.
pub fn check_index(text: &[u8]) -> Result<BTreeMap<String, Vec<String>>, String> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let Object(index): Object<Index> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if index.weight_map.is_empty() {
        return Err("it names no tensor".to_owned());
    }
    let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, shard) in index.weight_map {
        shards.entry(shard).or_default().push(tensor);
    }
    Ok(shards)
}

#[cfg(test)]
mod tests;
