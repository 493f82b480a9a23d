//! `/v1/updates`, and the way back from one.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::models::{asked, repository, revision};
use crate::answer::Refusal;
use crate::server::Server;
use crate::updates::NoWayBack;

/// `GET /v1/updates`.
pub(crate) async fn show(State(server): State<Server>, headers: HeaderMap) -> Result<Response, Refusal> {
    let caller = server.reader(&headers)?;
    let taken = tokio::task::spawn_blocking(move || server.updates(&caller)).await;
    let view = taken.map_err(|_| Refusal::internal("the record of updates could not be read"))?;
    Ok(Json(view).into_response())
}

/// `POST /v1/updates`: looks for them now.
pub(crate) async fn run(State(server): State<Server>, headers: HeaderMap) -> Result<Response, Refusal> {
    server.admin(&headers)?;
    if server.inner.settings.offline {
        return Err(Refusal::new(StatusCode::CONFLICT, "this server asks no hub, so it finds no updates"));
    }
    let running = server.clone();
    server.inner.tasks.spawn(async move { running.update_all(None).await });
    Ok((StatusCode::ACCEPTED, Json(json!({ "schema": 1, "state": "running" }))).into_response())
}

/// What is rolled back.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rollback {
    revision: Option<String>,
}

/// `POST /v1/models/{owner}/{name}/rollback`.
pub(crate) async fn roll_back(
    State(server): State<Server>,
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    server.admin(&headers)?;
    let repo = repository(&owner, &name)?;
    let asked: Rollback = asked(&body)?;
    let revision = revision(asked.revision.as_deref())?;
    match server.roll_back(&repo, &revision).await {
        Ok(done) => Ok(Json(json!({
            "schema": 1, "repo": repo.as_str(), "revision": revision.as_str(), "from": done.from, "to": done.to,
        }))
        .into_response()),
        Err(NoWayBack::Nothing) => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("`{repo}@{revision}` has had no update that could be taken back"),
        )),
        Err(NoWayBack::Failed(why)) => Err(Refusal::new(StatusCode::CONFLICT, why)),
    }
}
