//! `~` and `$NAME` in paths, as the Python client expands them.
//!
//! Source: `os.path.expanduser` and `os.path.expandvars`, which `huggingface_hub/constants.py` applies to
//! `HF_HOME`, `HF_HUB_CACHE` and `HF_TOKEN_PATH`. We apply them to every path. A name that is not set stays
//! as it is written. `~name` (another user's home) stays as well: nothing here reads the user database.

use std::path::Path;

/// Expands one path. `variable` answers what a variable holds.
pub(crate) fn expand(text: &str, home: Option<&Path>, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let with_home = match (text.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            format!("{}{rest}", home.display())
        }
        _ => text.to_owned(),
    };
    expand_variables(&with_home, variable)
}

fn expand_variables(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        let (name, len) = reference(after);
        match name.and_then(variable) {
            Some(value) => expanded.push_str(&value),
            None => expanded.push_str(&rest[dollar..dollar + 1 + len]),
        }
        rest = &after[len..];
    }
    expanded.push_str(rest);
    expanded
}

/// The name after a `$`, with or without braces, and how long the reference is.
fn reference(after: &str) -> (Option<&str>, usize) {
    if let Some(inner) = after.strip_prefix('{') {
        return match inner.find('}') {
            Some(end) => (Some(&inner[..end]), end + 2),
            None => (None, 0),
        };
    }
    let len = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
    if len == 0 { (None, 0) } else { (Some(&after[..len]), len) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let variable = |name: &str| (name == "DATA").then(|| "/data".to_owned());
        assert_eq!(expand(text, Some(Path::new("/home/ada")), &variable), expected, "{text:?}");
    }

    #[test]
    fn expands_what_python_expands() {
        check("~", "/home/ada");
        check("~/hf", "/home/ada/hf");
        check("~root/hf", "~root/hf");
        check("a~/b", "a~/b");
        check("$DATA/hf", "/data/hf");
        check("${DATA}hf", "/datahf");
        check("$DATAhf", "$DATAhf");
        check("$UNSET/${UNSET}", "$UNSET/${UNSET}");
        check("a$", "a$");
        check("${DATA", "${DATA");
        check("$$DATA", "$/data");
        check("é$DATAé", "é/dataé");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[~${}A-Zé/]{0,20}") {
            let _ = expand(&text, None, &|_| Some("x".to_owned()));
        }
    }
}
