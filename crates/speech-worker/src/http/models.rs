//! The model that is loaded, and how another version of it takes its place.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::audio::OPENAI_MODEL;
use super::error::ApiError;
use crate::app::App;
use crate::serving::Serving;

/// `GET /v1/models`: the loaded model, or none while it is loaded.
pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let models: Vec<Value> = app.serving().iter().map(|serving| described(serving)).collect();
    Json(json!({ "object": "list", "data": models }))
}

/// `GET /v1/models/{model}`.
pub(crate) async fn one(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    match app.serving() {
        Some(serving) if serving.info.is_named(&name, OPENAI_MODEL) => Ok(Json(described(&serving))),
        _ => Err(ApiError::unknown_model(&name)),
    }
}

/// `POST /v1/models/reload`: looks the model up again, in the background. Only where callers have a key.
pub(crate) async fn reload(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    if app.api_key.is_none() {
        let message = "reloading over HTTP needs `WORKER_API_KEY`; `SIGHUP` does the same";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "key_required", message));
    }
    app.reload.notify_one();
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "reloading" }))).into_response())
}

/// The model as OpenAI's clients read one, with what is known of it beside that.
fn described(serving: &Serving) -> Value {
    let info = &serving.info;
    let mut model = json!(info);
    model["id"] = json!(info.name);
    model["object"] = json!("model");
    model["created"] = json!(serving.loaded_at);
    model["owned_by"] = json!(info.repo.as_deref().and_then(|repo| repo.split('/').next()).unwrap_or("local"));
    model
}
