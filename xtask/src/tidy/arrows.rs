//! Arrows between crates point one way.

use super::Finding;
use crate::workspace::Workspace;

/// Each crate and the crates of this workspace that it may depend on. Nothing else is an allowed arrow.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "speech-flow",
        &[
            "speech-flow-cache-server",
            "speech-flow-speech-worker",
            "speech-flow-http-listener",
            "speech-flow-speech-engine",
            "speech-flow-model-oci",
            "speech-flow-model-manager",
            "speech-flow-model-hub",
            "speech-flow-model-types",
            "speech-flow-demo-hub",
        ],
    ),
    (
        "speech-flow-cache-server",
        &[
            "speech-flow-http-listener",
            "speech-flow-model-manager",
            "speech-flow-model-hub",
            "speech-flow-model-cache",
            "speech-flow-model-types",
        ],
    ),
    (
        "speech-flow-speech-worker",
        &[
            "speech-flow-http-listener",
            "speech-flow-model-manager",
            "speech-flow-speech-engine",
            "speech-flow-model-types",
        ],
    ),
    ("speech-flow-http-listener", &[]),
    ("speech-flow-speech-engine", &["speech-flow-ctranslate2"]),
    ("speech-flow-ctranslate2", &[]),
    ("speech-flow-model-oci", &["speech-flow-model-hub", "speech-flow-model-cache", "speech-flow-model-types"]),
    ("speech-flow-model-manager", &["speech-flow-model-hub", "speech-flow-model-cache", "speech-flow-model-types"]),
    ("speech-flow-model-hub", &["speech-flow-model-types"]),
    ("speech-flow-model-cache", &["speech-flow-model-types"]),
    ("speech-flow-demo-hub", &["speech-flow-model-types"]),
    ("speech-flow-model-types", &[]),
    ("xtask", &[]),
];

/// A test may use the embedded hub, whatever its crate; the tests of the binary may look at every part.
const TEST_KIT: &str = "speech-flow-demo-hub";
const PURE: &str = "speech-flow-model-types";
const BINARY: &str = "speech-flow";

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in &workspace.manifests {
        let package = manifest.package();
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package) else {
            findings.push(Finding::new(&manifest.path, 0, format!("crate `{package}` is not in the table of arrows")));
            continue;
        };
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for (dependency, _) in manifest.dependencies(kind).into_iter().filter(|(name, _)| is_ours(name)) {
                let for_tests = kind == "dev-dependencies"
                    && (package == BINARY || (dependency == TEST_KIT && package != PURE && package != TEST_KIT));
                if !allowed.contains(&dependency) && !for_tests {
                    let message = format!("`{package}` must not depend on `{dependency}` ({kind})");
                    findings.push(Finding::new(&manifest.path, 0, message));
                }
            }
        }
    }
    findings
}

fn is_ours(name: &str) -> bool {
    ARROWS.iter().any(|(package, _)| *package == name) || name.starts_with("speech-flow-")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{expect, with_manifest};
    use super::*;

    #[track_caller]
    fn refused(manifest: &str, message: &str) {
        expect(&check(&with_manifest(manifest)), &[message]);
    }

    #[track_caller]
    fn accepted(manifest: &str) {
        expect(&check(&with_manifest(manifest)), &[]);
    }

    #[test]
    fn hub_and_cache_never_name_each_other() {
        refused(
            "package.name = 'speech-flow-model-hub'\n[dependencies]\nspeech-flow-model-cache.workspace = true",
            "`speech-flow-model-hub` must not depend on `speech-flow-model-cache` (dependencies)",
        );
        refused(
            "package.name = 'speech-flow-model-cache'\n[dev-dependencies]\nspeech-flow-model-hub.workspace = true",
            "(dev-dependencies)",
        );
    }

    #[test]
    fn an_arrow_back_is_refused_under_a_target_too() {
        refused(
            "package.name = 'speech-flow-model-types'\n[target.'cfg(unix)'.dependencies]\nspeech-flow.workspace = true",
            "must not depend on `speech-flow`",
        );
    }

    #[test]
    fn the_embedded_hub_is_for_tests_and_the_binary() {
        let hub = "speech-flow-demo-hub.workspace = true";
        accepted(&format!("package.name = 'speech-flow-model-cache'\n[dev-dependencies]\n{hub}"));
        accepted(&format!("package.name = 'speech-flow'\n[dependencies]\n{hub}"));
        refused(&format!("package.name = 'speech-flow-model-manager'\n[dependencies]\n{hub}"), "must not depend on");
        refused(&format!("package.name = 'speech-flow-model-types'\n[dev-dependencies]\n{hub}"), "must not depend on");
    }

    #[test]
    fn tests_of_the_binary_may_look_at_every_part() {
        accepted("package.name = 'speech-flow'\n[dev-dependencies]\nspeech-flow-model-cache.workspace = true");
        refused(
            "package.name = 'speech-flow'\n[dependencies]\nspeech-flow-model-cache.workspace = true",
            "must not depend on `speech-flow-model-cache`",
        );
    }

    #[test]
    fn a_new_crate_must_be_placed_in_the_table() {
        refused("package.name = 'speech-flow-extra'", "`speech-flow-extra` is not in the table");
    }
}
