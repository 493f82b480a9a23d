//! What an orchestrator and Prometheus ask. Nothing here waits for a model.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::error::ApiError;
use crate::app::App;
use crate::metrics::StateNumbers;

/// The process answers and no inference is stuck.
pub(crate) async fn live(State(app): State<Arc<App>>) -> Response {
    match app.stuck() {
        None => Json(json!({ "status": "alive" })).into_response(),
        Some(running) => {
            let report = json!({ "status": "stuck", "batch_seconds": running.as_secs_f64() });
            (StatusCode::SERVICE_UNAVAILABLE, Json(report)).into_response()
        }
    }
}

/// A model is verified, loaded and warm, and new work is taken; else the phase and how far it is.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let mut report = app.health.report();
    if let Some(serving) = app.serving() {
        report["model"] = json!(serving.info);
    }
    let status = if app.health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

/// The metrics.
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let state = StateNumbers {
        backlog: app.admission.backlog(),
        waiting_windows: app.serving().map_or(0, |serving| serving.waiting()),
        longest_running: app.longest_running().unwrap_or_default(),
        is_ready: app.health.is_ready(),
        is_draining: app.health.is_draining(),
    };
    let text = app.metrics.render(state).map_err(|error| ApiError::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
