//! What a path names.

use crate::fault::Endpoint;
use crate::http::{Request, Server};

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Info { repo: String, revision: Option<String> },
    Tree { repo: String, revision: String, folder: String },
    PathsInfo { repo: String, revision: String },
    Refs { repo: String },
    Commits { repo: String, revision: String },
    Discussions { repo: String },
    AuthCheck { repo: String },
    Whoami,
    Resolve { repo: String, revision: String, path: String, is_cached: bool },
    Cdn { repo: String, digest: String, path: String },
    Control(Vec<String>),
    Home,
    Health,
    Unknown,
}

/// What follows a repository's name in the API.
const VERBS: [&str; 7] = ["revision", "tree", "paths-info", "refs", "commits", "discussions", "auth-check"];

impl Target {
    /// Reads the path of a request. `has` says whether the hub has a repository of a name; it settles whether
    /// the owner is left out.
    pub(crate) fn of(request: &Request, has: impl Fn(&str) -> bool) -> Self {
        let Some(segments) = request.segments() else { return Self::Unknown };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let target = match (request.server, segments.as_slice()) {
            (Server::Cdn, ["repos", rest @ ..]) => cdn(rest),
            (Server::Cdn, _) => None,
            (Server::Hub, [""]) => Some(Self::Home),
            (Server::Hub, ["healthz"]) => Some(Self::Health),
            (Server::Hub, ["demo", rest @ ("faults" | "requests" | "heads"), more @ ..]) => {
                Some(Self::Control(std::iter::once(rest).chain(more).map(|segment| (*segment).to_owned()).collect()))
            }
            (Server::Hub, ["api", "whoami-v2"]) => Some(Self::Whoami),
            (Server::Hub, ["api", "models", rest @ ..]) => api(rest, has),
            (Server::Hub, ["api", "resolve-cache", "models", owner, name, rest @ ..]) => {
                file(format!("{owner}/{name}"), rest, true)
            }
            (Server::Hub, [name, "resolve", rest @ ..]) if !matches!(rest, ["resolve", ..]) => {
                file((*name).to_owned(), rest, false)
            }
            (Server::Hub, [owner, name, "resolve", rest @ ..]) => file(format!("{owner}/{name}"), rest, false),
            (Server::Hub, _) => None,
        };
        target.unwrap_or(Self::Unknown)
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Info { .. } => Endpoint::Info,
            Self::Tree { .. } => Endpoint::Tree,
            Self::PathsInfo { .. } => Endpoint::PathsInfo,
            Self::Refs { .. } => Endpoint::Refs,
            Self::Commits { .. } => Endpoint::Commits,
            Self::Whoami | Self::AuthCheck { .. } => Endpoint::Account,
            Self::Resolve { .. } => Endpoint::Resolve,
            Self::Cdn { .. } => Endpoint::Cdn,
            Self::Discussions { .. } | Self::Control(_) | Self::Home | Self::Health | Self::Unknown => Endpoint::Other,
        }
    }

    pub(crate) fn repo(&self) -> Option<&str> {
        match self {
            Self::Info { repo, .. }
            | Self::Tree { repo, .. }
            | Self::PathsInfo { repo, .. }
            | Self::Refs { repo }
            | Self::Commits { repo, .. }
            | Self::Discussions { repo }
            | Self::AuthCheck { repo }
            | Self::Resolve { repo, .. }
            | Self::Cdn { repo, .. } => Some(repo),
            Self::Whoami | Self::Control(_) | Self::Home | Self::Health | Self::Unknown => None,
        }
    }

    pub(crate) fn file(&self) -> Option<&str> {
        match self {
            Self::Resolve { path, .. } | Self::Cdn { path, .. } => Some(path),
            _ => None,
        }
    }
}

fn api(segments: &[&str], has: impl Fn(&str) -> bool) -> Option<Target> {
    let (repo, rest) = match segments {
        [owner, name, rest @ ..] if has(&format!("{owner}/{name}")) => (format!("{owner}/{name}"), rest),
        [name] => ((*name).to_owned(), &[][..]),
        [name, verb, ..] if VERBS.contains(verb) => ((*name).to_owned(), &segments[1..]),
        [owner, name, rest @ ..] => (format!("{owner}/{name}"), rest),
        [] => return None,
    };
    Some(match rest {
        [] => Target::Info { repo, revision: None },
        ["refs"] => Target::Refs { repo },
        ["discussions"] => Target::Discussions { repo },
        ["auth-check"] => Target::AuthCheck { repo },
        [verb, rest @ ..] => {
            let (revision, rest) = revision(rest)?;
            match (*verb, rest) {
                ("revision", []) => Target::Info { repo, revision: Some(revision) },
                ("paths-info", []) => Target::PathsInfo { repo, revision },
                ("commits", []) => Target::Commits { repo, revision },
                ("tree", folder) => {
                    Target::Tree { repo, revision, folder: folder.join("/").trim_matches('/').to_owned() }
                }
                _ => return None,
            }
        }
    })
}

fn file(repo: String, segments: &[&str], is_cached: bool) -> Option<Target> {
    let (revision, rest) = revision(segments)?;
    let path = rest.join("/");
    (!path.is_empty()).then_some(Target::Resolve { repo, revision, path, is_cached })
}

/// The second port's path: the repository, the digest, the file.
fn cdn(segments: &[&str]) -> Option<Target> {
    let at = segments.iter().position(|segment| segment.len() == 64)?;
    let (repo, digest, path) = (segments[..at].join("/"), segments[at].to_owned(), segments[at + 1..].join("/"));
    Some(Target::Cdn { repo, digest, path })
}

/// A revision and what follows it. A pull request's has slashes, which some clients do not quote.
fn revision<'a>(segments: &'a [&'a str]) -> Option<(String, &'a [&'a str])> {
    match segments {
        ["refs", kind, name, rest @ ..] => Some((format!("refs/{kind}/{name}"), rest)),
        [revision, rest @ ..] if !revision.is_empty() => Some(((*revision).to_owned(), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Target) {
        let request = Request {
            server: Server::Hub,
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: String::new(),
            headers: Vec::new(),
            body: Bytes::new(),
            keep_alive: true,
        };
        assert_eq!(Target::of(&request, |id| id == "org/tree"), expected, "{path}");
    }

    #[test]
    fn paths_of_the_api_are_read() {
        let (repo, revision) = (|| "o/r".to_owned(), |text: &str| text.to_owned());
        check("/api/models/o/r", Target::Info { repo: repo(), revision: None });
        check(
            "/api/models/o/r/revision/refs%2Fpr%2F1",
            Target::Info { repo: repo(), revision: Some(revision("refs/pr/1")) },
        );
        check(
            "/api/models/o/r/revision/refs/pr/1",
            Target::Info { repo: repo(), revision: Some(revision("refs/pr/1")) },
        );
        check(
            "/api/models/o/r/tree/main",
            Target::Tree { repo: repo(), revision: revision("main"), folder: String::new() },
        );
        check(
            "/api/models/o/r/tree/main/a/b",
            Target::Tree { repo: repo(), revision: revision("main"), folder: "a/b".to_owned() },
        );
        check("/api/models/o/r/refs", Target::Refs { repo: repo() });
        check("/api/agent-harnesses", Target::Unknown);
        check("/api/models/o/r/xet-read-token/main", Target::Unknown);
    }

    #[test]
    fn a_repository_may_have_no_owner() {
        check("/api/models/gpt2", Target::Info { repo: "gpt2".to_owned(), revision: None });
        check("/api/models/gpt2/refs", Target::Refs { repo: "gpt2".to_owned() });
        check("/api/models/org/tree", Target::Info { repo: "org/tree".to_owned(), revision: None });
        let resolve = |repo: &str| Target::Resolve {
            repo: repo.to_owned(),
            revision: "main".to_owned(),
            path: "a/x y.json".to_owned(),
            is_cached: false,
        };
        check("/gpt2/resolve/main/a/x%20y.json", resolve("gpt2"));
        check("/o/r/resolve/main/a/x%20y.json", resolve("o/r"));
    }
}
