//! `pack`: models as an OCI artifact.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(
    override_usage = "speech-flow pack [OPTIONS] MODEL… oci://REGISTRY/NAME:TAG\n       \
                      speech-flow pack [OPTIONS] MODEL… --output DIR",
    after_help = "The models are taken from the cache; one that is not there is fetched first. Every file is hashed \
                  before it is packed. The same files give the same digest, whoever packs them.\n\n\
                  `modelpack` is the CNCF's format for one model: `oras`, modctl, KitOps and mounts of artifacts give \
                  its folder. `image` is an image of one or more models that Kubernetes mounts as a volume; its tree \
                  is the cache, so its place is `MODEL_CACHE_DIR`. `speech-flow preload oci://…` reads both.\n\n\
                  A login comes from Docker's `config.json`, or from `SPEECH_FLOW_REGISTRY_USERNAME` and \
                  `SPEECH_FLOW_REGISTRY_PASSWORD`.\n\n\
                  Examples:\n  \
                  speech-flow pack large-v3 oci://registry.example/models/whisper-large-v3:v1\n  \
                  speech-flow pack large-v3 facebook/mms-lid-126 --format image oci://registry.example/models/speech:v1\n  \
                  speech-flow pack turbo --output ./turbo --tag v1"
)]
pub(crate) struct PackArgs {
    /// Models: a Whisper size name or `owner/name[@revision]`; then the artifact, `oci://REGISTRY/NAME:TAG`
    #[arg(value_name = "MODEL", required = true)]
    pub(crate) names: Vec<String>,
    /// How the artifact is laid out
    #[arg(long, value_enum, default_value_t = PackFormat::Modelpack)]
    pub(crate) format: PackFormat,
    /// Write an OCI image layout into this folder, in place of a registry
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Tag of the artifact in that folder
    #[arg(long, value_name = "TAG", requires = "output", default_value = "latest")]
    pub(crate) tag: String,
    /// Accept only what the lockfile says
    #[arg(long)]
    pub(crate) locked: bool,
    /// Speak plain HTTP to the registry; without it only one on this machine is spoken to so
    #[arg(long, conflicts_with = "output")]
    pub(crate) plain_http: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// How an artifact is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PackFormat {
    /// One model as raw files
    Modelpack,
    /// An image whose tree is the cache
    Image,
}
