//! The HTTP surface: OpenAI's paths for audio, and what an orchestrator asks.

pub(crate) mod body;
pub(crate) mod error;
pub(crate) mod form;

mod audio;
mod auth;
mod language;
mod models;
mod openapi;
mod probes;
mod respond;
mod stream;
mod trace;
mod transcriptions;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post};

use crate::Kind;
use crate::app::App;
use error::ApiError;

/// Every path and method of a worker of this kind, as [`router`] has them.
pub(crate) fn routes(kind: Kind) -> Vec<(&'static str, &'static str)> {
    let mut routes = vec![
        ("get", "/livez"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
        ("get", "/openapi.json"),
        ("get", "/v1/models"),
        ("get", "/v1/models/{model}"),
        ("post", "/v1/models/reload"),
        ("post", "/v1/audio/language"),
    ];
    if kind == Kind::Whisper {
        routes.extend([("post", "/v1/audio/transcriptions"), ("post", "/v1/audio/translations")]);
    }
    routes
}

/// The paths of a worker.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut api = Router::new()
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*model}", get(models::one))
        .route("/v1/models/reload", post(models::reload))
        .route("/v1/audio/language", post(language::identify));
    if app.kind == Kind::Whisper {
        api = api
            .route("/v1/audio/transcriptions", post(transcriptions::transcribe))
            .route("/v1/audio/translations", post(transcriptions::translate));
    }
    let open = Router::new()
        .route("/livez", get(probes::live))
        .route("/healthz", get(probes::live))
        .route("/readyz", get(probes::ready))
        .route("/metrics", get(probes::metrics))
        .route("/openapi.json", get(openapi::document));
    api.layer(middleware::from_fn_with_state(Arc::clone(&app), auth::require_key))
        .merge(open)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        // Uploads have a limit of their own, which is checked while they arrive.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&app), trace::count))
        .with_state(app)
}

async fn unknown_path() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown_url",
        "there is nothing at this path; `/openapi.json` lists what there is",
    )
}

async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not take this method")
}
