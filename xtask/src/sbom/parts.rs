//! What the program and its engine contain and cargo does not know of.
//!
//! Source for what is linked into the engine's wheel: `python/tools/prepare_build_environment_linux.sh` of CTranslate2's
//! sources, and its folder `third_party`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::Component;

struct Part {
    name: &'static str,
    version: &'static str,
    purl: &'static str,
    license: &'static str,
    kind: &'static str,
    description: &'static str,
    /// File with its license below the engine's sources.
    text: Option<&'static str>,
}

/// Name of the wheel.
pub(super) const ENGINE: &str = "ctranslate2";
const OPUS: &str = "pkg:generic/opus@1.6.1";
const ZLIB: &str = "pkg:generic/zlib@1.3.2";
const SILERO: &str = "pkg:pypi/silero-vad@6.0.0";

const ONEDNN: &str = "pkg:generic/onednn@3.1.1";
const MKL: &str = "pkg:generic/intel-oneapi-mkl@2025.3.0";
const CUDA: &str = "pkg:generic/cuda-cudart@12.8.90";
const CUTLASS: &str = "pkg:generic/cutlass@3.4.1";
const THRUST: &str = "pkg:generic/thrust@2.7.0";
const SPDLOG: &str = "pkg:generic/spdlog@1.10.0";
const CPU_FEATURES: &str = "pkg:generic/cpu_features@0.7.0";
const LIBGOMP: &str = "pkg:generic/libgomp@1.0.0";

/// Everything but the wheel itself, whose version and hash stand in `scripts/engine.sh`.
const PARTS: &[Part] = &[
    Part {
        name: "opus",
        version: "1.6.1",
        purl: OPUS,
        license: "BSD-3-Clause",
        kind: "library",
        description: "Decoder of Opus; its C sources are in the crate opusic-sys",
        text: None,
    },
    Part {
        name: "zlib",
        version: "1.3.2",
        purl: ZLIB,
        license: "Zlib",
        kind: "library",
        description: "Its C sources are in the crate libz-sys",
        text: None,
    },
    Part {
        name: "silero-vad",
        version: "6.0.0",
        purl: SILERO,
        license: "MIT",
        kind: "machine-learning-model",
        description: "Voice activity detection; the weights are inside the program",
        text: None,
    },
    Part {
        name: "libgomp",
        version: "1.0.0",
        purl: LIBGOMP,
        license: "GPL-3.0-or-later WITH GCC-exception-3.1",
        kind: "library",
        description: "OpenMP runtime, a file of the engine's wheel",
        text: None,
    },
    Part {
        name: "onednn",
        version: "3.1.1",
        purl: ONEDNN,
        license: "Apache-2.0",
        kind: "library",
        description: "Linked into the engine's library on x86_64",
        text: None,
    },
    Part {
        name: "intel-oneapi-mkl",
        version: "2025.3.0",
        purl: MKL,
        license: "LicenseRef-Intel-Simplified-Software-License",
        kind: "library",
        description: "Linked into the engine's library on x86_64",
        text: None,
    },
    Part {
        name: "cuda-cudart",
        version: "12.8.90",
        purl: CUDA,
        license: "LicenseRef-NVIDIA-CUDA-EULA",
        kind: "library",
        description: "CUDA runtime, linked into the engine's library on x86_64; used with a GPU only",
        text: None,
    },
    Part {
        name: "cutlass",
        version: "3.4.1",
        purl: CUTLASS,
        license: "BSD-3-Clause",
        kind: "library",
        description: "Linked into the engine's library on x86_64; used with a GPU only",
        text: Some("third_party/cutlass/LICENSE.txt"),
    },
    Part {
        name: "thrust",
        version: "2.7.0",
        purl: THRUST,
        license: "Apache-2.0",
        kind: "library",
        description: "Linked into the engine's library on x86_64; used with a GPU only",
        text: Some("third_party/thrust/LICENSE"),
    },
    Part {
        name: "spdlog",
        version: "1.10.0",
        purl: SPDLOG,
        license: "MIT",
        kind: "library",
        description: "Linked into the engine's library",
        text: Some("third_party/spdlog/LICENSE"),
    },
    Part {
        name: "cpu_features",
        version: "0.7.0",
        purl: CPU_FEATURES,
        license: "Apache-2.0",
        kind: "library",
        description: "Linked into the engine's library",
        text: Some("third_party/cpu_features/LICENSE"),
    },
];

/// Package URLs of what a crate has inside.
pub(super) fn inside(package: &str) -> impl Iterator<Item = &'static str> {
    let parts: &[&str] = match package {
        "opusic-sys" => &[OPUS],
        "libz-sys" => &[ZLIB],
        "speech-flow-demo-hub" => &[SILERO],
        _ => &[],
    };
    parts.iter().copied()
}

/// All parts, the engine's wheel among them.
pub(super) fn list(root: &Path) -> anyhow::Result<Vec<Component>> {
    let script = fs::read_to_string(root.join("scripts/engine.sh")).context("`scripts/engine.sh` cannot be read")?;
    let sources = engine_sources(root)?;
    let read = |file: &str| {
        let path = sources.join(file);
        fs::read_to_string(&path).with_context(|| format!("`{}` cannot be read", path.display()))
    };
    let mut components = vec![Component { texts: vec![read("LICENSE")?], ..engine(&script)? }];
    for part in PARTS {
        components.push(Component {
            name: part.name.to_owned(),
            version: part.version.to_owned(),
            purl: part.purl.to_owned(),
            license: part.license.to_owned(),
            kind: part.kind,
            sha256: None,
            description: Some(part.description.to_owned()),
            needs: Vec::new(),
            texts: part.text.map(read).transpose()?.into_iter().collect(),
        });
    }
    Ok(components)
}

/// The engine's sources, in the crate whose headers `scripts/engine.sh` uses.
fn engine_sources(root: &Path) -> anyhow::Result<PathBuf> {
    let manifest = root.join("target/engine/headers/Cargo.toml");
    anyhow::ensure!(manifest.is_file(), "the engine is not set up: run `make engine`");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--manifest-path"])
        .arg(&manifest)
        .output()
        .context("cargo could not be started")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("`cargo metadata` failed")?;
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let package = packages.find(|package| package["name"] == "ct2rs").context("the engine's headers are gone")?;
    let folder = Path::new(package["manifest_path"].as_str().unwrap_or_default()).parent();
    Ok(folder.context("a package has no folder")?.join("CTranslate2"))
}

fn engine(script: &str) -> anyhow::Result<Component> {
    let version = assigned(script, "version").context("`scripts/engine.sh` names no version")?;
    let sha256 = assigned(script, "wheel_x86_64").context("`scripts/engine.sh` names no hash of the wheel")?;
    Ok(Component {
        name: ENGINE.to_owned(),
        purl: format!("pkg:pypi/{ENGINE}@{version}"),
        version,
        license: "MIT".to_owned(),
        kind: "library",
        sha256: Some(sha256),
        description: Some("Inference engine: the libraries of its wheel for x86_64, beside the program".to_owned()),
        needs: [ONEDNN, MKL, CUDA, CUTLASS, THRUST, SPDLOG, CPU_FEATURES, LIBGOMP].map(str::to_owned).to_vec(),
        texts: Vec::new(),
    })
}

/// The word that a line of a shell script assigns.
fn assigned(script: &str, name: &str) -> Option<String> {
    let value = script.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    value.split_whitespace().next().map(str::to_owned)
}
