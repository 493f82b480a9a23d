//! Manifests take lints and versions from the workspace.

use super::Finding;
use crate::workspace::Workspace;

/// The one crate that calls foreign code. It has a table of lints of its own, without `unsafe_code = "forbid"`.
const FOREIGN: &str = "speech-flow-ctranslate2";

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in &workspace.manifests {
        let lints = manifest.table.get("lints").and_then(|lints| lints.get("workspace"));
        if lints.and_then(toml::Value::as_bool) != Some(true) && manifest.package() != FOREIGN {
            findings.push(Finding::new(&manifest.path, 0, "`[lints] workspace = true` is missing"));
        }
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for (name, value) in manifest.dependencies(kind) {
                if value.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                    let message = format!("`{name}` belongs into `[workspace.dependencies]`");
                    findings.push(Finding::new(&manifest.path, 0, message));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::testing::{expect, with_manifest};
    use super::*;

    #[test]
    fn lints_and_versions_of_its_own_are_refused() {
        let bad = "package.name = 'x'\n[dependencies]\nserde = '1'\n[dev-dependencies]\ntempfile = { version = '3' }";
        expect(&check(&with_manifest(bad)), &["lints", "`serde`", "`tempfile`"]);
    }

    #[test]
    fn what_comes_from_the_workspace_is_fine() {
        let good = "package.name = 'x'\nlints.workspace = true\n[dependencies]\nserde = { workspace = true }";
        expect(&check(&with_manifest(good)), &[]);
    }
}
