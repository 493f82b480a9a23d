//! The repositories of a running hub, its tokens, and who may see what.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use speech_flow_model_types::CommitHash;

use crate::DemoHubError;
use crate::http::{Request, Response};
use crate::repository::{Access, Commit, Repository};

/// A repository with the branches as they stand now.
#[derive(Debug, Clone)]
pub(crate) struct Hosted {
    pub(crate) repository: Repository,
    pub(crate) branches: BTreeMap<String, CommitHash>,
}

/// A token and the repositories it may read beyond the public ones.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) secret: String,
    pub(crate) repositories: Vec<String>,
}

/// All that the hub has.
#[derive(Debug)]
pub(crate) struct Catalog {
    hosted: RwLock<BTreeMap<String, Hosted>>,
    tokens: Vec<Token>,
}

/// What a request wants of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Its listing.
    Listing,
    /// Its files.
    Files,
}

impl Hosted {
    /// The commit of a branch, a tag or a full commit hash.
    pub(crate) fn commit(&self, revision: &str) -> Option<&Commit> {
        let named = self.branches.get(revision).or_else(|| self.repository.tags().get(revision));
        self.repository.at(named.map_or(revision, CommitHash::as_str))
    }
}

impl Catalog {
    pub(crate) fn new(tokens: Vec<Token>) -> Self {
        Self { hosted: RwLock::default(), tokens }
    }

    pub(crate) fn publish(&self, repository: Repository) {
        let hosted = Hosted { branches: repository.branches().clone(), repository };
        let id = hosted.repository.id().to_string();
        self.hosted.write().unwrap_or_else(PoisonError::into_inner).insert(id, hosted);
    }

    pub(crate) fn withdraw(&self, id: &str) -> bool {
        self.hosted.write().unwrap_or_else(PoisonError::into_inner).remove(id).is_some()
    }

    pub(crate) fn get(&self, id: &str) -> Option<Hosted> {
        self.hosted.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.hosted.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Moves a branch, or makes one.
    pub(crate) fn set_head(&self, id: &str, branch: &str, revision: &str) -> Result<CommitHash, DemoHubError> {
        let mut hosted = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
        let hosted = hosted.get_mut(id).ok_or_else(|| DemoHubError::UnknownRepository { repository: id.to_owned() })?;
        let commit = hosted.commit(revision).map(|commit| commit.hash.clone()).ok_or_else(|| {
            DemoHubError::UnknownRevision { repository: id.to_owned(), revision: revision.to_owned() }
        })?;
        hosted.branches.insert(branch.to_owned(), commit.clone());
        Ok(commit)
    }

    /// The token of a request; an error for one that the hub does not know.
    pub(crate) fn token(&self, request: &Request) -> Result<Option<&Token>, Response> {
        let Some(header) = request.header("authorization") else { return Ok(None) };
        let secret = header.split_once(' ').map_or(header, |(_, secret)| secret).trim();
        let token = self.tokens.iter().find(|token| token.secret == secret);
        token.map(Some).ok_or_else(|| Response::error(401, None, "Invalid credentials in Authorization header"))
    }

    /// The repository, if the request may have what it wants.
    pub(crate) fn open(&self, request: &Request, id: &str, want: Want) -> Result<Hosted, Response> {
        let token = self.token(request)?;
        let has_access =
            token.is_some_and(|token| token.repositories.iter().any(|allowed| allowed == id || allowed == "*"));
        let hosted = self.get(id);
        match hosted.as_ref().map(|hosted| hosted.repository.access()) {
            Some(Access::Private) if !has_access => Err(not_found(token.is_some())),
            Some(Access::Gated) if !has_access && want == Want::Files => Err(gated(id, token.is_some())),
            Some(_) | None => hosted.ok_or_else(|| not_found(token.is_some())),
        }
    }
}

/// The Hub tells an anonymous caller to sign in, since the repository may be private.
fn not_found(has_token: bool) -> Response {
    if has_token {
        Response::error(404, Some("RepoNotFound"), "Repository not found")
    } else {
        Response::error(401, Some("RepoNotFound"), "Invalid username or password.")
    }
}

fn gated(id: &str, has_token: bool) -> Response {
    if has_token {
        let message = format!("Access to model {id} is restricted and you are not in the authorized list.");
        Response::error(403, Some("GatedRepo"), &message)
    } else {
        let message = format!("Access to model {id} is restricted. You must have access to it and be authenticated.");
        Response::error(401, Some("GatedRepo"), &message)
    }
}
