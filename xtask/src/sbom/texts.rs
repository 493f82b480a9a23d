//! The licenses as people read them: which component has which, then each text once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::Component;

/// Names that license files begin with.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// The license texts that a package has in its folder.
pub(super) fn in_folder(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("`{}` cannot be listed", folder.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        path.is_file() && NAMES.iter().any(|start| name.starts_with(start))
    });
    paths.sort();
    let read = |path: &std::path::PathBuf| -> anyhow::Result<String> {
        let bytes = fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
        let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
        Ok(text.trim_matches('\n').to_owned())
    };
    paths.iter().map(read).collect()
}

/// The whole document.
pub(super) fn of(components: &[Component]) -> String {
    let mut document =
        String::from("What speech-flow is made of, and under which licenses. The texts follow the list.\n\n");
    let mut users: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for component in components {
        let name = format!("{} {}", component.name, component.version);
        document.push_str(&format!("{name}: {}\n", component.license));
        for text in &component.texts {
            users.entry(text).or_default().push(name.clone());
        }
    }
    let mut texts: Vec<(&str, Vec<String>)> = users.into_iter().collect();
    // What most components share comes first.
    texts.sort_by_key(|(_, users)| (usize::MAX - users.len(), users.clone()));
    for (text, users) in texts {
        document.push_str(&format!("\n{}\n{}\n\n{}\n", "=".repeat(100), users.join(", "), text));
    }
    document
}
