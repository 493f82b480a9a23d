//! The reference page, generated from the declarations.

use std::fmt::Write;

use super::options::{DECLARATIONS, Declaration};

/// The reference of every setting as a Markdown table; `docs/MODEL_MANAGEMENT.md` holds it between markers.
pub fn reference_markdown() -> String {
    let mut page = String::from(
        "| variable | in `speech-flow.toml` | default | takes | meaning |\n| --- | --- | --- | --- | --- |\n",
    );
    for declaration in DECLARATIONS {
        let Declaration { default, takes, meaning, .. } = declaration;
        let variables: Vec<String> = declaration.variables.iter().map(|name| format!("`{name}`")).collect();
        let key = if declaration.in_file { format!("`{}`", declaration.key) } else { "no".to_owned() };
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {} | {key} | {default} | {takes} | {meaning} |", variables.join(", then "));
    }
    page
}
