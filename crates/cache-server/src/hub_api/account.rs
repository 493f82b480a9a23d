//! Tokens: who one belongs to, and whether it opens a repository.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use speech_flow_model_hub::{HubError, ProtocolFault, RawRequest};
use speech_flow_model_types::{RepoId, Revision};

use super::{Asked, json};
use crate::answer::Refusal;
use crate::caller::fingerprint;
use crate::metadata::Want;
use crate::server::Server;
use crate::shelf::Unanswered;

/// `/api/models/{repo}/auth-check`: whether the files may be read.
pub(super) async fn auth_check(server: &Server, asked: &Asked<'_>, repo: &RepoId) -> Result<Response, Refusal> {
    server.settle(repo, &Revision::main(), &asked.caller, Want::Files).await?;
    Ok(json(&json!({})))
}

/// `/api/whoami-v2`: the hub's word on the caller's own token.
pub(super) async fn whoami(server: &Server, asked: &Asked<'_>) -> Result<Response, Refusal> {
    let Some(token) = &asked.caller.hub_token else {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "Invalid username or password."));
    };
    let hub = server.inner.upstream.as_caller(token)?;
    let key = format!("whoami#{}", fingerprint(token));
    let ask = || {
        server.ask(move || async move {
            let request = RawRequest { repo: None, revision: None, path: &["whoami-v2"], query: None };
            hub.raw(request).await.map(Arc::new)
        })
    };
    let patience = server.inner.settings.metadata_patience();
    match server.inner.raw.get(&key, patience, async { None }, ask).await {
        Ok(kept) => Ok(json(&kept.value.json)),
        // The hub's way to say that it does not know the token.
        Err(Unanswered::Hub(error))
            if matches!(*error, HubError::Protocol { source: ProtocolFault::Status(401 | 403), .. }) =>
        {
            Err(Refusal::new(StatusCode::UNAUTHORIZED, "Invalid username or password."))
        }
        Err(error) => Err(error.into()),
    }
}
