//! Media types and annotations.
//!
//! Source: the OCI image specification 1.1, `media-types.md` and `annotations.md`; the ModelPack specification,
//! `docs/spec.md`, `specs-go/v1/mediatype.go` and `specs-go/v1/annotations.go`.

use speech_flow_model_types::{RelPath, RemoteFile};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const IMAGE_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

pub(crate) const MODEL: &str = "application/vnd.cncf.model.manifest.v1+json";
pub(crate) const MODEL_CONFIG: &str = "application/vnd.cncf.model.config.v1+json";
const WEIGHT: &str = "application/vnd.cncf.model.weight.v1.raw";
const WEIGHT_CONFIG: &str = "application/vnd.cncf.model.weight.config.v1.raw";
const DOC: &str = "application/vnd.cncf.model.doc.v1.raw";

/// A layer's file name, for `oras` and for mounts of artifacts.
pub(crate) const TITLE: &str = "org.opencontainers.image.title";
/// A layer's file name, for readers of ModelPack.
pub(crate) const FILE_PATH: &str = "org.cncf.model.filepath";
pub(crate) const REVISION: &str = "org.opencontainers.image.revision";
pub(crate) const LICENSES: &str = "org.opencontainers.image.licenses";
/// A manifest's tag in a folder.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What is in the artifact, for reading it back.
pub(crate) const DESCRIPTION: &str = "io.github.speech-flow.models";

/// The media type of a raw layer.
pub(crate) fn of_file(file: &RemoteFile) -> &'static str {
    match file.path.as_str() {
        path if is_document(&file.path) && !path.ends_with(".json") => DOC,
        path if WEIGHTS.iter().any(|ending| path.ends_with(ending)) => WEIGHT,
        _ => WEIGHT_CONFIG,
    }
}

const WEIGHTS: [&str; 5] = [".bin", ".safetensors", ".onnx", ".gguf", ".pt"];

fn is_document(path: &RelPath) -> bool {
    ["README", "LICENSE", "NOTICE"].iter().any(|start| path.file_name().to_ascii_uppercase().starts_with(start))
}
