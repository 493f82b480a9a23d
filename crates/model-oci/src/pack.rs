//! From models on disk to the documents and blobs of an artifact.
//!
//! Every file is hashed on the way and held to the digest that the cache knows: damage on a disk does not get into a
//! registry. Content stays on disk until it is sent; only documents and heads are in memory.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use speech_flow_model_cache::{FileVerdict, format_tree, verify_file};
use speech_flow_model_types::{Digest, RemoteFile};
use tokio_util::sync::CancellationToken;

use crate::artifact::{MAX_MANIFEST_BYTES, blob_path, layout};
use crate::description::{DescribedModel, format_description};
use crate::documents::{self, Annotations, Document, descriptor, sha256};
use crate::error::OciError;
use crate::layer::{self, Entry};
use crate::media;

/// How an artifact is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The CNCF's ModelPack: one model, a raw layer for each file.
    ModelPack,
    /// An OCI image: any number of models, a tar layer for each file; its tree is the cache.
    Image,
}

/// A model on disk.
#[derive(Debug, Clone)]
pub struct ModelToPack {
    /// What is known of it; its layers are filled in by [`pack`].
    pub model: DescribedModel,
    /// The folder of its snapshot.
    pub folder: PathBuf,
    /// The files that are packed.
    pub files: Vec<RemoteFile>,
}

/// An artifact that is ready to be sent or written.
#[derive(Debug, Clone)]
pub struct Pack {
    /// Each once; layers, then configurations.
    pub(crate) blobs: Vec<Blob>,
    /// The manifests that the root names, and the root as the last.
    pub(crate) manifests: Vec<Document>,
}

/// Content by its digest.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Memory(Bytes),
    File { head: Bytes, path: PathBuf, size: u64 },
}

const READ_BYTES: usize = 256 << 10;
/// Largest file that is named by git's SHA-1: hubs keep larger ones as LFS, by SHA-256. A reader holds such a file in
/// memory to check both of its digests before it is kept.
pub(crate) const MAX_GIT_BYTES: u64 = 32 << 20;

/// Makes an artifact. Reads every file once or twice; `hashed` hears of the bytes. Not for a runtime's thread.
///
/// # Errors
/// [`OciError::Unpackable`] for a file that is not as the cache lists it, [`OciError::Plan`] when the models do not
/// fit the format, and [`OciError::Cancelled`].
pub fn pack(
    models: Vec<ModelToPack>,
    format: Format,
    hashed: &mut dyn FnMut(u64),
    cancel: &CancellationToken,
) -> Result<Pack, OciError> {
    match (format, models.len()) {
        (_, 0) => return Err(OciError::Plan("there is no model to pack")),
        (Format::ModelPack, 2..) => return Err(OciError::Plan("a ModelPack holds one model")),
        _ => {}
    }
    let mut packing = Packing { hashed, cancel, blobs: Vec::new(), seen: HashSet::new() };
    let mut described = Vec::new();
    let mut layers = Vec::new();
    for ModelToPack { mut model, folder, mut files } in models {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        for file in &files {
            let (digest, size) = packing.file(&model, &folder, file, format)?;
            model.layers.insert(file.path.clone(), digest);
            layers.push((digest, size, file.clone()));
        }
        described.push(model);
    }
    let annotations = annotations(&described)?;
    let manifests = match format {
        Format::ModelPack => packing.model_pack(&described, &layers, annotations),
        Format::Image => packing.image(&described, &layers, annotations)?,
    };
    if manifests.iter().any(|manifest| manifest.bytes.len() > MAX_MANIFEST_BYTES) {
        return Err(OciError::Plan("the models have more files than a manifest can name"));
    }
    Ok(Pack { blobs: packing.blobs, manifests })
}

struct Packing<'a> {
    hashed: &'a mut dyn FnMut(u64),
    cancel: &'a CancellationToken,
    blobs: Vec<Blob>,
    seen: HashSet<Digest>,
}

type LayerOfFile = (Digest, u64, RemoteFile);

impl Packing<'_> {
    /// The layer of one file: its digest and length.
    fn file(
        &mut self,
        model: &DescribedModel,
        folder: &Path,
        file: &RemoteFile,
        format: Format,
    ) -> Result<(Digest, u64), OciError> {
        let path = folder.join(&file.path);
        let unpackable = |reason: String| OciError::Unpackable { path: path.clone(), reason };
        // Only so much of it is read.
        let length = std::fs::metadata(&path).map_err(|error| unpackable(error.to_string()))?.len();
        if length != file.size {
            return Err(unpackable(format!("it has {length} bytes, where {} are listed", file.size)));
        }
        let head = match format {
            Format::ModelPack => Vec::new(),
            Format::Image => layer::head(&blob_path(model.kind, &model.repo, &file.digest), file.size)
                .map_err(|error| unpackable(error.to_string()))?,
        };
        let tail_len = if format == Format::Image { layer::tail_len(file.size) } else { 0 };
        let size = head.len() as u64 + file.size + tail_len;
        let content = Content::File { head: head.into(), path: path.clone(), size: file.size };
        let blob = Blob { digest: file.digest, size, content };
        let (layer, own) = self.hash(&blob, file.size)?;
        let is_sound = match file.digest {
            Digest::Sha256(_) => own == file.digest,
            Digest::GitSha1(_) if file.size > MAX_GIT_BYTES => {
                return Err(unpackable("it is larger than a hub keeps outside of LFS".to_owned()));
            }
            Digest::GitSha1(_) => {
                let verdict = verify_file(&path, file, |_| std::ops::ControlFlow::Continue(()));
                verdict.map_err(|error| unpackable(error.to_string()))? == FileVerdict::Sound
            }
        };
        if !is_sound {
            return Err(unpackable("its content is not what its digest says".to_owned()));
        }
        self.add(Blob { digest: layer, ..blob });
        Ok((layer, size))
    }

    /// The digest of a blob, and that of the file in it.
    fn hash(&mut self, blob: &Blob, file_size: u64) -> Result<(Digest, Digest), OciError> {
        let head = blob.head_len();
        let (mut whole, mut own) = (Sha256::new(), Sha256::new());
        let mut reader = blob.open(0)?;
        let mut buffer = vec![0; READ_BYTES];
        let mut at = 0;
        loop {
            if self.cancel.is_cancelled() {
                return Err(OciError::Cancelled);
            }
            let read = reader.read(&mut buffer).map_err(|error| blob.unreadable(error))?;
            if read == 0 {
                break;
            }
            whole.update(&buffer[..read]);
            let inside = |place: u64| place.saturating_sub(at).min(read as u64) as usize;
            own.update(&buffer[inside(head)..inside(head + file_size)]);
            at += read as u64;
            (self.hashed)(read as u64);
        }
        Ok((Digest::Sha256(whole.finalize().into()), Digest::Sha256(own.finalize().into())))
    }

    fn add(&mut self, blob: Blob) {
        if self.seen.insert(blob.digest) {
            self.blobs.push(blob);
        }
    }

    fn memory(&mut self, digest: Digest, bytes: Vec<u8>) {
        self.add(Blob { digest, size: bytes.len() as u64, content: Content::Memory(bytes.into()) });
    }

    fn model_pack(
        &mut self,
        models: &[DescribedModel],
        layers: &[LayerOfFile],
        annotations: Annotations,
    ) -> Vec<Document> {
        let model = &models[0];
        let digests: Vec<Digest> = layers.iter().map(|(digest, ..)| *digest).collect();
        let config = documents::model_config(
            model.repo.as_str(),
            model.commit.as_str(),
            model.kind,
            model.license.as_deref(),
            &digests,
        );
        let described = layers.iter().map(|(digest, size, file)| {
            let name = file.path.to_string();
            let annotations = [(media::TITLE, name.clone()), (media::FILE_PATH, name)];
            descriptor(media::of_file(file), digest, *size, Some(to_map(annotations)))
        });
        let manifest = documents::model_manifest(&config, described.collect(), annotations);
        self.memory(config.digest, config.bytes);
        vec![manifest]
    }

    fn image(
        &mut self,
        models: &[DescribedModel],
        layers: &[LayerOfFile],
        annotations: Annotations,
    ) -> Result<Vec<Document>, OciError> {
        let links = links(models).map_err(|source| OciError::Io { action: "pack", path: "links".into(), source })?;
        let links_digest = sha256(&links);
        let mut all = vec![(links_digest, links.len() as u64)];
        let mut listed = HashSet::new();
        // A blob that two paths share is one layer.
        all.extend(
            layers.iter().filter(|(digest, ..)| listed.insert(*digest)).map(|(digest, size, _)| (*digest, *size)),
        );
        self.memory(links_digest, links);
        let images = documents::image_manifests(&all, &annotations);
        let mut of_index = annotations;
        of_index.remove(media::DESCRIPTION);
        let index = documents::image_index(&images, of_index);
        let mut manifests = Vec::new();
        for (config, manifest, _) in images {
            self.memory(config.digest, config.bytes);
            manifests.push(manifest);
        }
        manifests.push(index);
        Ok(manifests)
    }
}

/// The layer that makes a cache of the blobs: links, names, listings.
fn links(models: &[DescribedModel]) -> io::Result<Vec<u8>> {
    let mut entries = Vec::new();
    let mut blobs = Vec::new();
    for model in models {
        let layout = layout(model.kind);
        for path in model.layers.keys() {
            let Some(file) = model.file(path) else { continue };
            let link = layout.snapshot_file(&model.repo, &model.commit, path);
            entries.push(Entry::Link(link, layout.link_target(path, &file.digest)));
            blobs.push(layout.blob(&model.repo, &file.digest));
        }
        for name in &model.refs {
            let commit = model.commit.as_str().as_bytes().to_vec();
            entries.push(Entry::File(layout.reference(&model.repo, name), commit));
        }
        entries.push(Entry::File(layout.tree(&model.repo, &model.commit), format_tree(&model.listing)));
    }
    layer::small(entries, &blobs)
}

fn annotations(models: &[DescribedModel]) -> Result<Annotations, OciError> {
    let join = |of: fn(&DescribedModel) -> Option<String>| {
        let mut values: Vec<String> = models.iter().filter_map(of).collect();
        values.dedup();
        values
    };
    let mut pairs = vec![(media::TITLE, join(|model| Some(model.repo.to_string())).join(", "))];
    if let [commit] = &join(|model| Some(model.commit.to_string()))[..] {
        pairs.push((media::REVISION, commit.clone()));
    }
    // An expression of SPDX says all that apply.
    let licenses = join(|model| model.license.clone());
    if !licenses.is_empty() {
        pairs.push((media::LICENSES, licenses.join(" AND ")));
    }
    pairs.push((media::DESCRIPTION, format_description(models)));
    Ok(to_map(pairs))
}

fn to_map<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Annotations {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<BTreeMap<_, _>>()
}

impl Pack {
    /// The digest by which the artifact is named.
    pub fn digest(&self) -> Digest {
        self.root().digest
    }

    /// Bytes of all layers and configurations.
    pub fn bytes_total(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }

    /// How many layers and configurations there are.
    pub fn blobs(&self) -> usize {
        self.blobs.len()
    }

    pub(crate) fn root(&self) -> &Document {
        self.manifests.last().expect("a pack ends with its root")
    }
}

impl Blob {
    fn head_len(&self) -> u64 {
        match &self.content {
            Content::Memory(_) => 0,
            Content::File { head, .. } => head.len() as u64,
        }
    }

    /// Reads from a place on. A file that is shorter than it was ends early.
    pub(crate) fn open(&self, offset: u64) -> Result<Box<dyn io::Read + Send>, OciError> {
        let (head, path, size) = match &self.content {
            Content::Memory(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                return Ok(Box::new(io::Cursor::new(bytes.slice(from..))));
            }
            Content::File { head, path, size } => (head, path, *size),
        };
        let before = offset.min(head.len() as u64);
        let inside = (offset - before).min(size);
        let behind = offset - before - inside;
        let mut file = File::open(path).map_err(|error| self.unreadable(error))?;
        file.seek(SeekFrom::Start(inside)).map_err(|error| self.unreadable(error))?;
        let zeros = (self.size - head.len() as u64 - size).saturating_sub(behind);
        let head = io::Cursor::new(head.slice(before as usize..));
        // A file that grew is cut, so that what follows stays in its place; its digest shows it.
        Ok(Box::new(head.chain(file.take(size - inside)).chain(io::repeat(0).take(zeros))))
    }

    /// Reads a part of bounded length into memory.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Result<Bytes, OciError> {
        let mut bytes = Vec::with_capacity(length);
        let reader = self.open(offset)?;
        reader.take(length as u64).read_to_end(&mut bytes).map_err(|error| self.unreadable(error))?;
        if bytes.len() < length {
            return Err(self.unreadable(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes.into())
    }

    pub(crate) fn unreadable(&self, source: io::Error) -> OciError {
        let path = match &self.content {
            Content::Memory(_) => PathBuf::new(),
            Content::File { path, .. } => path.clone(),
        };
        OciError::Io { action: "read", path, source }
    }
}

#[cfg(test)]
mod tests;
