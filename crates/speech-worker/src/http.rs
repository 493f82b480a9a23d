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
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use speech_flow_http_listener::Peer;

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
        .layer(middleware::from_fn_with_state(Arc::clone(&app), refuse_a_crowd))
        .merge(open)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        // Uploads have a limit of their own, which is checked while they arrive.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&app), trace::count))
        .with_state(app)
}

/// A connection beyond the bound is for probes.
async fn refuse_a_crowd(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if !request.extensions().get::<Peer>().is_some_and(|peer| peer.is_over) {
        return next.run(request).await;
    }
    app.metrics.rejected("connections");
    drop(app.drain.chunks(request.into_body()));
    ApiError::crowded().into_response()
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
