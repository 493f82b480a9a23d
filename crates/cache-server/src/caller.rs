//! Who asks.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use speech_flow_model_hub::Secret;

/// Whoever sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Its token for the hub; never this server's own.
    pub(crate) hub_token: Option<Secret>,
    /// Whether it showed this server's own token.
    pub(crate) is_admin: bool,
}

impl Caller {
    /// Somebody without a token.
    pub(crate) fn nobody() -> Self {
        Self { hub_token: None, is_admin: false }
    }

    /// Reads a request's `Authorization`. `own` is this server's token, which never goes to the hub.
    pub(crate) fn of(headers: &HeaderMap, own: Option<&Secret>) -> Self {
        let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(bearer).and_then(Secret::from_text);
        let is_admin = matches!((&token, own), (Some(token), Some(own)) if same(token, own));
        Self { hub_token: token.filter(|_| !is_admin), is_admin }
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Compares hashes, so that the time it takes says nothing about the token.
fn same(one: &Secret, other: &Secret) -> bool {
    fingerprint(one) == fingerprint(other)
}

/// A name for a token that does not give it away.
pub(crate) fn fingerprint(token: &Secret) -> String {
    Sha256::digest(token.expose().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_servers_own_token_is_not_a_token_for_the_hub() {
        let own = Secret::from_text("own");
        let headers = |value: &'static str| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
        let caller = Caller::of(&headers("Bearer own"), own.as_ref());
        assert!(caller.is_admin && caller.hub_token.is_none());
        let caller = Caller::of(&headers("bearer hf_x"), own.as_ref());
        assert_eq!((caller.is_admin, caller.hub_token), (false, Secret::from_text("hf_x")));
        let caller = Caller::of(&headers("Basic eA=="), None);
        assert!(!caller.is_admin && caller.hub_token.is_none());
    }
}
