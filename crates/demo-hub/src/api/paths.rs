//! Information about some paths.

use serde::Deserialize;
use url::form_urlencoded;

use super::commit_at;
use super::wire::Detail;
use crate::catalog::Want;
use crate::http::{Request, Response};
use crate::hub::Shared;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    paths: Vec<String>,
    expand: bool,
}

/// `POST /api/models/{repo}/paths-info/{revision}`, as a form or as JSON. Unknown paths are left out.
pub(super) fn paths_info(shared: &Shared, request: &Request, repo: &str, revision: &str) -> Result<Response, Response> {
    let hosted = shared.catalog.open(request, repo, Want::Listing)?;
    let commit = commit_at(&hosted, revision)?;
    let asked = read(request)?;
    let detail = Detail { repository: &hosted.repository, commit, expand: asked.expand };
    let entries: Vec<_> = asked
        .paths
        .iter()
        .filter_map(|path| match commit.files.get(path) {
            Some(entry) => Some(detail.file(path, entry)),
            None => detail.folder(path.trim_end_matches('/')),
        })
        .collect();
    Ok(Response::json(200, &entries))
}

fn read(request: &Request) -> Result<Asked, Response> {
    let is_json = request.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if is_json {
        return serde_json::from_slice(&request.body)
            .map_err(|error| Response::error(400, None, &format!("the body is no list of paths: {error}")));
    }
    let mut asked = Asked::default();
    for (key, value) in form_urlencoded::parse(&request.body) {
        match &*key {
            "paths" | "paths[]" => asked.paths.push(value.into_owned()),
            "expand" => asked.expand = value.eq_ignore_ascii_case("true"),
            _ => {}
        }
    }
    Ok(asked)
}
