//! An artifact as a folder: an OCI image layout, for what carries it without a registry.
//!
//! Source: the OCI image specification 1.1, `image-layout.md`.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::Path;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use speech_flow_model_types::Digest;
use tokio_util::sync::CancellationToken;

use crate::documents::Annotations;
use crate::error::OciError;
use crate::media;
use crate::pack::Pack;

const COPY_BYTES: usize = 256 << 10;

/// Writes an artifact into a folder under a tag. Blobs that are there already stay; the index is written last, by a
/// rename, so a reader never sees an artifact that is not whole. Not for a runtime's thread.
///
/// # Errors
/// [`OciError::Io`] with the file, and [`OciError::Integrity`] for a file that changed since it was packed.
pub fn write_folder(
    pack: &Pack,
    folder: &Path,
    tag: &str,
    written: &mut dyn FnMut(u64),
    cancel: &CancellationToken,
) -> Result<(), OciError> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(|source| failed("make", &blobs, source))?;
    for blob in &pack.blobs {
        put(&blobs, &blob.digest, blob.size, &mut *blob.open(0)?, written, cancel)?;
    }
    for document in &pack.manifests {
        put(&blobs, &document.digest, document.bytes.len() as u64, &mut document.bytes.as_slice(), written, cancel)?;
    }
    let mut root = pack.root().descriptor();
    root.annotations = Some(Annotations::from([(media::REF_NAME.to_owned(), tag.to_owned())]));
    let index = json!({ "schemaVersion": 2, "mediaType": media::INDEX, "manifests": [root] });
    small(&folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    small(&folder.join("index.json"), index.to_string().as_bytes())
}

fn put(
    blobs: &Path,
    digest: &Digest,
    size: u64,
    content: &mut dyn Read,
    written: &mut dyn FnMut(u64),
    cancel: &CancellationToken,
) -> Result<(), OciError> {
    let path = blobs.join(digest.to_string());
    if path.metadata().is_ok_and(|there| there.is_file() && there.len() == size) {
        written(size);
        return Ok(());
    }
    let staged = blobs.join(format!(".{digest}.partial"));
    let mut file = File::create(&staged).map_err(|source| failed("write", &staged, source))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        if cancel.is_cancelled() {
            return Err(OciError::Cancelled);
        }
        let read = content.read(&mut buffer).map_err(|source| failed("read the content of", &path, source))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        file.write_all(&buffer[..read]).map_err(|source| failed("write", &staged, source))?;
        written(read as u64);
    }
    let actual = Digest::Sha256(hash.finalize().into());
    if actual != *digest {
        // Best effort: what is left is under no name that counts.
        let _ = fs::remove_file(&staged);
        let (expected, actual) = (digest.prefixed(), actual.prefixed());
        return Err(OciError::Integrity { what: "a file that is being packed".to_owned(), expected, actual });
    }
    file.sync_all().map_err(|source| failed("write", &staged, source))?;
    fs::rename(&staged, &path).map_err(|source| failed("write", &path, source))
}

fn small(path: &Path, content: &[u8]) -> Result<(), OciError> {
    let staged = path.with_extension("partial");
    let write = || {
        let mut file = File::create(&staged)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&staged, path)
    };
    write().map_err(|source| failed("write", path, source))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> OciError {
    OciError::Io { action, path: path.to_owned(), source }
}
