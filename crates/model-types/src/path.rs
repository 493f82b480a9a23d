//! Paths of files inside a repository.

use std::fmt;
use std::str::FromStr;

/// A relative POSIX path of a file in a repository, such as `config.json` or `onnx/model.onnx`.
///
/// Invariant: at least one segment; no segment is empty, `.` or `..`; no NUL, backslash or other
/// control character; each segment fits a file name. Joined to a folder it stays inside that folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelPath(String);

/// The path could leave the snapshot folder or cannot be a file name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a safe file path inside a repository", .0.escape_debug())]
pub struct InvalidPath(pub String);

/// Longest file name of common file systems (ext4, xfs, NFS), in bytes.
const MAX_SEGMENT_LEN: usize = 255;
/// Longest path; leaves room for the cache's own folders below Linux's limit of 4096 bytes.
const MAX_PATH_LEN: usize = 1024;

impl RelPath {
    /// The path as text with `/` between segments.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// How many folders stand above the file inside the repository.
    pub fn depth(&self) -> usize {
        self.0.matches('/').count()
    }

    /// Whether the file stands at the top of the repository.
    pub fn is_top_level(&self) -> bool {
        self.depth() == 0
    }
}

impl AsRef<std::path::Path> for RelPath {
    fn as_ref(&self) -> &std::path::Path {
        std::path::Path::new(&self.0)
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RelPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let valid = text.len() <= MAX_PATH_LEN && text.split('/').all(is_valid_segment);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidPath(text.to_owned())) }
    }
}

fn is_valid_segment(segment: &str) -> bool {
    !segment.is_empty()
        && segment != "."
        && segment != ".."
        && segment.len() <= MAX_SEGMENT_LEN
        && !segment.chars().any(|c| c == '\\' || c.is_control())
        // A drive letter or an alternate data stream on volumes that Windows clients share.
        && !segment.contains(':')
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_paths_that_leave_the_folder() {
        let long = "x".repeat(256);
        for text in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "a/",
            ".",
            "..",
            "a/./b",
            "a\\..\\b",
            "a\0b",
            "C:/x",
            "a\nb",
            &long,
        ] {
            assert!(text.parse::<RelPath>().is_err(), "accepted {text:?}");
        }
    }

    #[test]
    fn takes_ordinary_names() {
        for text in ["config.json", "onnx/model.onnx", ".gitattributes", "a b/ü.txt", "..a", "a..b"] {
            assert!(text.parse::<RelPath>().is_ok(), "refused {text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_accepted_path_stays_inside_its_folder(text in any::<String>()) {
            if let Ok(path) = text.parse::<RelPath>() {
                let only_names = Path::new(path.as_str()).components().all(|part| matches!(part, Component::Normal(_)));
                prop_assert!(only_names);
            }
        }
    }
}
