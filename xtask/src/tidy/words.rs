//! Words and attributes that must not land.

use super::Finding;
use crate::source::{has_word, lines_with};
use crate::workspace::Workspace;

const PUT_OFF: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
const MACROS: &[&str] = &["dbg!", "todo!", "unimplemented!"];

pub(super) fn check_unfinished(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &workspace.files {
        for word in PUT_OFF {
            for line in lines_with(&file.comments, word) {
                findings.push(Finding::new(&file.path, line, format!("`{word}`: do it, or file it")));
            }
        }
        for name in MACROS {
            for line in lines_with(&file.code, name) {
                findings.push(Finding::new(&file.path, line, format!("`{name}` must not land")));
            }
        }
    }
    findings
}

pub(super) fn check_tests(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &workspace.files {
        let mut in_test = false;
        for (index, line) in file.code.lines().enumerate() {
            let mut found = |message: &str| findings.push(Finding::new(&file.path, index + 1, message));
            let line = line.trim();
            if line.starts_with("#[ignore") && !line.contains('=') {
                found("an ignored test says why: `#[ignore = \"..\"]`");
            }
            if line.starts_with("#[should_panic") {
                found("assert on a result instead of expecting a panic");
            }
            in_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            if in_test && has_word(line, "fn") {
                if line.contains("fn test_") {
                    found("the name of a test is its claim, without `test_`");
                }
                in_test = false;
            }
        }
    }
    findings
}

pub(super) fn check_exceptions(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &workspace.files {
        for (index, line) in file.code.lines().enumerate() {
            let line = line.trim();
            // What tests share is whole in each of their crates, and each uses a part: nothing to expect there.
            let shared_by_tests = file.is_test() && line == "#![allow(dead_code)]";
            if (line.starts_with("#[allow(") || line.starts_with("#![allow(")) && !shared_by_tests {
                findings.push(Finding::new(&file.path, index + 1, "use `#[expect(.., reason = \"..\")]`"));
            }
            let expects = line.starts_with("#[expect(") || line.starts_with("#![expect(");
            let whole = file.code.lines().skip(index).take(6).collect::<Vec<_>>().join(" ");
            let attribute = whole.split(']').next().unwrap_or_default();
            if expects && !has_word(attribute, "reason") {
                findings.push(Finding::new(&file.path, index + 1, "an exception gives its `reason`"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::testing::{expect, with_file};
    use super::*;

    #[test]
    fn work_that_is_put_off_is_refused() {
        expect(&check_unfinished(&with_file("a.rs", "// TODO: later\n/* FIXME */\n")), &["a.rs:1: `TODO`", "a.rs:2: "]);
        expect(&check_unfinished(&with_file("a.rs", "fn a() { dbg!(1); todo!() }\n")), &["`dbg!`", "`todo!`"]);
        expect(&check_unfinished(&with_file("a.rs", "const A: &str = \"TODO\"; // all done\n")), &[]);
    }

    #[test]
    fn an_ignored_test_needs_a_reason() {
        expect(&check_tests(&with_file("a.rs", "#[test]\n#[ignore]\nfn a() {}\n")), &["a.rs:2: an ignored test"]);
        expect(&check_tests(&with_file("a.rs", "#[test]\n#[ignore = \"takes an hour\"]\nfn a() {}\n")), &[]);
    }

    #[test]
    fn panics_are_not_expected_and_names_are_claims() {
        expect(&check_tests(&with_file("a.rs", "#[test]\n#[should_panic]\nfn a() {}\n")), &["a.rs:2: "]);
        expect(&check_tests(&with_file("a.rs", "#[tokio::test]\nasync fn test_a() {}\n")), &["a.rs:2: the name"]);
        expect(&check_tests(&with_file("a.rs", "fn test_bed() {}\n")), &[]);
    }

    #[test]
    fn an_exception_is_expected_and_has_a_reason() {
        expect(&check_exceptions(&with_file("a.rs", "#[allow(dead_code)]\nfn a() {}\n")), &["use `#[expect"]);
        expect(&check_exceptions(&with_file("crates/x/src/a.rs", "#![allow(dead_code)]\n")), &["use `#[expect"]);
        expect(&check_exceptions(&with_file("crates/x/tests/a.rs", "#![allow(dead_code)]\n")), &[]);
        expect(&check_exceptions(&with_file("a.rs", "#[expect(dead_code)]\nfn a() {}\n")), &["gives its `reason`"]);
        expect(
            &check_exceptions(&with_file("a.rs", "#[expect(\n  dead_code,\n  reason = \"r\"\n)]\nfn a() {}\n")),
            &[],
        );
    }
}
