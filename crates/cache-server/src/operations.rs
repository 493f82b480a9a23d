//! What those who run the server ask: is it alive, is it ready, what does it count.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use speech_flow_model_cache::{Cache, Writability, space};

use crate::answer::Refusal;
use crate::metrics::{StateNumbers, VolumeNumbers};
use crate::server::Server;

pub(crate) mod models;
pub(crate) mod page;
pub(crate) mod routes;
pub(crate) mod status;
pub(crate) mod updates;

/// The process answers.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// The cache is usable, and the server is not about to end. Whether the hub can be reached does not count: the
/// server is there for when it can not.
pub(crate) async fn ready(State(server): State<Server>) -> Response {
    let Ok(found) = tokio::task::spawn_blocking(move || Readiness::of(&server)).await else {
        return Refusal::internal("the caches could not be looked at").into_response();
    };
    let Readiness { is_ready, is_draining, caches } = found;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(json!({ "ready": is_ready, "draining": is_draining, "caches": caches }))).into_response()
}

/// Whether requests should come.
struct Readiness {
    is_ready: bool,
    is_draining: bool,
    caches: Vec<serde_json::Value>,
}

impl Readiness {
    /// Looks at the caches. Blocks.
    fn of(server: &Server) -> Self {
        let caches: Vec<_> = server.caches().map(|cache| state_of(server, cache)).collect();
        let is_draining = server.inner.is_draining.load(Ordering::Relaxed);
        let is_ready = !is_draining && caches.iter().all(|(usable, _)| *usable);
        Self { is_ready, is_draining, caches: caches.into_iter().map(|(_, state)| state).collect() }
    }
}

fn state_of(server: &Server, cache: &Cache) -> (bool, serde_json::Value) {
    let writability = cache.writability();
    // A read-only cache serves what it holds, where nothing is to be fetched.
    let is_usable = writability == Writability::Writable || server.inner.settings.offline;
    let state = match writability {
        Writability::Writable => "writable",
        Writability::ReadOnly => "read-only",
        Writability::Denied => "denied",
    };
    (is_usable, json!({ "path": cache.layout().root(), "state": state }))
}

/// For Prometheus.
pub(crate) async fn metrics(State(server): State<Server>) -> Response {
    let taken = tokio::task::spawn_blocking(move || {
        let Readiness { is_ready, is_draining, .. } = Readiness::of(&server);
        let leases = server.inner.leases.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let leases = leases.values().filter(|lease| lease.strong_count() > 0).count();
        let state = StateNumbers { volumes: volumes(&server), leases, is_ready, is_draining };
        server.inner.metrics.updates(&server.read_record());
        let store = server.inner.tier.as_ref().map_or(Ok(String::new()), |tier| tier.render())?;
        Ok::<_, prometheus::Error>(server.inner.metrics.render(&state)? + &store)
    });
    match taken.await {
        Ok(Ok(text)) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        _ => Refusal::internal("the metrics could not be taken").into_response(),
    }
}

/// Each cache's volume.
pub(crate) fn volumes(server: &Server) -> Vec<VolumeNumbers> {
    let hub = server.inner.manager.hub_cache().layout().root();
    let numbers = server.caches().filter_map(|cache| {
        let root = cache.layout().root();
        let space = space(root).ok().flatten()?;
        let cache = if root == hub { "hub" } else { "whisper" };
        Some(VolumeNumbers { cache, free: space.free, total: space.total })
    });
    numbers.collect()
}

/// `GET /v1/openapi.json`.
pub(crate) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// The description of this server's own paths; the Hub's paths are described by the Hub.
const OPENAPI: &str = include_str!("operations/openapi.json");
