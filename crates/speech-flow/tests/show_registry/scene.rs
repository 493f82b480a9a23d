//! A registry, a world that packs into it, and worlds that read from it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use speech_flow_demo_hub::DemoHub;

use crate::payload::Payload;
use crate::registry::{Door, Registry};
use crate::support::{Run, World};

pub(crate) const REPO: &str = "org/artifact";
pub(crate) const WEIGHTS: &str = "weights.bin";
/// Large files have a layer that is named like the blob; small ones have two digests.
pub(crate) const FILES: [(&str, usize); 4] =
    [(WEIGHTS, 10 << 20), ("a/table.dat", 3 << 20), ("words.txt", 50_000), ("notes.md", 700)];

pub(crate) const FORMATS: [&str; 2] = ["modelpack", "image"];

pub(crate) struct Scene {
    pub(crate) packer: World,
    pub(crate) payload: Payload,
    pub(crate) registry: Registry,
}

impl Scene {
    pub(crate) fn start(door: &Door) -> Option<Self> {
        let payload = Payload::new(REPO, &FILES);
        let packer =
            World::with(DemoHub::builder().demo().expect("the demo repositories").repository(payload.repository()));
        let registry = Registry::start(packer.folder(), door)?;
        Some(Self { packer, payload, registry })
    }

    /// Packs the model in a format, under the format's name.
    #[track_caller]
    pub(crate) fn pack(&self, format: &str) -> Value {
        let reference = self.registry.reference(&format!("models/artifact:{format}"));
        self.packer.run(&["pack", REPO, "--format", format, "--json", &reference]).exits(0).json()
    }

    /// What the registry keeps as a manifest.
    #[track_caller]
    pub(crate) fn manifest(&self, digest: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.registry.blob(digest)).expect("a manifest")).expect("JSON")
    }

    /// The manifest with the layers, also where an index stands before it.
    #[track_caller]
    pub(crate) fn layers(&self, pack: &Value) -> (String, Vec<Value>) {
        let mut digest = text(&pack["digest"]);
        let mut manifest = self.manifest(&digest);
        if let Some(image) = manifest["manifests"].get(0) {
            digest = text(&image["digest"]);
            manifest = self.manifest(&digest);
        }
        (digest, manifest["layers"].as_array().expect("layers").clone())
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// A reader with a cache of its own and no hub to ask.
pub(crate) struct Reader {
    pub(crate) world: World,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { world: World::with(DemoHub::builder()) }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(arguments);
        command.env("HF_ENDPOINT", "http://127.0.0.1:1").env("MODEL_DOWNLOAD_RETRY_DELAY", "1ms");
        command.env("SPEECH_FLOW_SEGMENT_SIZE", "512KiB");
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.world.finish(&mut self.command(arguments))
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.world.hub_cache()
    }

    /// Nothing of the model counts as there.
    #[track_caller]
    pub(crate) fn assert_nothing_counts(&self, what: &str) {
        crate::audit::audit(&self.cache());
        let folder = self.cache().join("models--org--artifact");
        assert!(!folder.join("refs/main").exists(), "{what}: a name stands for it");
        self.run(&["path", REPO, "--offline"]).exits(1);
    }
}

pub(crate) fn sha256_of(path: &Path) -> String {
    let digest = Sha256::digest(std::fs::read(path).expect("a file"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
