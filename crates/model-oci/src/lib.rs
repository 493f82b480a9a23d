//! Models as OCI artifacts: packed from the cache, pushed to a registry, and read back as a source.
//!
//! An artifact holds the verified files of one or more models with all that the cache knows of them: repository,
//! commit, the names that stood for it, the commit's whole listing. So what is read back is what came from the hub,
//! byte for byte and hash for hash. It comes in two [`Format`]s, since no single one serves every reader:
//!
//! * **ModelPack** (the CNCF's model-spec): one raw layer for each file, named by its path. `oras`, modctl, KitOps,
//!   the ModelPack CSI driver and the artifact mounts of CRI-O and podman give the model's folder from it. A raw
//!   layer of a large file has the digest that names the file in the cache, so the registry and the cache speak of
//!   the same bytes. containerd mounts none of it: it asks for an image configuration and tar layers
//!   (containerd/containerd#11381, #11907).
//! * **Image**: an OCI image that cannot run, one uncompressed tar layer for each file and one of links, whose tree
//!   is the cache itself. Every container runtime with image volumes mounts it. Layers hold blobs, which are named
//!   by content: a new revision of a model shares the layers that did not change, in the registry and on the nodes.
//!   `oras` pulls its layers as tar files.
//!
//! Both have the same bytes whoever packs the same files: no time, no owner, no address of a hub is in them.
//!
//! **Invariant:** what a registry says is believed no further than its digests: a reference is settled to the digest
//! of a manifest, the manifest names each file's digests, and [`ArtifactSource`] gives bytes that the model manager
//! holds to them before they get their final name. No archive is unpacked: the head of a tar layer is compared with
//! the one that packing would have written, and the file behind it is read as a range.
//!
//! **Invariant:** credentials go to the registry that the reference names and to the token service that it points
//! to, over TLS or on the machine itself, and nowhere else.

pub mod challenge;
pub mod credentials;
pub mod description;
pub mod reference;

mod artifact;
mod documents;
mod error;
mod folder;
mod layer;
mod media;
mod pack;
mod push;
mod registry;
mod source;

pub use artifact::{Artifact, InvalidArtifact, PackedModel, parse_artifact};
pub use credentials::Credentials;
pub use error::OciError;
pub use folder::write_folder;
pub use pack::{Format, ModelToPack, Pack, pack};
pub use push::{Pushed, push};
pub use reference::{InvalidReference, Reference};
pub use registry::{Access, Registry, RegistryConfig};
pub use source::ArtifactSource;
