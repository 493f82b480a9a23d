//! Whisper's size names and the repositories they stand for.
//!
//! Source: `_MODELS` in `faster_whisper/utils.py`, version 1.2.1.

use crate::RepoId;

/// Size name and repository, as faster-whisper maps them.
const ALIASES: [(&str, &str); 19] = [
    ("tiny.en", "Systran/faster-whisper-tiny.en"),
    ("tiny", "Systran/faster-whisper-tiny"),
    ("base.en", "Systran/faster-whisper-base.en"),
    ("base", "Systran/faster-whisper-base"),
    ("small.en", "Systran/faster-whisper-small.en"),
    ("small", "Systran/faster-whisper-small"),
    ("medium.en", "Systran/faster-whisper-medium.en"),
    ("medium", "Systran/faster-whisper-medium"),
    ("large-v1", "Systran/faster-whisper-large-v1"),
    ("large-v2", "Systran/faster-whisper-large-v2"),
    ("large-v3", "Systran/faster-whisper-large-v3"),
    ("large", "Systran/faster-whisper-large-v3"),
    ("distil-large-v2", "Systran/faster-distil-whisper-large-v2"),
    ("distil-medium.en", "Systran/faster-distil-whisper-medium.en"),
    ("distil-small.en", "Systran/faster-distil-whisper-small.en"),
    ("distil-large-v3", "Systran/faster-distil-whisper-large-v3"),
    ("distil-large-v3.5", "distil-whisper/distil-large-v3.5-ct2"),
    ("large-v3-turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
    ("turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
];

/// Every size name, in the order of faster-whisper's table.
pub fn size_names() -> impl Iterator<Item = &'static str> {
    ALIASES.iter().map(|(name, _)| *name)
}

/// The repository of a size name.
pub fn repo_of(size_name: &str) -> Option<RepoId> {
    let (_, repo) = ALIASES.iter().find(|(name, _)| *name == size_name)?;
    repo.parse().ok()
}

/// Whether a size name stands for this repository.
pub fn is_whisper_repo(repo: &RepoId) -> bool {
    ALIASES.iter().any(|(_, name)| *name == repo.as_str())
}

/// The size name nearest to a typo, when one is near enough to be worth saying.
pub fn nearest_size_name(text: &str) -> Option<&'static str> {
    // Texts are at least as far apart as their lengths, so a long text costs nothing.
    let length = text.chars().count();
    size_names()
        .filter(|name| name.len().abs_diff(length) <= 3)
        .map(|name| (strsim::damerau_levenshtein(text, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 3 && *distance < name.len())
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_name_has_a_repository() {
        for name in size_names() {
            assert!(repo_of(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_typo_finds_its_name() {
        assert_eq!(nearest_size_name("large-v33"), Some("large-v3"));
        assert_eq!(nearest_size_name("tubro"), Some("turbo"));
        assert_eq!(nearest_size_name("tiny-en"), Some("tiny.en"));
        assert_eq!(nearest_size_name("something else"), None);
        assert_eq!(nearest_size_name(&"tiny".repeat(1 << 20)), None);
    }
}
