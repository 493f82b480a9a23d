//! What the rules look at: every Rust file and every manifest of the workspace, and the packages it builds on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::source::Source;

/// A crate's `Cargo.toml`.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Path from the workspace root, with `/`.
    pub(crate) path: String,
    pub(crate) table: toml::Table,
}

impl Manifest {
    pub(crate) fn new(path: &str, table: toml::Table) -> Self {
        Self { path: path.to_owned(), table }
    }

    /// The name in `[package]`; empty when there is none.
    pub(crate) fn package(&self) -> &str {
        self.table
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(toml::Value::as_str)
            .unwrap_or_default()
    }

    /// Every dependency of one kind (`dependencies`, `dev-dependencies`, `build-dependencies`), those
    /// under `[target.'…']` too.
    pub(crate) fn dependencies(&self, kind: &str) -> Vec<(&str, &toml::Value)> {
        let targets = self.table.get("target").and_then(toml::Value::as_table);
        let mut tables: Vec<&toml::Value> =
            targets.into_iter().flat_map(toml::Table::values).filter_map(|target| target.get(kind)).collect();
        tables.extend(self.table.get(kind));
        tables
            .into_iter()
            .filter_map(toml::Value::as_table)
            .flatten()
            .map(|(name, value)| (name.as_str(), value))
            .collect()
    }
}

/// Everything `tidy` reads.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) files: Vec<Source>,
    pub(crate) manifests: Vec<Manifest>,
    /// Name and version of each outside package of the build → its license expression.
    pub(crate) licenses: BTreeMap<String, Option<String>>,
    /// The licenses that `deny.toml` allows.
    pub(crate) allowed_licenses: Vec<String>,
}

impl Workspace {
    /// The folder this program was built in.
    pub(crate) fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
    }

    pub(crate) fn load(root: &Path) -> anyhow::Result<Self> {
        let mut workspace = Self::default();
        let mut crates: Vec<PathBuf> =
            entries(&root.join("crates"))?.into_iter().filter(|path| path.join("Cargo.toml").is_file()).collect();
        crates.push(root.join("xtask"));
        for folder in crates {
            workspace.read_manifest(root, &folder.join("Cargo.toml"))?;
            workspace.read_sources(root, &folder)?;
        }
        let fuzz = root.join("fuzz");
        if fuzz.is_dir() {
            workspace.read_sources(root, &fuzz)?;
        }
        workspace.licenses = read_licenses(root)?;
        workspace.allowed_licenses = read_allowed_licenses(root)?;
        Ok(workspace)
    }

    fn read_manifest(&mut self, root: &Path, path: &Path) -> anyhow::Result<()> {
        let text = read(path)?;
        let table = text.parse().with_context(|| format!("`{}` is no TOML", path.display()))?;
        self.manifests.push(Manifest::new(&relative(root, path), table));
        Ok(())
    }

    fn read_sources(&mut self, root: &Path, folder: &Path) -> anyhow::Result<()> {
        for path in entries(folder)? {
            if path.is_dir() {
                if !path.ends_with("target") {
                    self.read_sources(root, &path)?;
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                self.files.push(Source::new(&relative(root, &path), &read(&path)?));
            }
        }
        Ok(())
    }
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)
        .with_context(|| format!("`{}` cannot be listed", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// Asks cargo for the packages that the lock file names for x86-64 Linux.
pub(crate) fn metadata(root: &Path) -> anyhow::Result<serde_json::Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"])
        .current_dir(root)
        .output()
        .context("cargo could not be started")?;
    if !output.status.success() {
        bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn read_licenses(root: &Path) -> anyhow::Result<BTreeMap<String, Option<String>>> {
    let metadata = metadata(root)?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` lists no packages")?;
    Ok(packages
        .iter()
        .filter(|package| !package["source"].is_null())
        .map(|package| {
            let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
            (format!("{} {}", text("name"), text("version")), package["license"].as_str().map(str::to_owned))
        })
        .collect())
}

fn read_allowed_licenses(root: &Path) -> anyhow::Result<Vec<String>> {
    let table: toml::Table = read(&root.join("deny.toml"))?.parse().context("`deny.toml` is no TOML")?;
    let allow = table.get("licenses").and_then(|licenses| licenses.get("allow")).and_then(toml::Value::as_array);
    let allow = allow.context("`deny.toml` has no `licenses.allow`")?;
    Ok(allow.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect())
}
