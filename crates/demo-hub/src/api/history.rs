//! Branches, tags and commits.

use serde::Serialize;
use serde_json::json;
use speech_flow_model_types::CommitHash;

use super::{commit_at, next_page, page};
use crate::catalog::Want;
use crate::http::{Request, Response};
use crate::hub::Shared;
use crate::repository::Commit;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GitRef {
    name: String,
    #[serde(rename = "ref")]
    full_name: String,
    target_commit: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Refs {
    tags: Vec<GitRef>,
    branches: Vec<GitRef>,
    converts: Vec<GitRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_requests: Option<Vec<GitRef>>,
}

#[derive(Debug, Serialize)]
struct CommitItem {
    id: String,
    title: String,
    message: String,
    authors: Vec<Author>,
    date: String,
}

#[derive(Debug, Serialize)]
struct Author {
    user: &'static str,
}

/// `/api/models/{repo}/refs`.
pub(super) fn refs(shared: &Shared, request: &Request, repo: &str) -> Result<Response, Response> {
    let hosted = shared.catalog.open(request, repo, Want::Listing)?;
    let is_ref = |name: &str| name.starts_with("refs/");
    let item = |(name, commit): (&String, &CommitHash), prefix: &str| GitRef {
        name: name.clone(),
        full_name: if is_ref(name) { name.clone() } else { format!("{prefix}{name}") },
        target_commit: commit.to_string(),
    };
    let with_prefix = |prefix: &str| -> Vec<GitRef> {
        let found = hosted.branches.iter().filter(|(name, _)| name.starts_with(prefix));
        found.map(|found| item(found, "")).collect()
    };
    let branches = hosted.branches.iter().filter(|(name, _)| !is_ref(name)).map(|found| item(found, "refs/heads/"));
    let refs = Refs {
        tags: hosted.repository.tags().iter().map(|found| item(found, "refs/tags/")).collect(),
        branches: branches.collect(),
        converts: with_prefix("refs/convert/"),
        pull_requests: request.switched_on("include_prs").then(|| with_prefix("refs/pr/")),
    };
    Ok(Response::json(200, &refs))
}

/// `/api/models/{repo}/commits/{revision}`: newest first.
pub(super) fn commits(shared: &Shared, request: &Request, repo: &str, revision: &str) -> Result<Response, Response> {
    let hosted = shared.catalog.open(request, repo, Want::Listing)?;
    let commit = commit_at(&hosted, revision)?;
    let history: Vec<_> = hosted.repository.history(commit).map(item).collect();
    let total = history.len();
    let (history, next) = page(shared, request, history);
    let mut response = Response::json(200, &history).with("X-Total-Count", total.to_string());
    if let Some(cursor) = next {
        response.set("Link", next_page(shared, request, cursor));
    }
    Ok(response)
}

fn item(commit: &Commit) -> CommitItem {
    CommitItem {
        id: commit.hash.to_string(),
        title: commit.title.clone(),
        message: commit.message.clone(),
        authors: vec![Author { user: "demo" }],
        date: commit.date(),
    }
}

/// `/api/models/{repo}/discussions`: there are none.
pub(super) fn discussions(shared: &Shared, request: &Request, repo: &str) -> Result<Response, Response> {
    shared.catalog.open(request, repo, Want::Listing)?;
    Ok(Response::json(200, &json!({ "discussions": [], "count": 0, "start": 0, "numClosedDiscussions": 0 })))
}
