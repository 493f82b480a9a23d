//! What a path of the Hub's API asks for. Pure; any text is read or refused.

use percent_encoding::percent_decode_str;
use speech_flow_model_types::{RelPath, RepoId, Revision};

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/api/models/{repo}` and `/api/models/{repo}/revision/{revision}`.
    Info { repo: RepoId, revision: Revision },
    /// `/api/models/{repo}/tree/{revision}/{folder}`.
    Tree { repo: RepoId, revision: Revision, folder: Option<RelPath> },
    /// `/api/models/{repo}/paths-info/{revision}`.
    PathsInfo { repo: RepoId, revision: Revision },
    /// `/api/models/{repo}/refs`.
    Refs { repo: RepoId },
    /// `/api/models/{repo}/commits/{revision}`.
    Commits { repo: RepoId, revision: Revision },
    /// `/api/models/{repo}/discussions`.
    Discussions { repo: RepoId },
    /// `/api/models/{repo}/auth-check`.
    AuthCheck { repo: RepoId },
    /// `/api/models/{repo}/xet-read-token/{revision}`.
    XetToken { repo: RepoId },
    /// `/api/whoami-v2`.
    Whoami,
    /// `/{repo}/resolve/{revision}/{path}`.
    Resolve { repo: RepoId, revision: Revision, path: RelPath },
}

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadPath {
    /// A dataset, a space or a bucket.
    OtherKind(&'static str),
    /// A repository, revision or file name that is none.
    Name(String),
    /// Nothing that this server knows.
    Unknown,
}

/// Words that follow a repository's name.
const VERBS: [&str; 9] =
    ["revision", "tree", "paths-info", "refs", "commits", "discussions", "auth-check", "xet-read-token", "resolve"];

impl Target {
    /// Reads a path as it stands in the request line.
    ///
    /// # Errors
    /// [`BadPath`] says what is wrong.
    pub(crate) fn parse(path: &str) -> Result<Self, BadPath> {
        let decoded: Option<Vec<String>> = path
            .trim_start_matches('/')
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8().ok().map(|text| text.into_owned()))
            .collect();
        let decoded = decoded.ok_or_else(|| BadPath::Name(path.to_owned()))?;
        let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
        match &segments[..] {
            ["api", "whoami-v2"] => Ok(Self::Whoami),
            ["api", "models", rest @ ..] => api(rest),
            ["api", "datasets", ..] | ["datasets", ..] => Err(BadPath::OtherKind("dataset")),
            ["api", "spaces", ..] | ["spaces", ..] => Err(BadPath::OtherKind("space")),
            ["api", ..] => Err(BadPath::Unknown),
            [name, "resolve", rest @ ..] => resolve((*name).to_owned(), rest),
            [owner, name, "resolve", rest @ ..] => resolve(format!("{owner}/{name}"), rest),
            _ => Err(BadPath::Unknown),
        }
    }

    /// The name by which metrics and logs know it.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Info { .. } => "info",
            Self::Tree { .. } => "tree",
            Self::PathsInfo { .. } => "paths-info",
            Self::Refs { .. } => "refs",
            Self::Commits { .. } | Self::Discussions { .. } => "history",
            Self::AuthCheck { .. } | Self::Whoami => "account",
            Self::XetToken { .. } => "xet",
            Self::Resolve { .. } => "resolve",
        }
    }
}

fn api(segments: &[&str]) -> Result<Target, BadPath> {
    let (name, rest) = match segments {
        [name] => ((*name).to_owned(), &[][..]),
        [name, verb, ..] if VERBS.contains(verb) => ((*name).to_owned(), &segments[1..]),
        [owner, name, rest @ ..] => (format!("{owner}/{name}"), rest),
        [] => return Err(BadPath::Unknown),
    };
    if name.is_empty() {
        return Err(BadPath::Unknown);
    }
    let repo = repository(&name)?;
    Ok(match rest {
        [] => Target::Info { repo, revision: Revision::main() },
        ["refs"] => Target::Refs { repo },
        ["discussions", ..] => Target::Discussions { repo },
        ["auth-check"] => Target::AuthCheck { repo },
        ["xet-read-token", ..] => Target::XetToken { repo },
        [verb @ ("revision" | "paths-info" | "commits" | "tree"), rest @ ..] => {
            let (revision, rest) = revision(rest)?;
            match (*verb, rest) {
                ("revision", []) => Target::Info { repo, revision },
                ("paths-info", []) => Target::PathsInfo { repo, revision },
                ("commits", []) => Target::Commits { repo, revision },
                ("tree", folder) => {
                    let folder = folder.join("/");
                    let folder = folder.trim_matches('/');
                    let folder = (!folder.is_empty()).then(|| file(folder)).transpose()?;
                    Target::Tree { repo, revision, folder }
                }
                _ => return Err(BadPath::Unknown),
            }
        }
        _ => return Err(BadPath::Unknown),
    })
}

fn resolve(name: String, segments: &[&str]) -> Result<Target, BadPath> {
    let repo = repository(&name)?;
    let (revision, rest) = revision(segments)?;
    let path = file(&rest.join("/"))?;
    Ok(Target::Resolve { repo, revision, path })
}

fn repository(name: &str) -> Result<RepoId, BadPath> {
    name.parse().map_err(|_| BadPath::Name(name.to_owned()))
}

fn file(path: &str) -> Result<RelPath, BadPath> {
    path.parse().map_err(|_| BadPath::Name(path.to_owned()))
}

/// A revision and what follows it. A pull request's has slashes, which some clients do not quote.
fn revision<'a>(segments: &'a [&'a str]) -> Result<(Revision, &'a [&'a str]), BadPath> {
    let (text, rest) = match segments {
        ["refs", kind, name, rest @ ..] => (format!("refs/{kind}/{name}"), rest),
        [revision, rest @ ..] => ((*revision).to_owned(), rest),
        [] => return Err(BadPath::Unknown),
    };
    Ok((text.parse().map_err(|_| BadPath::Name(text))?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repo() -> RepoId {
        "o/r".parse().expect("valid")
    }

    #[track_caller]
    fn check(path: &str, expected: Target) {
        assert_eq!(Target::parse(path), Ok(expected), "{path}");
    }

    #[test]
    fn paths_of_the_hub_are_read() {
        let pull: Revision = "refs/pr/1".parse().expect("valid");
        check("/api/models/o/r", Target::Info { repo: repo(), revision: Revision::main() });
        check("/api/models/o/r/revision/refs%2Fpr%2F1", Target::Info { repo: repo(), revision: pull.clone() });
        check("/api/models/o/r/revision/refs/pr/1", Target::Info { repo: repo(), revision: pull });
        check("/api/models/o/r/tree/main", Target::Tree { repo: repo(), revision: Revision::main(), folder: None });
        let folder = Some("a/b".parse().expect("valid"));
        check("/api/models/o/r/tree/main/a/b", Target::Tree { repo: repo(), revision: Revision::main(), folder });
        check("/api/models/o/r/refs", Target::Refs { repo: repo() });
        check("/api/models/gpt2/refs", Target::Refs { repo: "gpt2".parse().expect("valid") });
        let path = "a/x y.json".parse().expect("valid");
        check("/o/r/resolve/main/a/x%20y.json", Target::Resolve { repo: repo(), revision: Revision::main(), path });
    }

    #[test]
    fn tricks_in_names_are_refused() {
        for path in [
            "/o/r/resolve/main/../../etc/passwd",
            "/o/r/resolve/main/..%2F..%2Fetc%2Fpasswd",
            "/o/r/resolve/..%2F..%2Fx/config.json",
            "/..%2Fo/r/resolve/main/a",
            "/o/r/resolve/main/a%00b",
            "/o/r/resolve/main/a%5C..%5Cb",
            "/o/r/resolve/main/%FF",
            "/api/models/o%2Fr%2Fs/x",
        ] {
            assert!(matches!(Target::parse(path), Err(BadPath::Name(_) | BadPath::Unknown)), "{path}");
        }
    }

    #[test]
    fn other_kinds_of_repositories_are_named() {
        assert_eq!(Target::parse("/api/datasets/o/r"), Err(BadPath::OtherKind("dataset")));
        assert_eq!(Target::parse("/spaces/o/r/resolve/main/a"), Err(BadPath::OtherKind("space")));
        assert_eq!(Target::parse("/api/agent-harnesses"), Err(BadPath::Unknown));
    }

    proptest! {
        #[test]
        fn any_path_is_read_or_refused(path in "/[ -~]{0,60}") {
            if let Ok(Target::Resolve { path, .. }) = Target::parse(&path) {
                prop_assert!(!path.as_str().split('/').any(|segment| segment == ".."));
            }
        }
    }
}
