//! Documents that the hub's own words answer: model information, branches, history.

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::http::header::LINK;
use axum::response::Response;
use serde_json::{Value, json};
use speech_flow_model_hub::{RawDocument, RawRequest};
use speech_flow_model_types::{RepoId, Revision};

use super::{Asked, json};
use crate::answer::Refusal;
use crate::metadata::{Settled, Want, xet};
use crate::server::Server;
use crate::shelf::Unanswered;

/// Model information.
pub(super) async fn info(
    server: &Server,
    asked: &Asked<'_>,
    repo: &RepoId,
    revision: &Revision,
) -> Result<Response, Refusal> {
    let settled = server.settle(repo, revision, &asked.caller, Want::Listing).await?;
    // What else a client wants to know is asked for at the settled commit, so that all answers fit together.
    let Some(query) = asked.query.filter(|query| !query.is_empty()) else {
        return Ok(json(&settled.document.json));
    };
    let commit = settled.document.commit.as_str();
    match raw(server, &settled, &["revision", commit], Some(query)).await {
        Ok(document) => Ok(json(&document.json)),
        Err(error) if error.is_definite() => Err(error.into()),
        // Less than was asked for is more than nothing.
        Err(_) => Ok(json(&settled.document.json)),
    }
}

/// Branches and tags; what is locked stands for what it is locked to.
pub(super) async fn refs(server: &Server, asked: &Asked<'_>, repo: &RepoId) -> Result<Response, Refusal> {
    let main = Revision::main();
    let settled = server.settle(repo, &main, &asked.caller, Want::Listing).await?;
    let mut refs = match raw(server, &settled, &["refs"], asked.query).await {
        Ok(document) => document.json.clone(),
        Err(error) if error.is_definite() => return Err(error.into()),
        Err(_) => {
            let main =
                json!({"name": "main", "ref": "refs/heads/main", "targetCommit": settled.document.commit.as_str()});
            json!({"branches": [main], "tags": [], "converts": []})
        }
    };
    if let Some(lockfile) = server.lockfile() {
        for reference in ["branches", "tags"]
            .iter()
            .filter_map(|kind| refs.get(kind)?.as_array().cloned().map(|list| (*kind, list)))
            .collect::<Vec<_>>()
        {
            let (kind, list) = reference;
            let locked = list.into_iter().map(|mut reference| {
                let name: Option<Revision> = reference["name"].as_str().and_then(|name| name.parse().ok());
                if let Some(locked) = name.and_then(|name| lockfile.get(repo, &name)) {
                    reference["targetCommit"] = Value::from(locked.commit().as_str());
                }
                reference
            });
            refs[kind] = locked.collect();
        }
    }
    Ok(json(&refs))
}

/// A document that is handed on as it is, page by page.
pub(super) async fn pass_on(
    server: &Server,
    asked: &Asked<'_>,
    repo: &RepoId,
    path: &[&str],
    revision: &Revision,
) -> Result<Response, Refusal> {
    let settled = server.settle(repo, revision, &asked.caller, Want::Listing).await?;
    let document = raw(server, &settled, path, asked.query).await?;
    let mut response = json(&document.json);
    if let Some(query) = &document.next_query {
        next_page(&mut response, asked, query);
    }
    Ok(response)
}

/// Names the next page: this path with another query.
pub(super) fn next_page(response: &mut Response, asked: &Asked<'_>, query: &str) {
    let Some(origin) = asked.origin() else { return };
    let link = format!("<{origin}{}?{query}>; rel=\"next\"", asked.path);
    if let Ok(link) = HeaderValue::from_str(&link) {
        response.headers_mut().insert(LINK, link);
    }
}

/// A document of the hub, kept for a while.
pub(super) async fn raw(
    server: &Server,
    settled: &Settled,
    path: &[&str],
    query: Option<&str>,
) -> Result<Arc<RawDocument>, Unanswered> {
    let Settled { repo, hub, audience, document } = settled;
    let key = format!("{repo}/{}?{}#{audience}", path.join("/"), query.unwrap_or_default());
    let ask = || {
        let (repo, hub, query) = (repo.clone(), hub.clone(), query.map(str::to_owned));
        let path: Vec<String> = path.iter().map(|segment| (*segment).to_owned()).collect();
        let revision = Revision::from(document.commit.clone());
        server.ask(move || async move {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let request =
                RawRequest { repo: Some(&repo), revision: Some(&revision), path: &path, query: query.as_deref() };
            let mut document = hub.raw(request).await?;
            xet::strip(&mut document.json);
            Ok(Arc::new(document))
        })
    };
    let patience = server.inner.settings.metadata_patience();
    Ok(server.inner.raw.get(&key, patience, async { None }, ask).await?.value)
}
