//! From the bytes of a manifest to models with their layers. Pure.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use speech_flow_model_cache::Layout;
use speech_flow_model_types::{Digest, ModelKind, RelPath, RepoId};

use crate::description::{DescribedModel, InvalidDescription, parse_description};
use crate::documents::{Index, Manifest};
use crate::layer;
use crate::media;

/// Longest manifest that is read; registries take none that is longer.
pub(crate) const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// The bytes are no manifest that can be read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidArtifact {
    /// It is not JSON of a manifest's shape.
    #[error("its manifest is not the JSON that was expected")]
    Json(#[source] serde_json::Error),
    /// It is no manifest of an image or a model.
    #[error("it is of another kind (`{}`)", .0.escape_debug())]
    Kind(String),
    /// It says nothing of models.
    #[error("it does not say which models it holds")]
    Undescribed,
    /// What it says of models makes no sense.
    #[error(transparent)]
    Description(#[from] InvalidDescription),
    /// A file's layer is not among the layers, or has another length than the file needs.
    #[error("its layer for `{file}` is missing or has a wrong length")]
    Layer {
        /// The file.
        file: String,
    },
    /// It has no image.
    #[error("its index names no image")]
    NoImage,
}

/// An artifact's models.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The models, in the order in which they were packed.
    pub models: Vec<PackedModel>,
}

/// A model, and where its files are.
#[derive(Debug, Clone)]
pub struct PackedModel {
    /// What the artifact says of it.
    pub model: DescribedModel,
    pub(crate) layers: HashMap<RelPath, Layer>,
}

/// The layer of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// The blob's place in the layer's archive; none for a raw layer, which is the file alone.
    pub(crate) place: Option<PathBuf>,
    /// How many bytes stand before the file's.
    pub(crate) head_len: u64,
    /// How many zeros stand behind them.
    pub(crate) tail_len: u64,
}

impl Layer {
    /// What stands before the file's bytes, as packing writes it; `None` for a place that no archive can name.
    pub(crate) fn head(&self, file_size: u64) -> Option<Vec<u8>> {
        match &self.place {
            Some(place) => layer::head(place, file_size).ok(),
            None => Some(Vec::new()),
        }
    }
}

/// A manifest, or the way to one.
#[derive(Debug)]
pub(crate) enum Read {
    /// Its models.
    Artifact(Artifact),
    /// The digest of the manifest of an image; all images of the index have the same layers.
    Image(Digest),
}

/// Reads a manifest.
///
/// # Errors
/// [`InvalidArtifact`] for one of another kind, or one that does not add up.
pub fn parse_artifact(manifest: &[u8]) -> Result<Artifact, InvalidArtifact> {
    let manifest: Manifest = serde_json::from_slice(manifest).map_err(InvalidArtifact::Json)?;
    let is_image = match (manifest.config.media_type.as_str(), &manifest.artifact_type) {
        (media::MODEL_CONFIG, _) => false,
        (media::IMAGE_CONFIG, _) => true,
        (config, kind) => return Err(InvalidArtifact::Kind(kind.clone().unwrap_or_else(|| config.to_owned()))),
    };
    let text = manifest.annotations.as_ref().and_then(|annotations| annotations.get(media::DESCRIPTION));
    let models = parse_description(text.ok_or(InvalidArtifact::Undescribed)?)?;
    let sizes: HashMap<&str, u64> = manifest.layers.iter().map(|layer| (layer.digest.as_str(), layer.size)).collect();
    let models = models.into_iter().map(|model| packed(model, &sizes, is_image)).collect::<Result<_, _>>()?;
    Ok(Artifact { models })
}

/// Reads a manifest or an index.
pub(crate) fn read(bytes: &[u8], media_type: &str) -> Result<Read, InvalidArtifact> {
    match media_type {
        media::INDEX => {
            let index: Index = serde_json::from_slice(bytes).map_err(InvalidArtifact::Json)?;
            let images = index.manifests.iter().filter(|manifest| manifest.media_type == media::MANIFEST);
            let digests = images.filter_map(|manifest| Digest::from_prefixed(&manifest.digest).ok());
            let digest = digests.into_iter().find(|digest| matches!(digest, Digest::Sha256(_)));
            digest.map(Read::Image).ok_or(InvalidArtifact::NoImage)
        }
        media::MANIFEST => parse_artifact(bytes).map(Read::Artifact),
        other => Err(InvalidArtifact::Kind(other.to_owned())),
    }
}

fn packed(model: DescribedModel, sizes: &HashMap<&str, u64>, is_image: bool) -> Result<PackedModel, InvalidArtifact> {
    let mut layers = HashMap::new();
    for (path, digest) in &model.layers {
        let wrong = || InvalidArtifact::Layer { file: path.to_string() };
        let file = model.file(path).ok_or_else(wrong)?;
        let mut layer = Layer { digest: *digest, size: file.size, place: None, head_len: 0, tail_len: 0 };
        if is_image {
            layer.place = Some(blob_path(model.kind, &model.repo, &file.digest));
            layer.head_len = layer.head(file.size).ok_or_else(wrong)?.len() as u64;
            layer.tail_len = layer::tail_len(file.size);
            layer.size += layer.head_len + layer.tail_len;
        } else if matches!(file.digest, Digest::Sha256(_)) && file.digest != *digest {
            // A raw layer of a file that is named by its SHA-256 is that file.
            return Err(wrong());
        }
        if sizes.get(digest.prefixed().as_str()) != Some(&layer.size) {
            return Err(wrong());
        }
        layers.insert(path.clone(), layer);
    }
    Ok(PackedModel { model, layers })
}

/// Where a blob stands below `MODEL_CACHE_DIR`.
pub(crate) fn blob_path(kind: ModelKind, repo: &RepoId, digest: &Digest) -> PathBuf {
    layout(kind).blob(repo, digest)
}

/// The cache of a kind of models below `MODEL_CACHE_DIR`, where no variable says otherwise.
pub(crate) fn layout(kind: ModelKind) -> Layout {
    let root = match kind {
        ModelKind::Whisper => "whisper",
        _ => "huggingface/hub",
    };
    Layout::new(Path::new(root), Path::new(".speech-flow"))
}
