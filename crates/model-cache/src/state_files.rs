//! Small JSON records in the state folder: leases, pins, usage.
//!
//! A record is written under another name, synced and renamed, so a reader sees a whole one or none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};

use crate::error::CacheError;
use crate::layout::Layout;
use crate::volume::{read_regular, write_atomic};

/// Writes a record in one step, with its folders.
pub(crate) fn write_record<T: Serialize>(path: &Path, record: &T) -> Result<(), CacheError> {
    let failed = |source| CacheError::from_io("write", path, source);
    let mut text = serde_json::to_vec_pretty(record).map_err(|source| failed(source.into()))?;
    text.push(b'\n');
    let staged = Layout::staging_name(path, &format!("{:016x}", rand::random::<u64>()));
    write_atomic(&staged, path, &text).map_err(failed)
}

/// Longest record that is read: one that names as many files as a listing may have stays below.
const MAX_RECORD_BYTES: u64 = 64 << 20;

/// Reads a record; `None` when there is none.
pub(crate) fn read_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, CacheError> {
    let parsed = match read_regular(path, MAX_RECORD_BYTES) {
        // Something else in a record's place protects what the record did.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(serde_json::Error::custom(error)),
        read => match found(read).map_err(|source| CacheError::from_io("read", path, source))? {
            Some(text) => serde_json::from_slice(&text),
            None => return Ok(None),
        },
    };
    parsed.map(Some).map_err(|source| CacheError::RecordUnreadable { path: path.to_owned(), source })
}

/// Removes a file; whether it was there.
pub(crate) fn remove_file(path: &Path) -> Result<bool, CacheError> {
    let removed = found(fs::remove_file(path)).map_err(|source| CacheError::from_io("remove", path, source))?;
    Ok(removed.is_some())
}

/// The entries of a folder, sorted; none when the folder is missing.
pub(crate) fn folder_entries(folder: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let failed = |source| CacheError::from_io("list", folder, source);
    let Some(entries) = found(fs::read_dir(folder)).map_err(failed)? else { return Ok(Vec::new()) };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// `None` instead of the error that something is not there.
pub(crate) fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last part of a path as text; empty where it is none.
pub(crate) fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Fields that stand in JSON as their text: `#[serde(with = "as_text")]`.
pub(crate) mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Fields that may be absent and stand in JSON as their text: `#[serde(default, with = "option_as_text")]`.
pub(crate) mod option_as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
    }
}

/// Lists whose items stand in JSON as their text: `#[serde(serialize_with = "list_as_text")]`.
pub(crate) fn list_as_text<T: std::fmt::Display, S: serde::Serializer>(
    values: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}
