//! What the program is made of: a CycloneDX document, and the licenses with their texts.
//!
//! Crates come from cargo itself, with the checksums of `Cargo.lock`. What cargo does not know of (the engine's wheel and
//! what is linked into it, C sources inside crates, weights inside the program) comes from the table in `parts.rs`. Tools
//! that only run at build time, procedural macros among them, are not part of the program and not listed.
//!
//! The documents have no time and no random number: the same sources give the same bytes.

mod crates;
mod document;
mod parts;
mod texts;

use std::fs;
use std::path::Path;

use anyhow::Context;

/// One thing that the program contains.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Package URL, which is also how other components name it.
    pub(crate) purl: String,
    /// An SPDX expression.
    pub(crate) license: String,
    /// What it is, as CycloneDX has it.
    pub(crate) kind: &'static str,
    /// SHA-256 of the package as it was fetched.
    pub(crate) sha256: Option<String>,
    pub(crate) description: Option<String>,
    /// Package URLs of what it contains or is linked with.
    pub(crate) needs: Vec<String>,
    /// Texts of its license, as its package has them.
    pub(crate) texts: Vec<String>,
}

/// Writes both documents into a folder; gives the number of components.
pub(crate) fn write(root: &Path, out: &Path) -> anyhow::Result<usize> {
    let mut components = crates::list(root)?;
    components.extend(parts::list(root)?);
    components.sort();
    link_engine(&mut components);
    let program = crates::program(&components)?;
    fs::create_dir_all(out).with_context(|| format!("`{}` cannot be made", out.display()))?;
    let write = |name: &str, text: String| {
        let path = out.join(name);
        fs::write(&path, text).with_context(|| format!("`{}` cannot be written", path.display()))
    };
    let document = document::of(&program, &components);
    write("speech-flow.cdx.json", format!("{}\n", serde_json::to_string_pretty(&document)?))?;
    write("LICENSES.txt", texts::of(&components))?;
    Ok(components.len())
}

/// The crate that opens the engine's library needs it, in whatever version the script sets up.
fn link_engine(components: &mut [Component]) {
    let engine = components.iter().find(|component| component.name == parts::ENGINE).map(|engine| engine.purl.clone());
    let user = components.iter_mut().find(|component| component.name == "speech-flow-ctranslate2");
    if let Some(user) = user {
        user.needs.extend(engine);
    }
}

#[cfg(test)]
mod tests;
