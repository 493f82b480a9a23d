//! The crates that the program is linked from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::{Component, parts, texts};
use crate::workspace::metadata;

const PROGRAM: &str = "speech-flow";

/// Every crate that is linked into the program on x86_64 Linux.
pub(super) fn list(root: &Path) -> anyhow::Result<Vec<Component>> {
    let metadata = metadata(root)?;
    let lock = fs::read_to_string(root.join("Cargo.lock")).context("`Cargo.lock` cannot be read")?;
    let checksums = checksums(&lock)?;
    let packages: BTreeMap<&str, &Value> = of_each(&metadata["packages"]);
    let nodes: BTreeMap<&str, &Value> = of_each(&metadata["resolve"]["nodes"]);
    let start = packages.iter().find(|(_, package)| package["name"] == PROGRAM).context("the program is no package")?;
    let linked = linked(start.0, &nodes, &packages);
    linked
        .iter()
        .map(|id| {
            let package = packages[id];
            let needs = dependencies(nodes[id]).filter(|id| linked.contains(id)).map(|id| purl(packages[id]));
            let (name, version) = (text(package, "name"), text(package, "version"));
            let folder = Path::new(package["manifest_path"].as_str().unwrap_or_default()).parent();
            Ok(Component {
                purl: purl(package),
                // The old form with `/` means `OR`.
                license: text(package, "license").replace('/', " OR "),
                kind: if name == PROGRAM { "application" } else { "library" },
                sha256: checksums.get(&(name.clone(), version.clone())).cloned(),
                description: package["description"].as_str().map(one_line),
                needs: needs.chain(parts::inside(&name).map(str::to_owned)).collect(),
                texts: match (folder, package["source"].is_null()) {
                    (Some(folder), false) => texts::in_folder(folder)?,
                    // The workspace's own license stands beside these documents.
                    _ => Vec::new(),
                },
                name,
                version,
            })
        })
        .collect()
}

/// The program itself among the components.
pub(super) fn program(components: &[Component]) -> anyhow::Result<Component> {
    let program = components.iter().find(|component| component.kind == "application");
    program.cloned().context("the program is not among the components")
}

/// Where a package's sources are.
#[cfg(test)]
pub(super) fn folder(root: &Path, name: &str) -> anyhow::Result<std::path::PathBuf> {
    let metadata = metadata(root)?;
    let package = of_each(&metadata["packages"]).into_values().find(|package| package["name"] == name);
    let manifest = Path::new(package.context("no such package")?["manifest_path"].as_str().unwrap_or_default());
    Ok(manifest.parent().context("it has no folder")?.to_owned())
}

fn of_each(list: &Value) -> BTreeMap<&str, &Value> {
    list.as_array().into_iter().flatten().filter_map(|item| Some((item["id"].as_str()?, item))).collect()
}

/// All that is reached from the program without going through a tool of the build.
fn linked<'a>(
    start: &'a str,
    nodes: &BTreeMap<&'a str, &'a Value>,
    packages: &BTreeMap<&'a str, &'a Value>,
) -> BTreeSet<&'a str> {
    let (mut found, mut open) = (BTreeSet::from([start]), vec![start]);
    while let Some(id) = open.pop() {
        for needed in nodes.get(id).into_iter().flat_map(|node| dependencies(node)) {
            if !is_macro(packages[needed]) && found.insert(needed) {
                open.push(needed);
            }
        }
    }
    found
}

/// Ids of a node's dependencies that are linked; those of tests and build scripts are not.
fn dependencies<'a>(node: &'a Value) -> impl Iterator<Item = &'a str> + 'a {
    let linked = |dependency: &&Value| {
        dependency["dep_kinds"].as_array().into_iter().flatten().any(|kind| kind["kind"].is_null())
    };
    let all = node["deps"].as_array().into_iter().flatten();
    all.filter(linked).filter_map(|dependency| dependency["pkg"].as_str())
}

fn is_macro(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    targets.flat_map(|target| target["kind"].as_array().into_iter().flatten()).any(|kind| kind == "proc-macro")
}

fn purl(package: &Value) -> String {
    format!("pkg:cargo/{}@{}", text(package, "name"), text(package, "version"))
}

/// CycloneDX takes no line breaks in a description.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// Name and version → the checksum of the registry.
fn checksums(lock: &str) -> anyhow::Result<BTreeMap<(String, String), String>> {
    let lock: toml::Table = lock.parse().context("`Cargo.lock` is no TOML")?;
    let packages = lock.get("package").and_then(toml::Value::as_array).context("`Cargo.lock` lists no packages")?;
    let text = |package: &toml::Value, key: &str| package.get(key)?.as_str().map(str::to_owned);
    Ok(packages
        .iter()
        .filter_map(|package| Some(((text(package, "name")?, text(package, "version")?), text(package, "checksum")?)))
        .collect())
}
