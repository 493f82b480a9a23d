//! Which files of a repository are wanted, by name.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::RelPath;

/// Include and exclude patterns with the shell's wildcards; `*` also matches `/`, as in the Python client.
///
/// An empty include list takes every file; exclusion wins.
#[derive(Debug, Clone)]
pub struct Patterns {
    include: Vec<String>,
    exclude: Vec<String>,
    include_set: GlobSet,
    exclude_set: GlobSet,
}

/// The pattern cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a file pattern: {}", pattern.escape_debug(), reason.replace(char::is_control, "?"))]
pub struct InvalidPattern {
    /// The pattern as given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Patterns {
    /// Reads the patterns; a pattern that ends in `/` takes the whole folder.
    ///
    /// # Errors
    /// [`InvalidPattern`] for the first that cannot be read.
    pub fn new(include: Vec<String>, exclude: Vec<String>) -> Result<Self, InvalidPattern> {
        let include_set = compile(&include)?;
        let exclude_set = compile(&exclude)?;
        Ok(Self { include, exclude, include_set, exclude_set })
    }

    /// Patterns that take every file.
    pub fn all() -> Self {
        Self { include: Vec::new(), exclude: Vec::new(), include_set: GlobSet::empty(), exclude_set: GlobSet::empty() }
    }

    /// The include patterns as given.
    pub fn include(&self) -> &[String] {
        &self.include
    }

    /// The exclude patterns as given.
    pub fn exclude(&self) -> &[String] {
        &self.exclude
    }

    /// Whether files are named explicitly, so that the kind's own choice steps back.
    pub fn has_include(&self) -> bool {
        !self.include.is_empty()
    }

    /// Whether the file is wanted.
    pub fn matches(&self, path: &RelPath) -> bool {
        let included = self.include.is_empty() || self.include_set.is_match(path.as_str());
        included && !self.exclude_set.is_match(path.as_str())
    }
}

impl Default for Patterns {
    fn default() -> Self {
        Self::all()
    }
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.include == other.include && self.exclude == other.exclude
    }
}

impl Eq for Patterns {}

fn compile(patterns: &[String]) -> Result<GlobSet, InvalidPattern> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let refused =
            |error: globset::Error| InvalidPattern { pattern: pattern.clone(), reason: error.kind().to_string() };
        let whole_folder = format!("{pattern}*");
        let text = if pattern.ends_with('/') { &whole_folder } else { pattern };
        set.add(GlobBuilder::new(text).literal_separator(false).build().map_err(refused)?);
    }
    set.build().map_err(|error| InvalidPattern { pattern: patterns.join(", "), reason: error.kind().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(include: &[&str], exclude: &[&str], path: &str, expected: bool) {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let patterns = Patterns::new(owned(include), owned(exclude)).expect("valid patterns");
        assert_eq!(patterns.matches(&path.parse().expect("valid path")), expected, "{path}");
    }

    #[test]
    fn exclusion_wins_and_nothing_means_everything() {
        check(&[], &[], "a/b.bin", true);
        check(&["*.json"], &[], "sub/config.json", true);
        check(&["*.json"], &[], "model.bin", false);
        check(&["vocabulary.*"], &[], "vocabulary.txt", true);
        check(&["*"], &["*.bin"], "model.bin", false);
        check(&["onnx/"], &[], "onnx/fp16/model.onnx", true);
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let error = Patterns::new(vec!["a[".to_owned()], Vec::new()).expect_err("refused");
        assert_eq!(error.pattern, "a[");
    }
}
