//! Models as people ask for them.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::repo::InvalidRepoId;
use crate::revision::InvalidRevision;
use crate::{ModelKind, Patterns, RepoId, Revision, whisper};

/// A model that somebody asks for: where it is, and which of its files are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSpec {
    /// The name as it was asked for, without a revision: `large-v3`, `facebook/mms-lid-126`.
    pub name: String,
    /// Where the model is.
    pub source: ModelSource,
    /// What the model is for; found out from its files when not given.
    pub kind: Option<ModelKind>,
    /// Which files are wanted beyond the choice of the kind.
    pub patterns: Patterns,
}

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModelSource {
    /// A repository on the Hub.
    Hub {
        /// The repository.
        repo: RepoId,
        /// The branch, tag or commit.
        revision: Revision,
    },
    /// A folder that is used as it is.
    Folder(PathBuf),
}

/// The text names no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSpec {
    /// A word that is no Whisper size name.
    #[error("`{}` is not a Whisper size name", name.escape_debug())]
    UnknownSizeName {
        /// The word.
        name: String,
        /// The size name that is nearest, when one is near.
        nearest: Option<&'static str>,
    },
    /// The repository's name is malformed.
    #[error(transparent)]
    Repo(#[from] InvalidRepoId),
    /// The revision is malformed.
    #[error(transparent)]
    Revision(#[from] InvalidRevision),
}

impl InvalidSpec {
    /// One thing to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownSizeName { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::UnknownSizeName { nearest: None, .. } => {
                let names: Vec<_> = whisper::size_names().collect();
                format!("take one of {}, or `owner/name`, or the path of a folder", names.join(", "))
            }
            Self::Repo(_) => "write the model as `owner/name`, as the Hub's address has it".to_owned(),
            Self::Revision(_) => "write the revision as `owner/name@branch`, a tag or a full commit hash".to_owned(),
        }
    }
}

impl ModelSpec {
    /// Reads a Whisper size name, `owner/name[@revision]` or a folder.
    ///
    /// Text that begins like a path is a folder; other text is one when `is_folder` says that such a
    /// folder exists, as faster-whisper and transformers decide. Size names win over folders.
    ///
    /// # Errors
    /// [`InvalidSpec`] says what the text is instead.
    ///
    /// # Examples
    /// ```
    /// use speech_flow_model_types::{ModelSource, ModelSpec};
    ///
    /// let spec = ModelSpec::parse("facebook/mms-lid-126@v1", |_| false)?;
    /// let ModelSource::Hub { repo, revision } = spec.source else { panic!("a repository") };
    /// assert_eq!((repo.as_str(), revision.as_str()), ("facebook/mms-lid-126", "v1"));
    /// # Ok::<(), speech_flow_model_types::spec::InvalidSpec>(())
    /// ```
    pub fn parse(text: &str, is_folder: impl FnOnce(&Path) -> bool) -> Result<Self, InvalidSpec> {
        if looks_like_path(text) {
            return Ok(Self::folder(text));
        }
        let (name, revision) = match text.rsplit_once('@') {
            Some((name, revision)) => (name, revision.parse()?),
            None => (text, Revision::main()),
        };
        if let Some(repo) = whisper::repo_of(name) {
            return Ok(Self::hub(name, repo, revision, Some(ModelKind::Whisper)));
        }
        if is_folder(Path::new(text)) {
            return Ok(Self::folder(text));
        }
        if !name.is_empty() && !name.contains('/') {
            return Err(InvalidSpec::UnknownSizeName {
                name: name.to_owned(),
                nearest: whisper::nearest_size_name(name),
            });
        }
        let repo: RepoId = name.parse()?;
        let kind = whisper::is_whisper_repo(&repo).then_some(ModelKind::Whisper);
        Ok(Self::hub(name, repo, revision, kind))
    }

    /// The same model at another revision; a folder has none and stays as it is.
    pub fn at(mut self, asked: Revision) -> Self {
        if let ModelSource::Hub { revision, .. } = &mut self.source {
            *revision = asked;
        }
        self
    }

    /// The same model, said to be of a kind.
    pub fn of_kind(mut self, kind: ModelKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// The same model with other file patterns.
    pub fn with_patterns(mut self, patterns: Patterns) -> Self {
        self.patterns = patterns;
        self
    }

    fn hub(name: &str, repo: RepoId, revision: Revision, kind: Option<ModelKind>) -> Self {
        Self { name: name.to_owned(), source: ModelSource::Hub { repo, revision }, kind, patterns: Patterns::all() }
    }

    fn folder(text: &str) -> Self {
        Self {
            name: text.to_owned(),
            source: ModelSource::Folder(PathBuf::from(text)),
            kind: None,
            patterns: Patterns::all(),
        }
    }
}

impl fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            ModelSource::Hub { repo, revision } => write!(f, "{repo}@{revision}"),
            ModelSource::Folder(path) => write!(f, "{}", path.display()),
        }
    }
}

fn looks_like_path(text: &str) -> bool {
    text.starts_with(['/', '.']) || text.ends_with('/')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = match ModelSpec::parse(text, |path| path == Path::new("models/mine")) {
            Ok(spec) => format!("{spec} {:?}", spec.kind),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn reads_every_form_of_a_name() {
        check("turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo@main Some(Whisper)");
        check("tiny@v2", "Systran/faster-whisper-tiny@v2 Some(Whisper)");
        check("facebook/mms-lid-126", "facebook/mms-lid-126@main None");
        check("Systran/faster-whisper-tiny", "Systran/faster-whisper-tiny@main Some(Whisper)");
        check("./tiny", "./tiny None");
        check("/models/x", "/models/x None");
        check("models/mine", "models/mine None");
    }

    #[test]
    fn refuses_what_names_no_model() {
        check("large-v33", "`large-v33` is not a Whisper size name");
        check("a/b/c", "`a/b/c` is not a repository id such as `owner/name`");
        check("a/b@../x", "`../x` is not a revision (a branch, a tag or a commit)");
        check("", "`` is not a repository id such as `owner/name`");
    }

    #[test]
    fn a_typo_gets_a_suggestion() {
        let error = ModelSpec::parse("large-v33", |_| false).expect_err("refused");
        assert_eq!(error.hint(), "did you mean `large-v3`?");
    }

    proptest! {
        #[test]
        fn every_accepted_name_reads_back_as_itself(text in "[a-z0-9]{1,8}/[a-zA-Z0-9._-]{1,12}(@[a-z0-9/._-]{1,10})?") {
            if let Ok(spec) = ModelSpec::parse(&text, |_| false)
                && matches!(spec.source, ModelSource::Hub { .. })
            {
                let again = ModelSpec::parse(&spec.to_string(), |_| false).expect("its own text");
                prop_assert_eq!(again.source, spec.source);
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = ModelSpec::parse(&text, |_| false);
        }
    }
}
