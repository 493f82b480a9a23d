//! The headers of a CTranslate2 `model.bin`, read without its payload.
//!
//! The file, all numbers little-endian: version `u32`; name of the specification as text; its revision `u32`; number
//! of variables `u32`; of each variable its name as text, rank `u8`, each dimension `u32`, number of the data type
//! `u8`, payload bytes `u32` and the payload; number of aliases `u32`; of each alias its name and that of a variable,
//! as text. A text is its length `u16`, its bytes and a zero byte, which the length counts.
//!
//! Source: `python/ctranslate2/specs/model_spec.py` (`_serialize`) and `src/models/model.cc` (`Model::load`) of
//! CTranslate2 4.8.4.
//!
//! Every number is bounded before memory is allocated by it, so a forged file costs no more than its size.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};

/// The version of the format that is understood.
pub(super) const VERSION: u32 = 6;
/// More variables or aliases than any model has.
const MAX_ENTRIES: u32 = 1 << 16;
/// More dimensions than any variable has.
const MAX_RANK: u8 = 4;

/// How the numbers of a variable are stored. Source: `enum class DataType` in CTranslate2's `types.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataType {
    Float32 = 0,
    Int8 = 1,
    Int16 = 2,
    Int32 = 3,
    Float16 = 4,
    Bfloat16 = 5,
}

impl DataType {
    fn from_number(number: u8) -> Option<Self> {
        [Self::Float32, Self::Int8, Self::Int16, Self::Int32, Self::Float16, Self::Bfloat16]
            .into_iter()
            .nth(number.into())
    }

    /// Bytes of one number.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::Float32 | Self::Int32 => 4,
            Self::Int16 | Self::Float16 | Self::Bfloat16 => 2,
            Self::Int8 => 1,
        }
    }

    pub(super) fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float16 | Self::Bfloat16)
    }
}

/// A variable and where its payload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: Vec<u8>,
    pub(super) dimensions: Vec<u32>,
    pub(super) data_type: DataType,
    /// Position of the payload in the file.
    pub(super) offset: u64,
}

impl Variable {
    /// Numbers in it; 1 for a scalar.
    pub(super) fn len(&self) -> u64 {
        self.dimensions.iter().map(|size| u64::from(*size)).product()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.len() * self.data_type.size()
    }
}

/// All of a file but its payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) specification: Vec<u8>,
    pub(super) revision: u32,
    pub(super) variables: Vec<Variable>,
    pub(super) aliases: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Why a file is not understood.
#[derive(Debug)]
pub(super) enum Trouble {
    Io(io::Error),
    /// The position and what is wrong there.
    Content(u64, String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a file of `length` bytes from its start.
pub(super) fn read(file: &mut (impl Read + Seek), length: u64) -> Result<Layout, Trouble> {
    let mut reader = Reader { file, position: 0, length };
    reader.file.seek(SeekFrom::Start(0))?;
    let version = reader.u32()?;
    if version != VERSION {
        return reader.refuse(format!("format version {version}, where {VERSION} is understood"));
    }
    let specification = reader.text()?;
    let revision = reader.u32()?;
    let mut names = HashSet::new();
    let mut variables = Vec::new();
    for _ in 0..reader.count("variables")? {
        let variable = reader.variable()?;
        if !names.insert(variable.name.clone()) {
            return reader.refuse(format!("the variable `{}` comes twice", variable.name.escape_ascii()));
        }
        variables.push(variable);
    }
    let mut aliases = Vec::new();
    for _ in 0..reader.count("aliases")? {
        let alias = (reader.text()?, reader.text()?);
        if !names.contains(&alias.1) || !names.insert(alias.0.clone()) {
            return reader.refuse(format!("the alias `{}` does not fit the variables", alias.0.escape_ascii()));
        }
        aliases.push(alias);
    }
    if reader.position != length {
        return reader.refuse("bytes after the aliases".to_owned());
    }
    Ok(Layout { specification, revision, variables, aliases })
}

struct Reader<'a, F> {
    file: &'a mut F,
    position: u64,
    length: u64,
}

impl<F: Read + Seek> Reader<'_, F> {
    fn refuse<T>(&self, problem: String) -> Result<T, Trouble> {
        Err(Trouble::Content(self.position, problem))
    }

    /// Counts `bytes` that are about to be read or skipped.
    fn take(&mut self, bytes: u64) -> Result<(), Trouble> {
        if bytes > self.length - self.position {
            return self.refuse(format!("the file ends before {bytes} more bytes"));
        }
        self.position += bytes;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Trouble> {
        self.take(N as u64)?;
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8, Trouble> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Trouble> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn count(&mut self, what: &str) -> Result<u32, Trouble> {
        let count = self.u32()?;
        if count > MAX_ENTRIES {
            return self.refuse(format!("{count} {what}"));
        }
        Ok(count)
    }

    fn text(&mut self) -> Result<Vec<u8>, Trouble> {
        let length = u16::from_le_bytes(self.array()?);
        self.take(length.into())?;
        let mut text = vec![0; length.into()];
        self.file.read_exact(&mut text)?;
        if text.pop() != Some(0) || text.contains(&0) {
            return self.refuse("a name without its end".to_owned());
        }
        Ok(text)
    }

    fn variable(&mut self) -> Result<Variable, Trouble> {
        let name = self.text()?;
        let rank = self.u8()?;
        if rank > MAX_RANK {
            return self.refuse(format!("a variable of rank {rank}"));
        }
        let mut dimensions = Vec::new();
        for _ in 0..rank {
            dimensions.push(self.u32()?);
        }
        let number = self.u8()?;
        let Some(data_type) = DataType::from_number(number) else {
            return self.refuse(format!("a variable of type {number}"));
        };
        let bytes = self.u32()?;
        let size =
            dimensions.iter().try_fold(data_type.size(), |size, dimension| size.checked_mul((*dimension).into()));
        if size != Some(bytes.into()) || bytes == 0 {
            return self.refuse(format!("{bytes} bytes for a variable of shape {dimensions:?}"));
        }
        let offset = self.position;
        self.take(bytes.into())?;
        self.file.seek(SeekFrom::Start(self.position))?;
        Ok(Variable { name, dimensions, data_type, offset })
    }
}

/// A text as the format has it. Names come from a file, so they fit.
pub(super) fn text(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len() + 1).expect("a name read from a file, or with a suffix that was checked");
    [&length.to_le_bytes()[..], text, &[0]].concat()
}

/// The header of a variable with this payload size.
pub(super) fn header(name: &[u8], dimensions: &[u32], data_type: DataType, bytes: u32) -> Vec<u8> {
    let mut header = text(name);
    header.push(u8::try_from(dimensions.len()).expect("a rank is at most 4"));
    header.extend(dimensions.iter().flat_map(|dimension| dimension.to_le_bytes()));
    header.push(data_type as u8);
    header.extend(bytes.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn file(variables: &[Variable], aliases: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = [&VERSION.to_le_bytes()[..], &text(b"WhisperSpec"), &3_u32.to_le_bytes()].concat();
        bytes.extend(u32::try_from(variables.len()).unwrap().to_le_bytes());
        for variable in variables {
            let size = u32::try_from(variable.bytes()).unwrap();
            bytes.extend(header(&variable.name, &variable.dimensions, variable.data_type, size));
            bytes.extend(std::iter::repeat_n(7, size as usize));
        }
        bytes.extend(u32::try_from(aliases.len()).unwrap().to_le_bytes());
        for (alias, name) in aliases {
            bytes.extend([text(alias), text(name)].concat());
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Layout, Trouble> {
        read(&mut Cursor::new(bytes), bytes.len() as u64)
    }

    prop_compose! {
        fn variables()(entries in prop::collection::vec((prop::collection::vec(1_u32..5, 0..4), 0_u8..6), 0..6)) -> Vec<Variable> {
            entries.into_iter().enumerate().map(|(index, (dimensions, number))| Variable {
                name: format!("layer_{index}/weight").into_bytes(),
                dimensions,
                data_type: DataType::from_number(number).unwrap(),
                offset: 0,
            }).collect()
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(variables in variables()) {
            let aliases: Vec<_> = variables.iter().take(1).map(|v| (b"alias".to_vec(), v.name.clone())).collect();
            let bytes = file(&variables, &aliases);
            let layout = parse(&bytes).unwrap();
            prop_assert_eq!(&layout.aliases, &aliases);
            for (read, written) in layout.variables.iter().zip(&variables) {
                prop_assert_eq!(&Variable { offset: 0, ..read.clone() }, written);
                let payload = &bytes[read.offset as usize..][..read.bytes() as usize];
                prop_assert!(payload.iter().all(|byte| *byte == 7));
            }
        }

        #[test]
        fn no_prefix_of_a_file_is_a_file(variables in variables(), cut in any::<prop::sample::Index>()) {
            let bytes = file(&variables, &[]);
            let cut = cut.index(bytes.len());
            prop_assert!(matches!(parse(&bytes[..cut]), Err(Trouble::Content(..))));
        }

        #[test]
        fn a_flipped_byte_never_panics(variables in variables(), at in any::<prop::sample::Index>(), flip in 1_u8..) {
            let mut bytes = file(&variables, &[]);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let _ = parse(&bytes);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }

    #[track_caller]
    fn refused(bytes: &[u8], words: &str) {
        match parse(bytes) {
            Err(Trouble::Content(_, problem)) => assert!(problem.contains(words), "{problem}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let weight = Variable { name: b"w".to_vec(), dimensions: vec![2, 2], data_type: DataType::Int8, offset: 0 };
        let good = file(std::slice::from_ref(&weight), &[]);
        refused(&[&5_u32.to_le_bytes(), &good[4..]].concat(), "format version 5");
        refused(&[&good[..], b"x"].concat(), "after the aliases");
        refused(&file(&[weight.clone(), weight.clone()], &[]), "`w` comes twice");
        refused(&file(std::slice::from_ref(&weight), &[(b"a".to_vec(), b"b".to_vec())]), "alias `a`");
        let empty = Variable { dimensions: vec![0], ..weight };
        refused(&file(&[empty], &[]), "0 bytes");
    }
}
