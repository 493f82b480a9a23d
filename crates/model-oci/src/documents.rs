//! The JSON documents of an artifact: indexes, manifests, configurations.
//!
//! Source: the OCI image specification 1.1, `manifest.md`, `image-index.md`, `config.md`; the ModelPack
//! specification, `schema/config-schema.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use speech_flow_model_types::{Digest, ModelKind};

use crate::media;

/// Platforms that an image is labeled for. Its content is for all; a runtime takes only what is labeled for its own.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

pub(crate) type Annotations = BTreeMap<String, String>;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<Annotations>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<Annotations>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<Annotations>,
}

/// A document with its media type and digest.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
}

impl Document {
    pub(crate) fn new(media_type: &'static str, content: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(content).expect("text and numbers always serialize");
        Self { media_type, digest: sha256(&bytes), bytes }
    }

    pub(crate) fn descriptor(&self) -> Descriptor {
        descriptor(self.media_type, &self.digest, self.bytes.len() as u64, None)
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::Sha256(Sha256::digest(bytes).into())
}

pub(crate) fn descriptor(media_type: &str, digest: &Digest, size: u64, annotations: Option<Annotations>) -> Descriptor {
    let (media_type, digest) = (media_type.to_owned(), digest.prefixed());
    Descriptor { media_type, artifact_type: None, digest, size, platform: None, annotations }
}

/// The configuration of a ModelPack; the digests are those of its layers in their order.
pub(crate) fn model_config(
    repo: &str,
    commit: &str,
    kind: ModelKind,
    license: Option<&str>,
    layers: &[Digest],
) -> Document {
    let (format, capabilities) = match kind {
        ModelKind::Whisper => (Some("ctranslate2"), json!({ "inputTypes": ["audio"], "outputTypes": ["text"] })),
        ModelKind::LanguageId => (None, json!({ "inputTypes": ["audio"], "outputTypes": ["text"] })),
        ModelKind::Transformers | ModelKind::Other => (None, Value::Null),
    };
    let mut descriptor = json!({ "name": repo, "revision": commit });
    if let Some(license) = license {
        descriptor["licenses"] = json!([license]);
    }
    let mut config = json!({});
    if let Some(format) = format {
        config["format"] = format.into();
    }
    if !capabilities.is_null() {
        config["capabilities"] = capabilities;
    }
    let diff_ids: Vec<String> = layers.iter().map(Digest::prefixed).collect();
    let content = json!({
        "descriptor": descriptor,
        "config": config,
        "modelfs": { "type": "layers", "diffIds": diff_ids },
    });
    Document::new(media::MODEL_CONFIG, &content)
}

/// The manifest of a ModelPack.
pub(crate) fn model_manifest(config: &Document, layers: Vec<Descriptor>, annotations: Annotations) -> Document {
    let manifest = Manifest {
        schema_version: 2,
        media_type: media::MANIFEST.to_owned(),
        artifact_type: Some(media::MODEL.to_owned()),
        config: config.descriptor(),
        layers,
        annotations: Some(annotations),
    };
    Document::new(media::MANIFEST, &manifest)
}

/// An image for each platform: its configuration and its manifest.
pub(crate) fn image_manifests(layers: &[(Digest, u64)], annotations: &Annotations) -> Vec<(Document, Document, Value)> {
    let diff_ids: Vec<String> = layers.iter().map(|(digest, _)| digest.prefixed()).collect();
    let layers: Vec<Descriptor> =
        layers.iter().map(|(digest, size)| descriptor(media::IMAGE_LAYER, digest, *size, None)).collect();
    let image = |architecture: &str| {
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = Document::new(media::IMAGE_CONFIG, &config);
        let manifest = Manifest {
            schema_version: 2,
            media_type: media::MANIFEST.to_owned(),
            artifact_type: None,
            config: config.descriptor(),
            layers: layers.clone(),
            annotations: Some(annotations.clone()),
        };
        let manifest = Document::new(media::MANIFEST, &manifest);
        (config, manifest, json!({ "architecture": architecture, "os": "linux" }))
    };
    ARCHITECTURES.into_iter().map(image).collect()
}

/// The index over the images of all platforms.
pub(crate) fn image_index(images: &[(Document, Document, Value)], annotations: Annotations) -> Document {
    let manifests = images
        .iter()
        .map(|(_, manifest, platform)| Descriptor { platform: Some(platform.clone()), ..manifest.descriptor() });
    let index = Index {
        schema_version: 2,
        media_type: media::INDEX.to_owned(),
        manifests: manifests.collect(),
        annotations: Some(annotations),
    };
    Document::new(media::INDEX, &index)
}
