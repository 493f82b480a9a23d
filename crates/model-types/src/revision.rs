//! Revisions that people ask for, and the commits they stand for.

use std::fmt;
use std::str::FromStr;

/// A branch, a tag, a pull request ref or a commit, as asked for. It may move.
///
/// Invariant: usable as a relative path below `refs/`: no empty, `.` or `..` segment and no control
/// character. Only a [`CommitHash`] may be a cache key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(String);

/// The text is no revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a revision (a branch, a tag or a commit)", .0.escape_debug())]
pub struct InvalidRevision(pub String);

/// A full commit hash: 40 lower-case hexadecimal digits. It never moves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitHash(String);

/// The text is no full commit hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a full commit hash (40 hexadecimal digits)", .0.escape_debug())]
pub struct InvalidCommitHash(pub String);

const COMMIT_LEN: usize = 40;
const MAX_REVISION_LEN: usize = 255;

impl Revision {
    /// The default branch.
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// The revision as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The commit, when the revision is a full commit hash and so needs no request.
    pub fn commit(&self) -> Option<CommitHash> {
        self.0.parse().ok()
    }
}

impl Default for Revision {
    fn default() -> Self {
        Self::main()
    }
}

impl From<CommitHash> for Revision {
    fn from(commit: CommitHash) -> Self {
        Self(commit.0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Revision {
    type Err = InvalidRevision;

    fn from_str(text: &str) -> Result<Self, InvalidRevision> {
        let valid = text.len() <= MAX_REVISION_LEN
            && text.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
            // Git refuses these characters in ref names as well.
            && !text.chars().any(|c| c.is_control() || c.is_whitespace() || "\\:?*[~^".contains(c));
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidRevision(text.to_owned())) }
    }
}

impl CommitHash {
    /// The 40 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for CommitHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CommitHash {
    type Err = InvalidCommitHash;

    fn from_str(text: &str) -> Result<Self, InvalidCommitHash> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == COMMIT_LEN && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidCommitHash(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moving_name_is_no_commit() {
        assert_eq!(Revision::main().commit(), None);
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(commit.parse::<Revision>().expect("valid").commit().expect("commit").as_str(), commit);
        assert!(commit.to_uppercase().parse::<CommitHash>().is_err());
        assert!("abc1234".parse::<CommitHash>().is_err());
    }

    #[test]
    fn refuses_revisions_that_leave_the_refs_folder() {
        for text in ["", "../main", "refs/../../x", "/main", "main/", "a b", "a\nb", "a\\b"] {
            assert!(text.parse::<Revision>().is_err(), "accepted {text:?}");
        }
        for text in ["main", "refs/pr/1", "v1.0", "feature/x"] {
            assert!(text.parse::<Revision>().is_ok(), "refused {text:?}");
        }
    }
}
