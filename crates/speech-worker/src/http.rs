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
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use speech_flow_http_listener::Peer;

use crate::Kind;
use crate::app::App;
use error::ApiError;

/// A method of a path, and what answers it.
struct Route {
    method: &'static str,
    path: &'static str,
    handler: MethodRouter<Arc<App>>,
}

fn get<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<App>>) -> Route {
    Route { method: "get", path, handler: routing::get(handler) }
}

fn post<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<App>>) -> Route {
    Route { method: "post", path, handler: routing::post(handler) }
}

/// What probes, scrapers and readers of the description ask, without a key.
fn open() -> Vec<Route> {
    vec![
        get("/livez", probes::live),
        get("/healthz", probes::live),
        get("/readyz", probes::ready),
        get("/metrics", probes::metrics),
        get("/openapi.json", openapi::document),
    ]
}

/// What needs the key, where there is one.
fn keyed(kind: Kind) -> Vec<Route> {
    let mut routes = vec![
        get("/v1/models", models::list),
        get("/v1/models/{*model}", models::one),
        post("/v1/models/reload", models::reload),
        post("/v1/audio/language", language::identify),
    ];
    if kind == Kind::Whisper {
        routes.push(post("/v1/audio/transcriptions", transcriptions::transcribe));
        routes.push(post("/v1/audio/translations", transcriptions::translate));
    }
    routes
}

/// Every method and path of a worker of this kind, as a description has them.
pub(crate) fn routes(kind: Kind) -> Vec<(&'static str, String)> {
    let routes = open().into_iter().chain(keyed(kind));
    // A model's name has a slash in it.
    routes.map(|route| (route.method, route.path.replace("{*", "{"))).collect()
}

/// The paths of a worker.
pub(crate) fn router(app: Arc<App>) -> Router {
    let served = |routes: Vec<Route>| {
        routes.into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler))
    };
    served(keyed(app.kind))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), auth::require_key))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), refuse_a_crowd))
        .merge(served(open()))
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
