//! The key that callers must send, where one is configured.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::error::ApiError;
use crate::app::App;

/// Lets through who has the key, or everyone where there is none.
pub(crate) async fn require_key(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(key) = &app.api_key else { return next.run(request).await };
    if is_given(request.headers(), key.expose()) {
        return next.run(request).await;
    }
    app.metrics.rejected("unauthorized");
    let (_, body) = request.into_parts();
    drop(app.drain.chunks(body));
    let message = "the API key is missing or wrong; send it as `Authorization: Bearer …`";
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message).into_response()
}

/// Compares in a time that says nothing of where the keys differ.
fn is_given(headers: &HeaderMap, key: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
    let Some((scheme, given)) = given.split_at_checked(b"Bearer ".len()) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(given.ct_eq(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sent: &str, is_accepted: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, sent.parse().expect("a header"));
        assert_eq!(is_given(&headers, "secret"), is_accepted, "{sent}");
    }

    #[test]
    fn only_the_key_opens() {
        check("Bearer secret", true);
        check("bearer secret", true);
        check("Bearer secrex", false);
        check("Bearer secret2", false);
        check("Bearer ", false);
        check("Basic secret", false);
        assert!(!is_given(&HeaderMap::new(), "secret"));
    }
}
