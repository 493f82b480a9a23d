//! The description of this API, kept by hand beside this file and checked against the paths.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::routes;
use crate::app::App;

const DOCUMENT: &str = include_str!("openapi/openapi.json");

/// `GET /openapi.json`: the paths that this worker has.
pub(crate) async fn document(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let mut document: Value = serde_json::from_str(DOCUMENT).map_err(|error| ApiError::internal(&error))?;
    let here = routes(app.kind);
    if let Some(paths) = document["paths"].as_object_mut() {
        *paths = std::mem::take(paths)
            .into_iter()
            .filter(|(path, _)| here.iter().any(|(_, other)| other == path))
            .collect::<Map<_, _>>();
    }
    document["info"]["version"] = Value::from(env!("CARGO_PKG_VERSION"));
    if app.api_key.is_none() {
        document["security"] = Value::Array(Vec::new());
    }
    Ok(Json(document))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn the_document_has_every_path_and_no_other() {
        let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
        let mut described = Vec::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            described
                .extend(methods.as_object().expect("methods").keys().map(|method| (method.as_str(), path.clone())));
        }
        let mut here = routes(Kind::Whisper);
        described.sort_unstable();
        here.sort_unstable();
        assert_eq!(described, here);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
        let text = DOCUMENT.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next());
        let mut count = 0;
        for pointer in text {
            assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
            count += 1;
        }
        assert!(count > 10);
    }
}
