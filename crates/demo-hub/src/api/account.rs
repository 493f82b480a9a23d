//! Tokens.

use serde_json::json;

use crate::catalog::Want;
use crate::http::{Request, Response};
use crate::hub::Shared;

/// `/api/whoami-v2`.
pub(super) fn whoami(shared: &Shared, request: &Request) -> Result<Response, Response> {
    let Some(_) = shared.catalog.token(request)? else {
        return Err(Response::error(401, None, "Invalid username or password."));
    };
    let account = json!({
        "type": "user",
        "id": "000000000000000000000001",
        "name": "demo",
        "fullname": "Demo User",
        "email": "demo@localhost",
        "emailVerified": true,
        "canPay": false,
        "isPro": false,
        "periodEnd": null,
        "avatarUrl": "",
        "orgs": [],
        "auth": {
            "type": "access_token",
            "accessToken": { "displayName": "demo", "role": "read", "createdAt": "2026-01-15T00:00:00.000Z" },
        },
    });
    Ok(Response::json(200, &account))
}

/// `/api/models/{repo}/auth-check`: whether the files may be read.
pub(super) fn auth_check(shared: &Shared, request: &Request, repo: &str) -> Result<Response, Response> {
    shared.catalog.open(request, repo, Want::Files)?;
    Ok(Response::json(200, &json!({})))
}
