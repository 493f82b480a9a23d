//! The shape of files: their length, their names, and how they begin.

use std::path::Path;

use super::Finding;
use crate::workspace::Workspace;

const MOST_LINES: usize = 500;

/// Longer files, and why each is better whole.
const LONG_FILES: &[(&str, &str)] = &[];

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "misc", "shared", "util", "utilities", "utils"];

pub(super) fn check_length(workspace: &Workspace) -> Vec<Finding> {
    check_length_with(workspace, LONG_FILES)
}

fn check_length_with(workspace: &Workspace, long_files: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &workspace.files {
        let lines = file.text.lines().count();
        let listed = long_files.iter().any(|(path, reason)| *path == file.path && !reason.is_empty());
        if lines > MOST_LINES && !listed {
            findings.push(Finding::new(&file.path, 0, format!("{lines} lines: split it (at most {MOST_LINES})")));
        }
        if lines <= MOST_LINES && listed {
            findings.push(Finding::new(&file.path, 0, "no longer long: take it off the list of long files"));
        }
    }
    findings
}

pub(super) fn check_names(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &workspace.files {
        let path = Path::new(&file.path);
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if stem == "mod" {
            findings.push(Finding::new(&file.path, 0, "name the file after its module, beside the folder"));
        }
        if EMPTY_NAMES.contains(&stem) {
            findings.push(Finding::new(&file.path, 0, format!("`{stem}` says nothing: name the thing")));
        }
        for (index, line) in file.code.lines().enumerate() {
            if let Some(name) = inline_module(line).filter(|name| EMPTY_NAMES.contains(name)) {
                findings.push(Finding::new(
                    &file.path,
                    index + 1,
                    format!("module `{name}` says nothing: name the thing"),
                ));
            }
        }
    }
    findings
}

pub(super) fn check_module_doc(workspace: &Workspace) -> Vec<Finding> {
    let says_what_it_is = |text: &str| {
        // An attribute of the whole file may stand first, as in a fuzz target.
        let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!"));
        first.is_some_and(|line| line.starts_with("//!"))
    };
    let silent = workspace.files.iter().filter(|file| !file.is_test() && !says_what_it_is(&file.text));
    silent.map(|file| Finding::new(&file.path, 1, "begin with `//!` and say what this file is")).collect()
}

/// The name in `mod name {`; a module in a file of its own is seen by its file name.
fn inline_module(line: &str) -> Option<&str> {
    let head = line.trim().strip_suffix('{')?.trim();
    let name = head.rsplit_once("mod ")?.1;
    name.chars().all(|c| c.is_alphanumeric() || c == '_').then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{expect, with_file};
    use super::*;

    #[test]
    fn a_file_is_long_past_500_lines_unless_it_says_why() {
        let long = with_file("crates/x/src/a.rs", &"\n".repeat(501));
        expect(&check_length_with(&long, &[]), &["501 lines"]);
        expect(&check_length_with(&long, &[("crates/x/src/a.rs", "a generated table")]), &[]);
        expect(&check_length_with(&long, &[("crates/x/src/a.rs", "")]), &["501 lines"]);
        let short = with_file("crates/x/src/a.rs", &"\n".repeat(500));
        expect(&check_length_with(&short, &[]), &[]);
        expect(&check_length_with(&short, &[("crates/x/src/a.rs", "a generated table")]), &["no longer long"]);
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        expect(&check_names(&with_file("crates/x/src/net/mod.rs", "")), &["beside the folder"]);
        expect(&check_names(&with_file("crates/x/src/utils.rs", "")), &["`utils` says nothing"]);
        expect(
            &check_names(&with_file("crates/x/tests/a.rs", "fn a() {}\npub(crate) mod helpers {\n}\n")),
            &["a.rs:2: "],
        );
        expect(&check_names(&with_file("crates/x/src/retry.rs", "// mod utils {\nmod tests {\n}\n")), &[]);
    }

    #[test]
    fn a_file_without_a_first_sentence_is_refused() {
        expect(&check_module_doc(&with_file("a.rs", "use std::fmt;\n")), &["a.rs:1: begin with"]);
        expect(&check_module_doc(&with_file("a.rs", "/// An item.\nfn a() {}\n")), &["begin with"]);
        expect(&check_module_doc(&with_file("crates/x/src/a/tests.rs", "use super::*;\n")), &[]);
        expect(&check_module_doc(&with_file("a.rs", "#![no_main]\n\n//! A fuzz target.\n")), &[]);
    }
}
