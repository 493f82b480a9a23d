//! The header and table of a CTranslate2 model (`model.bin`), read without its data.
//!
//! Layout, all numbers little-endian; a text is a `u16` length that counts the closing NUL, then the bytes:
//!
//! ```text
//! u32 binary version (1 to 6)
//! text spec, u32 spec revision                              from version 2
//! u32 number of variables, then each:
//!   text name, u8 rank, u32 × rank dimensions
//!   u8 data type, u32 bytes                                 from version 4
//!   u8 item size, u32 items                                 before
//!   the data
//! u32 number of aliases, then each: text alias, text name   from version 3
//! ```
//!
//! Source: `python/ctranslate2/specs/model_spec.py` and `src/models/model.cc` of CTranslate2 4.8; checked
//! against the models in `fixtures/`.

use std::collections::HashSet;
use std::io::{self, BufReader, Read, Seek};

/// What the header and table say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ct2Model {
    /// Version of the file's layout.
    pub binary_version: u32,
    /// Name of the model's specification, such as `WhisperSpec`; empty before version 2.
    pub spec: String,
    /// Revision of the specification.
    pub spec_revision: u32,
    /// Number of variables.
    pub variables: u32,
    /// Number of second names.
    pub aliases: u32,
    /// Bytes of all variables.
    pub data_bytes: u64,
    /// Number format that most of the bytes are in.
    pub main_type: DataType,
    /// Second dimension of `encoder/conv1/weight`: the mel bins of a Whisper model.
    pub n_mels: Option<u32>,
    /// First dimension of `decoder/embeddings/weight`: the tokens of a Whisper model.
    pub vocabulary: Option<u32>,
    /// Second dimension of `encoder/position_encodings/encodings`: the channels of a Whisper model.
    pub width: Option<u32>,
    /// Layers of the decoder of a Whisper model.
    pub decoder_layers: u32,
    /// Numbers in matrices, which can be kept as integers.
    pub matrix_numbers: u64,
    /// All other numbers.
    pub other_numbers: u64,
    /// Numbers of the largest variable.
    pub largest_numbers: u64,
}

/// Number format of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataType {
    /// 32-bit float.
    Float32,
    /// 8-bit integer.
    Int8,
    /// 16-bit integer.
    Int16,
    /// 32-bit integer.
    Int32,
    /// 16-bit float.
    Float16,
    /// Brain float.
    Bfloat16,
}

/// The bytes are no CTranslate2 model, or not all of one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ct2Error {
    /// The first number is no version.
    #[error("it does not begin with a version of the format from 1 to {LATEST_VERSION}, but with {0}")]
    Version(u32),
    /// The file ends too early.
    #[error("it is truncated: {what} would end at byte {needed}, but the file has {len}")]
    Truncated {
        /// What was being read.
        what: String,
        /// Where it would end.
        needed: u64,
        /// Length of the file.
        len: u64,
    },
    /// The file goes on after the model.
    #[error("it has {extra} bytes after the end of the model at byte {end}")]
    TooLong {
        /// Where the model ends.
        end: u64,
        /// Bytes after it.
        extra: u64,
    },
    /// A field holds what no writer puts there.
    #[error("it is malformed at byte {offset}: {what}")]
    Malformed {
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The file cannot be read.
    #[error("it cannot be read")]
    Io(#[source] io::Error),
}

/// The newest layout that CTranslate2 4.8 writes and reads.
const LATEST_VERSION: u32 = 6;
/// Far above any model: Whisper large has some 2,000 variables.
const MAX_VARIABLES: u32 = 1 << 20;
/// Highest rank of a variable; the largest in use is 3.
const MAX_RANK: u8 = 8;
/// All names together; bounds the memory that a hostile file can take.
const MAX_NAMES_BYTES: usize = 16 << 20;

impl DataType {
    /// Source: `enum class DataType` in `include/ctranslate2/types.h`.
    fn from_id(id: u8) -> Option<Self> {
        let types = [Self::Float32, Self::Int8, Self::Int16, Self::Int32, Self::Float16, Self::Bfloat16];
        types.get(usize::from(id)).copied()
    }

    /// Before version 4 only the size of an item was kept.
    fn from_item_size(size: u8) -> Option<Self> {
        match size {
            1 => Some(Self::Int8),
            2 => Some(Self::Int16),
            4 => Some(Self::Float32),
            _ => None,
        }
    }

    fn size(self) -> u64 {
        match self {
            Self::Float32 | Self::Int32 => 4,
            Self::Int16 | Self::Float16 | Self::Bfloat16 => 2,
            Self::Int8 => 1,
        }
    }

    /// The format as CTranslate2 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Float16 => "float16",
            Self::Bfloat16 => "bfloat16",
        }
    }
}

/// Reads header and table, stepping over the data of each variable.
///
/// `len` is the length of the whole file, which has to end exactly where the model ends.
///
/// # Errors
/// [`Ct2Error`] says what is wrong, and at which byte.
pub fn read_model(source: impl Read + Seek, len: u64) -> Result<Ct2Model, Ct2Error> {
    let mut reader = Reader { source: BufReader::with_capacity(16 << 10, source), offset: 0, len };
    let binary_version = reader.u32("the version")?;
    if !(1..=LATEST_VERSION).contains(&binary_version) {
        return Err(Ct2Error::Version(binary_version));
    }
    let (spec, spec_revision) = if binary_version >= 2 {
        (reader.text("the name of the specification")?, reader.u32("the revision of the specification")?)
    } else {
        (String::new(), 1)
    };
    let variables = reader.count("variables")?;
    let mut table = Table::default();
    for index in 0..variables {
        reader.variable(binary_version, index, &mut table)?;
    }
    let aliases = if binary_version >= 3 { reader.count("aliases")? } else { 0 };
    for _ in 0..aliases {
        reader.text("an alias")?;
        let offset = reader.offset;
        let target = reader.text("the target of an alias")?;
        if !table.names.contains(&target) {
            return Err(Ct2Error::Malformed { offset, what: format!("alias of the unknown variable {target:?}") });
        }
    }
    if reader.offset < len {
        return Err(Ct2Error::TooLong { end: reader.offset, extra: len - reader.offset });
    }
    Ok(Ct2Model {
        binary_version,
        spec,
        spec_revision,
        variables,
        aliases,
        data_bytes: table.bytes_of_type.iter().map(|(_, bytes)| bytes).sum(),
        main_type: table
            .bytes_of_type
            .iter()
            .max_by_key(|(_, bytes)| *bytes)
            .map_or(DataType::Float32, |(kind, _)| *kind),
        n_mels: table.n_mels,
        vocabulary: table.vocabulary,
        width: table.width,
        decoder_layers: table.decoder_layers,
        matrix_numbers: table.matrix_numbers,
        other_numbers: table.other_numbers,
        largest_numbers: table.largest_numbers,
    })
}

/// What is kept of the variables.
#[derive(Default)]
struct Table {
    names: HashSet<String>,
    names_bytes: usize,
    bytes_of_type: Vec<(DataType, u64)>,
    n_mels: Option<u32>,
    vocabulary: Option<u32>,
    width: Option<u32>,
    decoder_layers: u32,
    matrix_numbers: u64,
    other_numbers: u64,
    largest_numbers: u64,
}

struct Reader<R> {
    source: BufReader<R>,
    offset: u64,
    len: u64,
}

impl<R: Read + Seek> Reader<R> {
    fn variable(&mut self, version: u32, index: u32, table: &mut Table) -> Result<(), Ct2Error> {
        let start = self.offset;
        let name = self.text(&format!("the name of variable {index}"))?;
        let malformed = |what: String| Ct2Error::Malformed { offset: start, what };
        // The name is the file's own: in quotes, with what a terminal would obey escaped.
        let shown = format!("{name:?}");
        let rank = self.u8(&shown)?;
        if rank > MAX_RANK {
            return Err(malformed(format!("{name:?} has rank {rank}, more than {MAX_RANK}")));
        }
        let mut dimensions = Vec::with_capacity(usize::from(rank));
        for _ in 0..rank {
            dimensions.push(self.u32(&shown)?);
        }
        let (type_id, amount) = (self.u8(&shown)?, u64::from(self.u32(&shown)?));
        let (kind, bytes) = if version >= 4 {
            let kind = DataType::from_id(type_id);
            (kind.ok_or_else(|| malformed(format!("{name:?} has the unknown data type {type_id}")))?, amount)
        } else {
            let kind = DataType::from_item_size(type_id);
            // At most 4 × 2^32: no overflow.
            (
                kind.ok_or_else(|| malformed(format!("{name:?} has items of {type_id} bytes")))?,
                amount * u64::from(type_id),
            )
        };
        let elements = dimensions.iter().try_fold(1_u64, |product, size| product.checked_mul(u64::from(*size)));
        let expected = elements.and_then(|elements| elements.checked_mul(kind.size()));
        if expected != Some(bytes) {
            return Err(malformed(format!(
                "{name:?} has {bytes} bytes, which are not {} of shape {dimensions:?}",
                kind.as_str()
            )));
        }
        self.skip(bytes, &shown)?;
        match (name.as_str(), dimensions.as_slice()) {
            ("encoder/conv1/weight", [_, n_mels, _]) => table.n_mels = Some(*n_mels),
            ("decoder/embeddings/weight", [tokens, _]) => table.vocabulary = Some(*tokens),
            ("encoder/position_encodings/encodings", [_, width]) => table.width = Some(*width),
            (name, _) if name.starts_with("decoder/layer_") && name.ends_with("/ffn/layer_norm/gamma") => {
                table.decoder_layers += 1;
            }
            _ => {}
        }
        table.count(&name, rank, expected.unwrap_or_default() / kind.size());
        table.add(name, kind, bytes).map_err(malformed)
    }

    fn take<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Ct2Error> {
        self.check_room(N as u64, what)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(Ct2Error::Io)?;
        self.offset += N as u64;
        Ok(bytes)
    }

    fn u8(&mut self, what: &str) -> Result<u8, Ct2Error> {
        Ok(self.take::<1>(what)?[0])
    }

    fn u32(&mut self, what: &str) -> Result<u32, Ct2Error> {
        Ok(u32::from_le_bytes(self.take(what)?))
    }

    fn count(&mut self, what: &str) -> Result<u32, Ct2Error> {
        let offset = self.offset;
        let count = self.u32(&format!("the number of {what}"))?;
        if count > MAX_VARIABLES {
            return Err(Ct2Error::Malformed { offset, what: format!("{count} {what}, more than {MAX_VARIABLES}") });
        }
        Ok(count)
    }

    fn text(&mut self, what: &str) -> Result<String, Ct2Error> {
        let offset = self.offset;
        let len = u16::from_le_bytes(self.take(what)?);
        self.check_room(u64::from(len), what)?;
        let mut bytes = vec![0; usize::from(len)];
        self.source.read_exact(&mut bytes).map_err(Ct2Error::Io)?;
        self.offset += u64::from(len);
        if bytes.pop() != Some(0) || bytes.contains(&0) {
            return Err(Ct2Error::Malformed { offset, what: format!("{what} is no text that ends with a zero byte") });
        }
        String::from_utf8(bytes).map_err(|_| Ct2Error::Malformed { offset, what: format!("{what} is not UTF-8 text") })
    }

    fn skip(&mut self, bytes: u64, what: &str) -> Result<(), Ct2Error> {
        self.check_room(bytes, &format!("the data of {what}"))?;
        // `check_room` bounds it by the file's length, and no file is longer than i64::MAX.
        let step = i64::try_from(bytes)
            .map_err(|_| Ct2Error::Malformed { offset: self.offset, what: format!("{bytes} bytes of data") })?;
        self.source.seek_relative(step).map_err(Ct2Error::Io)?;
        self.offset += bytes;
        Ok(())
    }

    fn check_room(&self, bytes: u64, what: &str) -> Result<(), Ct2Error> {
        match self.offset.checked_add(bytes).filter(|end| *end <= self.len) {
            Some(_) => Ok(()),
            None => Err(Ct2Error::Truncated {
                what: what.to_owned(),
                needed: self.offset.saturating_add(bytes),
                len: self.len,
            }),
        }
    }
}

impl Table {
    fn count(&mut self, name: &str, rank: u8, numbers: u64) {
        let is_matrix = rank == 2 && name.ends_with("/weight");
        let group = if is_matrix { &mut self.matrix_numbers } else { &mut self.other_numbers };
        *group = group.saturating_add(numbers);
        self.largest_numbers = self.largest_numbers.max(numbers);
    }

    fn add(&mut self, name: String, kind: DataType, bytes: u64) -> Result<(), String> {
        self.names_bytes += name.len();
        if self.names_bytes > MAX_NAMES_BYTES {
            return Err(format!("the names of all variables have more than {MAX_NAMES_BYTES} bytes"));
        }
        if self.names.contains(&name) {
            return Err(format!("{name:?} stands in it twice"));
        }
        self.names.insert(name);
        match self.bytes_of_type.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, sum)) => *sum = sum.saturating_add(bytes),
            None => self.bytes_of_type.push((kind, bytes)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
