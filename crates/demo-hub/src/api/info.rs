//! Model information.

use serde::Serialize;
use serde_json::{Map, Value};

use super::commit_at;
use crate::card;
use crate::catalog::Want;
use crate::git::hex;
use crate::http::{Request, Response};
use crate::hub::Shared;
use crate::repository::{Access, Commit};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelInfo<'a> {
    #[serde(rename = "_id")]
    internal_id: &'a str,
    id: &'a str,
    model_id: &'a str,
    author: Option<&'a str>,
    sha: &'a str,
    last_modified: String,
    created_at: String,
    private: bool,
    gated: Value,
    disabled: bool,
    downloads: u64,
    likes: u64,
    tags: Vec<String>,
    #[serde(rename = "library_name", skip_serializing_if = "Option::is_none")]
    library_name: Option<&'a Value>,
    #[serde(rename = "pipeline_tag", skip_serializing_if = "Option::is_none")]
    pipeline_tag: Option<&'a Value>,
    card_data: &'a Map<String, Value>,
    siblings: Vec<Sibling<'a>>,
    used_storage: u64,
}

#[derive(Debug, Serialize)]
struct Sibling<'a> {
    rfilename: &'a str,
    #[serde(flatten)]
    blob: Option<Blob>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    size: u64,
    blob_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lfs: Option<Lfs>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Lfs {
    sha256: String,
    size: u64,
    pointer_size: usize,
}

/// `/api/models/{repo}` and `/api/models/{repo}/revision/{revision}`.
pub(super) fn info(
    shared: &Shared,
    request: &Request,
    repo: &str,
    revision: Option<&str>,
) -> Result<Response, Response> {
    let hosted = shared.catalog.open(request, repo, Want::Listing)?;
    let commit = commit_at(&hosted, revision.unwrap_or("main"))?;
    let first = hosted.repository.history(commit).last().unwrap_or(commit);
    let card = &commit.card;
    let access = hosted.repository.access();
    let info = ModelInfo {
        internal_id: &commit.hash.as_str()[..24],
        id: repo,
        model_id: repo,
        author: repo.split_once('/').map(|(owner, _)| owner),
        sha: commit.hash.as_str(),
        last_modified: commit.date(),
        created_at: first.date(),
        private: access == Access::Private,
        gated: if access == Access::Gated { "manual".into() } else { false.into() },
        disabled: false,
        downloads: 0,
        likes: 0,
        tags: card::tags(card),
        library_name: card.get("library_name"),
        pipeline_tag: card.get("pipeline_tag"),
        card_data: card,
        siblings: siblings(commit, request.switched_on("blobs")),
        used_storage: commit.files.values().map(|entry| entry.size).sum(),
    };
    Ok(Response::json(200, &info))
}

fn siblings(commit: &Commit, with_blobs: bool) -> Vec<Sibling<'_>> {
    let files = commit.files.iter();
    files
        .map(|(path, entry)| {
            let lfs = entry.pointer.as_ref().map(|pointer| Lfs {
                sha256: entry.digest.to_string(),
                size: entry.size,
                pointer_size: pointer.len(),
            });
            let blob = Blob { size: entry.size, blob_id: hex(&entry.blob_id), lfs };
            Sibling { rfilename: path, blob: with_blobs.then_some(blob) }
        })
        .collect()
}
