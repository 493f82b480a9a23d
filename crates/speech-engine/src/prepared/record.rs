//! What is written beside prepared weights, and how files are put in place.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use speech_flow_ctranslate2::CTRANSLATE2_VERSION;

use super::{PrepareError, Prepared, RECORD};

/// Grows with each change of the conversion or of the record; another number is no prepared copy.
const FORMAT: u32 = 1;
/// A record is a few hundred bytes.
const MAX_RECORD: u64 = 1 << 16;

#[derive(Serialize, Deserialize)]
struct Record {
    format: u32,
    engine: String,
    compute_type: String,
    sha256: String,
    bytes: u64,
    source_sha256: String,
}

pub(super) fn write(prepared: &Prepared) -> Result<(), PrepareError> {
    let record = Record {
        format: FORMAT,
        engine: CTRANSLATE2_VERSION.to_owned(),
        compute_type: prepared.compute_type.to_string(),
        sha256: prepared.digest.clone(),
        bytes: prepared.bytes,
        source_sha256: prepared.source_digest.clone(),
    };
    let path = prepared.folder.join(RECORD);
    let error = |source| PrepareError::Write { path: path.clone(), source };
    let mut text = serde_json::to_vec_pretty(&record).map_err(|problem| error(problem.into()))?;
    text.push(b'\n');
    let mut staged = Staged::new(&path).map_err(error)?;
    staged.file.write_all(&text).map_err(error)?;
    staged.publish().map_err(error)
}

/// The record of a folder, where it is one of this version. Anything else is no prepared copy.
pub(super) fn read(folder: &Path) -> Result<Option<Prepared>, PrepareError> {
    let path = folder.join(RECORD);
    let mut text = Vec::new();
    match File::open(&path).and_then(|file| file.take(MAX_RECORD).read_to_end(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(PrepareError::Read { path, source }),
    }
    let Ok(record) = serde_json::from_slice::<Record>(&text) else { return Ok(None) };
    let Ok(compute_type) = record.compute_type.parse() else { return Ok(None) };
    let is_ours = record.format == FORMAT && record.engine == CTRANSLATE2_VERSION;
    let has_weights = || folder.join(super::WEIGHTS).metadata().is_ok_and(|file| file.len() == record.bytes);
    Ok((is_ours && has_weights()).then(|| Prepared {
        folder: folder.to_owned(),
        compute_type,
        digest: record.sha256,
        bytes: record.bytes,
        source_digest: record.source_sha256,
    }))
}

pub(super) fn remove(folder: &Path) -> Result<(), PrepareError> {
    let path = folder.join(RECORD);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PrepareError::Write { path, source: error }),
        _ => Ok(()),
    }
}

/// SHA-256 of a file, in hexadecimal.
pub(super) fn digest(path: &Path) -> Result<String, PrepareError> {
    let hash = || {
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hexadecimal(hash)),
                count => hash.update(&buffer[..count]),
            }
        }
    };
    hash().map_err(|source| PrepareError::Read { path: path.to_owned(), source })
}

pub(super) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file under a name of its own, which [`Staged::publish`] puts in place; otherwise it is removed.
pub(super) struct Staged {
    pub(super) file: File,
    staging: PathBuf,
    path: PathBuf,
    published: bool,
}

impl Staged {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let staging = path.with_file_name(format!(".{name}.{}-{number}", std::process::id()));
        let file = File::create(&staging)?;
        Ok(Self { file, staging, path: path.to_owned(), published: false })
    }

    /// Writes the file and its new name through to the disk.
    pub(super) fn publish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.staging, &self.path)?;
        self.published = true;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed is a stray file; the failure that led here is the one to report.
            let _ = std::fs::remove_file(&self.staging);
        }
    }
}
