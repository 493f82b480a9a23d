//! Listings, from the one listing of the commit that is kept.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use speech_flow_model_types::{RelPath, RepoId, Revision};
use url::form_urlencoded;

use super::documents::{next_page, raw};
use super::{Asked, json};
use crate::answer::{REPO_COMMIT, Refusal};
use crate::listing::{self, Entry};
use crate::metadata::{Settled, Want};
use crate::server::Server;

/// Entries of one page, as the Hub has it.
const PAGE: usize = 1000;
/// Longest list of paths.
const MAX_BODY: usize = 4 << 20;

/// `/api/models/{repo}/tree/{revision}/{folder}`.
pub(super) async fn tree(
    server: &Server,
    asked: &Asked<'_>,
    repo: &RepoId,
    revision: &Revision,
    folder: Option<&RelPath>,
) -> Result<Response, Refusal> {
    let settled = server.settle(repo, revision, &asked.caller, Want::Listing).await?;
    if asked.is_on("expand")
        && let Some(response) = expanded(server, asked, &settled, folder).await?
    {
        return Ok(response);
    }
    let files = server.files(&settled).await?;
    let folder = folder.map_or("", RelPath::as_str);
    if !folder.is_empty() && !listing::has_folder(&files, folder) {
        return Err(Refusal::no_entry(folder, &settled.document.commit));
    }
    let entries = listing::entries(&files, folder, asked.is_on("recursive"));
    let number = |name| asked.parameter(name).and_then(|value| value.parse::<usize>().ok());
    let start = number("cursor").unwrap_or(0).min(entries.len());
    let end = start.saturating_add(number("limit").unwrap_or(PAGE).clamp(1, PAGE)).min(entries.len());
    let mut response = answer(&settled, &entries[start..end]);
    if end < entries.len() {
        let query = asked.query.unwrap_or_default().as_bytes();
        let others = form_urlencoded::parse(query).filter(|(key, _)| key != "cursor");
        let mut next = form_urlencoded::Serializer::new(String::new());
        next.extend_pairs(others).append_pair("cursor", &end.to_string());
        next_page(&mut response, asked, &next.finish());
    }
    Ok(response)
}

/// With the last commit of each file, which only the hub knows; `None` where it cannot be asked.
async fn expanded(
    server: &Server,
    asked: &Asked<'_>,
    settled: &Settled,
    folder: Option<&RelPath>,
) -> Result<Option<Response>, Refusal> {
    let mut path = vec!["tree", settled.document.commit.as_str()];
    path.extend(folder.into_iter().flat_map(|folder| folder.as_str().split('/')));
    match raw(server, settled, &path, asked.query).await {
        Ok(document) => {
            let mut response = json(&document.json);
            if let Some(query) = &document.next_query {
                next_page(&mut response, asked, query);
            }
            Ok(Some(response))
        }
        Err(error) if error.is_definite() => Err(error.into()),
        Err(_) => Ok(None),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Paths {
    paths: Vec<String>,
}

/// `POST /api/models/{repo}/paths-info/{revision}`, as a form or as JSON.
pub(super) async fn paths_info(
    server: &Server,
    asked: &Asked<'_>,
    repo: &RepoId,
    revision: &Revision,
    body: Body,
) -> Result<Response, Refusal> {
    let body = axum::body::to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the list of paths is too long or did not arrive"))?;
    let is_json = asked.header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
    let paths = if is_json {
        let asked: Result<Paths, _> = serde_json::from_slice(&body);
        asked.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the body is no list of paths"))?.paths
    } else {
        let pairs = form_urlencoded::parse(&body).into_owned();
        pairs.filter(|(key, _)| key == "paths" || key == "paths[]").map(|(_, path)| path).collect()
    };
    let settled = server.settle(repo, revision, &asked.caller, Want::Listing).await?;
    let files = server.files(&settled).await?;
    Ok(answer(&settled, &listing::entries_of(&files, &paths)))
}

fn answer(settled: &Settled, entries: &[Entry]) -> Response {
    let list: Value = entries.iter().map(|entry| entry.json.clone()).collect();
    let mut response = json(&list);
    if let Ok(commit) = settled.document.commit.as_str().parse() {
        response.headers_mut().insert(REPO_COMMIT, commit);
    }
    response
}
