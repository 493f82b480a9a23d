//! `/v1/models`: what is in the cache, and changes to it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use speech_flow_model_cache::{Cache, CachedRepo, CachedRevision, ClearTarget, Completeness};
use speech_flow_model_types::{CommitHash, ModelSource, ModelSpec, Patterns, RepoId, Revision};

use crate::answer::Refusal;
use crate::caller::Caller;
use crate::server::Server;

/// `GET /v1/models`.
pub(crate) async fn list(State(server): State<Server>, headers: HeaderMap) -> Result<Response, Refusal> {
    let caller = server.reader(&headers)?;
    let models = server.models(caller, None).await?;
    Ok(Json(json!({ "schema": 1, "object": "list", "data": models })).into_response())
}

/// `GET /v1/models/{owner}/{name}`.
pub(crate) async fn one(
    State(server): State<Server>,
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let caller = server.reader(&headers)?;
    let repo = repository(&owner, &name)?;
    let mut models = server.models(caller, Some(repo.clone())).await?;
    match models.pop() {
        Some(model) => Ok(Json(model).into_response()),
        None => Err(not_here(&repo)),
    }
}

/// What is asked to be made ready.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Preload {
    revision: Option<String>,
    include: Vec<String>,
    exclude: Vec<String>,
}

/// `POST /v1/models/{owner}/{name}/preload`.
pub(crate) async fn preload(
    State(server): State<Server>,
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    server.admin(&headers)?;
    let repo = repository(&owner, &name)?;
    let asked: Preload = asked(&body)?;
    let revision = revision(asked.revision.as_deref())?;
    let patterns = Patterns::new(asked.include, asked.exclude).map_err(|error| bad(error.to_string()))?;
    let spec = ModelSpec {
        name: repo.to_string(),
        source: ModelSource::Hub { repo: repo.clone(), revision },
        kind: None,
        patterns,
    };
    let starting = server.clone();
    let started = tokio::task::spawn_blocking(move || starting.preload(&repo, spec)).await;
    match started {
        Ok(Ok(job)) => Ok((StatusCode::ACCEPTED, Json(job.view())).into_response()),
        Ok(Err(error)) => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
        Err(_) => Err(Refusal::internal("the job could not be started")),
    }
}

/// What a body asks for; nothing in particular where there is none.
pub(super) fn asked<T: Default + DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| bad(format!("the body cannot be read: {error}")))
}

/// The revision that is named, else the branch that a repository begins with.
pub(super) fn revision(named: Option<&str>) -> Result<Revision, Refusal> {
    named.unwrap_or("main").parse().map_err(|error| bad(format!("{error}")))
}

fn bad(message: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, message)
}

/// `DELETE /v1/models/{owner}/{name}/revisions/{commit}`.
pub(crate) async fn delete(
    State(server): State<Server>,
    Path((owner, name, commit)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    server.admin(&headers)?;
    let repo = repository(&owner, &name)?;
    let commit: CommitHash =
        commit.parse().map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("{error}")))?;
    let (clearing, target) = (server.clone(), ClearTarget::Revision(repo.clone(), commit));
    let cleared = tokio::task::spawn_blocking(move || {
        let there = clearing.caches().filter(|cache| cache.layout().root().is_dir());
        there.map(|cache| cache.clear(std::slice::from_ref(&target))).collect::<Result<Vec<_>, _>>()
    });
    let reports = cleared
        .await
        .map_err(|_| Refusal::internal("the removal ended early"))?
        .map_err(|error| server.disk_error(&error))?;
    let removed: Vec<_> = reports.iter().flat_map(|report| &report.removed).collect();
    let refused: Vec<_> = reports.iter().flat_map(|report| &report.refused).collect();
    let freed: u64 = reports.iter().map(|report| report.freed_bytes).sum();
    let answer = json!({ "schema": 1, "freed_bytes": freed, "removed": removed, "refused": refused });
    match (removed.is_empty(), refused.is_empty()) {
        (_, false) => Ok((StatusCode::CONFLICT, Json(answer)).into_response()),
        (true, true) => Err(not_here(&repo)),
        (false, true) => Ok(Json(answer).into_response()),
    }
}

pub(super) fn repository(owner: &str, name: &str) -> Result<RepoId, Refusal> {
    format!("{owner}/{name}").parse().map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("{error}")))
}

fn not_here(repo: &RepoId) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("`{repo}` is not in the cache"))
}

impl Server {
    /// A caller that may see what there is.
    pub(crate) fn reader(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let caller = Caller::of(headers, self.inner.settings.token.as_ref());
        if self.inner.settings.protect_reads && !caller.is_admin {
            return Err(crate::hub_api::closed());
        }
        Ok(caller)
    }

    /// A caller that may change it.
    pub(crate) fn admin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.inner.settings.token else {
            let message = "nothing can be changed here: the server has no access token (`SPEECH_FLOW_SERVER_TOKEN`)";
            return Err(Refusal::new(StatusCode::FORBIDDEN, message));
        };
        match Caller::of(headers, Some(token)).is_admin {
            true => Ok(()),
            false => Err(Refusal::new(StatusCode::UNAUTHORIZED, "this call needs the server's access token")),
        }
    }

    /// What the caches hold, as far as the caller may know.
    pub(crate) async fn models(&self, caller: Caller, only: Option<RepoId>) -> Result<Vec<Value>, Refusal> {
        let server = self.clone();
        let scanned = tokio::task::spawn_blocking(move || {
            let mut models = Vec::new();
            for cache in server.caches().filter(|cache| cache.layout().root().is_dir()) {
                let report = cache.scan().map_err(|error| server.disk_error(&error))?;
                let is_meant = |repo: &&CachedRepo| {
                    only.as_ref().is_none_or(|only| *only == repo.repo)
                        && (caller.is_admin || !crate::metadata::disk::is_restricted(&server, &repo.repo))
                };
                models.extend(report.repos.iter().filter(is_meant).map(|repo| describe(&server, cache, repo)));
            }
            Ok(models)
        });
        scanned.await.map_err(|_| Refusal::internal("the look at the cache ended early"))?
    }
}

fn describe(server: &Server, cache: &Cache, repo: &CachedRepo) -> Value {
    let revisions = repo.revisions.iter().map(|revision| revision_of(server, cache, repo, revision));
    json!({
        "id": repo.repo.as_str(),
        "object": "model",
        "cache": cache.layout().root(),
        "bytes": repo.size_on_disk,
        "downloads": repo.partials.len(),
        "revisions": revisions.collect::<Vec<_>>(),
    })
}

fn revision_of(server: &Server, cache: &Cache, repo: &CachedRepo, revision: &CachedRevision) -> Value {
    let record = cache.read_record(&repo.repo, &revision.commit).ok().flatten();
    // What this server fetched for its clients has no record, but the hub's word on it.
    let license = record.and_then(|record| record.license);
    let license = license.or_else(|| crate::metadata::disk::license(server, &repo.repo, &revision.commit));
    let (state, missing) = match &revision.completeness {
        Completeness::Complete => ("complete", 0),
        Completeness::Incomplete { missing } => ("incomplete", missing.len()),
        Completeness::Unknown => ("unknown", 0),
    };
    json!({
        "commit": revision.commit.as_str(),
        "refs": revision.refs.iter().map(Revision::as_str).collect::<Vec<_>>(),
        "files": revision.files.len(),
        "bytes": revision.size_on_disk,
        "state": if revision.downloading.is_some() { "downloading" } else { state },
        "missing_files": missing,
        "pinned": revision.pinned.is_some(),
        "last_used": revision.last_used.map(|used| used.to_string()),
        "leases": revision.leases.len(),
        "license": license,
    })
}
