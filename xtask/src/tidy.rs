//! The house rules. Each is a pure function from the workspace to findings, with a test that shows it failing.

mod arrows;
mod licenses;
mod manifests;
mod purity;
mod shape;
mod words;

use std::fmt;

use crate::workspace::Workspace;

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    /// From 1; 0 where the file as a whole is meant.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

/// A rule: what it claims, and how it is checked.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) claim: &'static str,
    check: fn(&Workspace) -> Vec<Finding>,
}

/// Every rule, in the order of its findings.
pub(crate) const RULES: &[Rule] = &[
    Rule { name: "arrows", claim: "a crate depends only on the crates that the table allows it", check: arrows::check },
    Rule {
        name: "manifests",
        claim: "lints come from the workspace, and so do the versions of dependencies",
        check: manifests::check,
    },
    Rule {
        name: "pure-types",
        claim: "model-types names no runtime, network, disk, environment or clock",
        check: purity::check_types,
    },
    Rule {
        name: "environment",
        claim: "only the binary and tests read environment variables",
        check: purity::check_environment,
    },
    Rule { name: "length", claim: "a file has at most 500 lines", check: shape::check_length },
    Rule {
        name: "names",
        claim: "no `mod.rs`, and no module that is named after nothing (`utils`, `common`, …)",
        check: shape::check_names,
    },
    Rule {
        name: "module-doc",
        claim: "a file outside tests begins by saying what it is",
        check: shape::check_module_doc,
    },
    Rule { name: "unfinished", claim: "no work is put off in a comment or a macro", check: words::check_unfinished },
    Rule {
        name: "tests",
        claim: "an ignored test says why, no test expects a panic, a name is a claim",
        check: words::check_tests,
    },
    Rule {
        name: "exceptions",
        claim: "a lint is silenced by `#[expect(.., reason = \"..\")]` only",
        check: words::check_exceptions,
    },
    Rule { name: "licenses", claim: "every dependency has a license that `deny.toml` allows", check: licenses::check },
];

/// All that is to be mended, each line naming its place and rule.
pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let label = |rule: &Rule| {
        let name = rule.name;
        (rule.check)(workspace).into_iter().map(move |finding| format!("{finding} [{name}]")).collect::<Vec<_>>()
    };
    RULES.iter().flat_map(label).collect()
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

#[cfg(test)]
mod testing {
    use super::Finding;
    use crate::source::Source;
    use crate::workspace::{Manifest, Workspace};

    /// A workspace of one Rust file.
    pub(super) fn with_file(path: &str, text: &str) -> Workspace {
        Workspace { files: vec![Source::new(path, text)], ..Workspace::default() }
    }

    /// A workspace of one manifest.
    pub(super) fn with_manifest(text: &str) -> Workspace {
        let table = text.parse().expect("the sample is TOML");
        Workspace { manifests: vec![Manifest::new("crates/sample/Cargo.toml", table)], ..Workspace::default() }
    }

    /// The messages of `findings` hold `wanted` in this order, and nothing more.
    #[track_caller]
    pub(super) fn expect(findings: &[Finding], wanted: &[&str]) {
        let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), wanted.len(), "{texts:#?}");
        for (text, part) in texts.iter().zip(wanted) {
            assert!(text.contains(part), "`{part}` is not in `{text}`");
        }
    }

    #[test]
    fn a_finding_names_its_line_and_rule() {
        let workspace = with_file("crates/x/src/a.rs", "//! A.\n// TODO later\n");
        assert_eq!(super::check(&workspace), ["crates/x/src/a.rs:2: `TODO`: do it, or file it [unfinished]"]);
    }
}
