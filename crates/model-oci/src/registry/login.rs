//! Logins: a password with each request, or a token of the service that the registry names.

use std::sync::PoisonError;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;
use url::Url;

use super::{Access, Exchange, Registry, Request, network_error};
use crate::challenge::{Challenge, parse_challenge};
use crate::credentials::Credentials;
use crate::error::{Fault, OciError};
use crate::reference::is_loopback;

/// Longest answer of a token service.
const MAX_TOKEN_BYTES: usize = 256 << 10;

/// What is sent with each request.
#[derive(Clone)]
pub(crate) struct Login(HeaderValue);

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(…)")
    }
}

impl Login {
    fn new(scheme: &str, value: &str) -> Result<Self, OciError> {
        let header = HeaderValue::from_str(&format!("{scheme} {value}"));
        let mut header =
            header.map_err(|_| OciError::Credentials("they hold characters that no header can have".to_owned()))?;
        header.set_sensitive(true);
        Ok(Self(header))
    }

    fn basic(user: &str, password: &str) -> Result<Self, OciError> {
        use base64::Engine as _;
        let pair = format!("{user}:{password}");
        Self::new("Basic", &base64::engine::general_purpose::STANDARD.encode(pair))
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registry {
    pub(super) fn present_login(&self) -> Option<HeaderValue> {
        let login = self.login.lock().unwrap_or_else(PoisonError::into_inner);
        login.as_ref().map(|Login(header)| header.clone())
    }

    /// Does what the registry's refusal asks for. Says whether the request is worth another try.
    pub(super) async fn log_in(&self, refusal: &Exchange) -> Result<bool, OciError> {
        let challenges = refusal.response.headers().get_all(WWW_AUTHENTICATE);
        let asked = challenges.iter().filter_map(|value| parse_challenge(value.to_str().ok()?));
        let asked: Vec<Challenge> = asked.collect();
        let bearer = asked.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        let login = match (bearer.or_else(|| asked.first()), &self.config.credentials) {
            (Some(Challenge::Bearer { realm, service }), _) => {
                Some(self.token(refusal, realm, service.as_deref()).await?)
            }
            (Some(Challenge::Basic), Credentials::Login { user, password }) => {
                Some(Login::basic(user, password.expose())?)
            }
            _ => None,
        };
        let got_one = login.is_some();
        if got_one {
            *self.login.lock().unwrap_or_else(PoisonError::into_inner) = login;
        }
        Ok(got_one)
    }

    /// Asks the token service. It gets our password, so it must stand behind TLS, or be on a machine to which the
    /// registry's own password may go without.
    async fn token(&self, refusal: &Exchange, realm: &str, service: Option<&str>) -> Result<Login, OciError> {
        let not_there = || refusal.fault(Fault::Login("at an address that is not safe for a password"));
        let mut url = Url::parse(realm).map_err(|_| not_there())?;
        let is_safe = match url.scheme() {
            "https" => true,
            "http" => is_loopback(&url) || self.config.plain_http && url.host() == self.root.host(),
            _ => false,
        };
        if !is_safe || !url.has_host() || !url.username().is_empty() || url.password().is_some() {
            return Err(not_there());
        }
        let actions = match self.config.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        url.query_pairs_mut().append_pair("scope", &format!("repository:{}:{actions}", self.reference.name()));
        let exchange = self.ask_for_token(url).await?;
        let status = exchange.response.status();
        if !status.is_success() {
            return Err(self.refusal_of_token(exchange).await);
        }
        let not_json = exchange.fault(Fault::Json);
        let body = exchange.read_bounded(MAX_TOKEN_BYTES).await?;
        let token: Token = serde_json::from_slice(&body).map_err(|_| not_json)?;
        let token = token.token.or(token.access_token).filter(|token| !token.is_empty());
        Login::new("Bearer", &token.ok_or_else(|| refusal.fault(Fault::Login("and gives no token")))?)
    }

    async fn ask_for_token(&self, url: Url) -> Result<Exchange, OciError> {
        let mut request = Request::new(Method::GET, url.clone());
        if let Credentials::Login { user, password } = &self.config.credentials {
            let Login(header) = Login::basic(user, password.expose())?;
            request.headers.insert(AUTHORIZATION, header);
        }
        let request_id = speech_flow_model_hub::RequestId::random();
        let after = self.config.http.etag_timeout;
        let send = self.client.get(url.clone()).headers(request.headers).send();
        match tokio::time::timeout(after, send).await {
            Ok(Ok(response)) => Ok(Exchange { response, url, request_id, after }),
            Ok(Err(error)) => Err(network_error(error, url, request_id)),
            Err(_) => Err(OciError::Timeout { url: url.into(), request_id, after }),
        }
    }

    /// A token service says no in the registry's name.
    async fn refusal_of_token(&self, exchange: Exchange) -> OciError {
        let status = exchange.response.status().as_u16();
        let what = format!("`{}`", self.reference);
        match self.error_of(exchange, what.clone()).await {
            // For the storage behind a registry this may pass; a service that refuses means it.
            OciError::Server { source, .. } if (400..=499).contains(&status) && status != 408 => {
                let (sent, helper) = match &self.config.credentials {
                    Credentials::Anonymous { helper } => (false, helper.clone()),
                    Credentials::Login { .. } => (true, None),
                };
                OciError::Unauthorized { what, sent, helper, source }
            }
            error => error,
        }
    }
}
