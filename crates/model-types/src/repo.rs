//! Names of repositories.

use std::fmt;
use std::str::FromStr;

/// A repository on the Hub: `name` or `owner/name`.
///
/// Invariant: no segment contains `--` or `..`, and none has `-` or `.` at either end, so
/// [`RepoId::folder`] is injective and stays inside the cache root.
/// Source: `validate_repo_id` in `huggingface_hub/utils/_validators.py`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoId(String);

/// The text is not a repository id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a repository id such as `owner/name`", .0.escape_debug())]
pub struct InvalidRepoId(pub String);

/// Longest whole id that the Hub gives out.
const MAX_ID_LEN: usize = 96;

const FOLDER_PREFIX: &str = "models--";

impl RepoId {
    /// The id as text, `owner/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Folder of this repository in the cache, e.g. `models--openai--whisper-tiny`.
    pub fn folder(&self) -> String {
        format!("{FOLDER_PREFIX}{}", self.0.replace('/', "--"))
    }

    /// The repository that a cache folder belongs to; `None` for a folder of anything else.
    pub fn from_folder(folder: &str) -> Option<Self> {
        let name = folder.strip_prefix(FOLDER_PREFIX).filter(|name| !name.contains('/'))?;
        name.replace("--", "/").parse().ok()
    }

    /// The name without its owner.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RepoId {
    type Err = InvalidRepoId;

    fn from_str(text: &str) -> Result<Self, InvalidRepoId> {
        let valid = text.len() <= MAX_ID_LEN && text.split('/').count() <= 2 && text.split('/').all(is_valid_segment);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidRepoId(text.to_owned())) }
    }
}

fn is_valid_segment(segment: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    segment.starts_with(word)
        && segment.ends_with(word)
        && segment.chars().all(|c| word(c) || "-.".contains(c))
        && !segment.contains("--")
        && !segment.contains("..")
        && !segment.ends_with(".git")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_names_that_collide_or_leave_the_cache() {
        let long = "a".repeat(97);
        for text in ["", "a/b/c", "/b", "a/", "a--b", "../b", "a/-b", "a.git", "a b", "ä/b", "a\\b", &long] {
            assert!(text.parse::<RepoId>().is_err(), "accepted {text:?}");
        }
    }

    #[test]
    fn a_path_is_no_folder_of_a_repository() {
        assert_eq!(RepoId::from_folder("models--a--b"), "a/b".parse().ok());
        assert_eq!(RepoId::from_folder("models--a/b"), None);
    }

    #[test]
    fn a_refusal_shows_no_control_character() {
        let error = "a\u{1b}[2J".parse::<RepoId>().expect_err("refused");
        assert_eq!(error.to_string(), "`a\\u{1b}[2J` is not a repository id such as `owner/name`");
    }

    #[test]
    fn takes_the_names_of_real_models() {
        for text in
            ["gpt2", "Systran/faster-whisper-tiny.en", "facebook/mms-lid-126", "distil-whisper/distil-large-v3.5-ct2"]
        {
            assert_eq!(text.parse::<RepoId>().expect("valid").to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn a_folder_names_exactly_one_repository(text in "[a-zA-Z0-9_.-]{1,20}(/[a-zA-Z0-9_.-]{1,20})?") {
            if let Ok(repo) = text.parse::<RepoId>() {
                let folder = repo.folder();
                prop_assert!(!folder.contains('/'));
                prop_assert_eq!(RepoId::from_folder(&folder), Some(repo));
            }
        }
    }
}
