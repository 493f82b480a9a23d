//! Licenses of dependencies, against the list in `deny.toml`.
//!
//! `cargo deny` checks the same and more; this one runs where `cargo deny` is not installed.

use super::Finding;
use crate::workspace::Workspace;

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let allowed = |license: &str| workspace.allowed_licenses.iter().any(|name| name == license);
    let mut findings = Vec::new();
    for (package, license) in &workspace.licenses {
        match license {
            None => findings.push(Finding::new("deny.toml", 0, format!("`{package}` names no license"))),
            Some(expression) if !satisfied(expression, &allowed) => {
                let message = format!("`{package}` has license `{expression}`, which is not allowed");
                findings.push(Finding::new("deny.toml", 0, message));
            }
            Some(_) => {}
        }
    }
    findings
}

/// Whether an SPDX expression can be met with allowed licenses alone. `AND` binds before `OR`; the old
/// form with `/` means `OR`.
fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let answer = any(&mut words, allowed);
    answer && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut answer = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        answer |= all(words, allowed);
    }
    answer
}

fn all(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut answer = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        answer &= one(words, allowed);
    }
    answer
}

fn one(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> bool {
    match words.next() {
        Some("(") => {
            let answer = any(words, allowed);
            answer & words.next_if_eq(&")").is_some()
        }
        Some(license) => match words.next_if_eq(&"WITH") {
            Some(_) => words.next().is_some_and(|exception| allowed(&format!("{license} WITH {exception}"))),
            None => allowed(license),
        },
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::testing::expect;
    use super::*;

    #[track_caller]
    fn check_expression(expression: &str, wanted: bool) {
        let allowed = |license: &str| ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].contains(&license);
        assert_eq!(satisfied(expression, &allowed), wanted, "{expression}");
    }

    #[test]
    fn expressions_are_read_as_spdx_says() {
        check_expression("MIT", true);
        check_expression("GPL-3.0", false);
        check_expression("MIT OR GPL-3.0", true);
        check_expression("MIT AND GPL-3.0", false);
        check_expression("MIT/GPL-3.0", true);
        check_expression("GPL-3.0 OR MIT AND Apache-2.0", true);
        check_expression("(GPL-3.0 OR MIT) AND ISC", false);
        check_expression("(GPL-3.0 OR MIT) AND Apache-2.0", true);
        check_expression("Apache-2.0 WITH LLVM-exception", true);
        check_expression("MIT WITH LLVM-exception", false);
        check_expression("", false);
        check_expression("(MIT", false);
        check_expression("MIT MIT", false);
    }

    #[test]
    fn a_package_without_an_allowed_license_is_named() {
        let workspace = Workspace {
            licenses: BTreeMap::from([
                ("bad 1.0.0".to_owned(), Some("GPL-3.0".to_owned())),
                ("fine 1.0.0".to_owned(), Some("MIT".to_owned())),
                ("silent 1.0.0".to_owned(), None),
            ]),
            allowed_licenses: vec!["MIT".to_owned()],
            ..Workspace::default()
        };
        expect(&check(&workspace), &["`bad 1.0.0` has license `GPL-3.0`", "`silent 1.0.0` names no license"]);
    }
}
