//! What can be wrong with a lockfile.

/// A lockfile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("lockfile line {line}: {reason}")]
pub struct LockfileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong in a lockfile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The text is not TOML of the right shape.
    #[error("the file {0}")]
    Malformed(String),
    /// A key that no lockfile has.
    #[error("unknown key `{}`", key.escape_debug())]
    UnknownKey {
        /// The key.
        key: String,
        /// The known key that is nearest.
        nearest: Option<&'static str>,
    },
    /// Another version of the format.
    #[error("version {0} of the format is not version 1, which this program reads")]
    Version(u64),
    /// A value is not what its key takes.
    #[error("{what}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// What is wrong with the value.
        what: String,
    },
    /// Something stands there twice.
    #[error("{0} stands in it twice")]
    Duplicate(String),
    /// A model without files.
    #[error("the model has no files")]
    NoFiles,
    /// The digest of a model is not that of its files.
    #[error(
        "the entry of `{}` was edited by hand: its files have the digest `{actual}`, not `{}`",
        model.escape_debug(),
        written.escape_debug()
    )]
    EditedByHand {
        /// The model.
        model: String,
        /// The digest that stands there.
        written: String,
        /// The digest of the files that stand there.
        actual: String,
    },
}

impl LockfileError {
    /// One thing to do about it.
    pub fn hint(&self) -> String {
        match &self.reason {
            Reason::UnknownKey { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Reason::Version(version) if *version > super::LOCKFILE_VERSION => {
                "use the version of speech-flow that wrote it, or a newer one".to_owned()
            }
            Reason::EditedByHand { .. } => {
                "take the file back from version control, or write it anew with `speech-flow lock --update`".to_owned()
            }
            _ => "write the file anew with `speech-flow lock --update`".to_owned(),
        }
    }

    /// Whether trying again can help; a file does not change by itself.
    pub fn is_transient(&self) -> bool {
        false
    }
}
