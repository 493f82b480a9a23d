//! What can be wrong with a configuration.

use std::path::PathBuf;

/// The configuration cannot be used; nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value is not one that its setting takes.
    #[error("`{place}` is `{}`, but it takes {takes}", got.escape_debug())]
    BadValue {
        /// The variable, flag, or key with its file and line.
        place: String,
        /// What was given; a secret is left out.
        got: String,
        /// What the setting takes.
        takes: String,
        /// One thing to do, when there is a better one than the list of what it takes.
        hint: Option<String>,
    },
    /// A variable's bytes are no text.
    #[error("`{variable}` is not UTF-8 text")]
    NotText {
        /// The variable or flag.
        variable: String,
    },
    /// A configuration file is malformed.
    #[error("`{}` line {line} {problem}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
        /// One thing to do.
        hint: Option<String>,
    },
    /// A configuration file that was asked for cannot be read.
    #[error("cannot read the configuration file `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Of two settings that go together, one is missing.
    #[error("`{given}` is set, but `{missing}` is not")]
    Alone {
        /// The variable of the one that is set.
        given: &'static str,
        /// The variable of the other.
        missing: &'static str,
    },
    /// There is no place for the cache.
    #[error("no place for the model cache: `/models` does not exist and this user has no home folder")]
    NoCacheDir,
}

impl ConfigError {
    /// One thing to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::BadValue { hint, .. } | Self::BadFile { hint, .. } => hint.clone(),
            Self::NotText { variable } => Some(format!("set `{variable}` to plain text")),
            Self::Unreadable { .. } => {
                Some("check `--config` and `SPEECH_FLOW_CONFIG`, and that this user may read the file".to_owned())
            }
            Self::Alone { given, missing } => Some(format!("set `{missing}` as well, or unset `{given}`")),
            Self::NoCacheDir => Some("set `MODEL_CACHE_DIR` to a folder that this user may write to".to_owned()),
        }
    }

    /// Whether trying again can help; a configuration does not change by itself.
    pub fn is_transient(&self) -> bool {
        false
    }
}
