//! The Hub's API: which answer each request gets.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use speech_flow_http_listener::{Peer, Pieces};

use crate::answer::Refusal;
use crate::caller::Caller;
use crate::hub_path::Target;
use crate::server::Server;

mod account;
mod documents;
mod resolve;
mod tree;

/// The name of the endpoint that answered, for metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint(pub(crate) &'static str);

/// What all answers are made from.
pub(crate) struct Asked<'a> {
    pub(crate) caller: Caller,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// Whether the connection speaks TLS.
    pub(crate) is_tls: bool,
    /// The connection's way to send files.
    pub(crate) pieces: Option<Pieces>,
}

impl Asked<'_> {
    /// A header's value, when it is text.
    pub(crate) fn header(&self, name: impl axum::http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = url::form_urlencoded::parse(self.query?.as_bytes());
        pairs.into_owned().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Whether a switch of the query is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| matches!(&*value, "1" | "true" | "True"))
    }

    /// Where the client reached this server: addresses of next pages must lead back the same way.
    pub(crate) fn origin(&self) -> Option<String> {
        let host = self.header("x-forwarded-host").or_else(|| self.header("host"))?;
        let is_tls = self.is_tls || self.header("x-forwarded-proto") == Some("https");
        let scheme = if is_tls { "https" } else { "http" };
        Some(format!("{scheme}://{host}"))
    }
}

/// Answers a request of the Hub's API.
pub(crate) async fn answer(State(server): State<Server>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let target = match Target::parse(parts.uri.path()) {
        Ok(target) => target,
        Err(bad) => return Refusal::from(bad).into_response(),
    };
    let peer = parts.extensions.get::<Peer>();
    let asked = Asked {
        caller: Caller::of(&parts.headers, server.inner.settings.token.as_ref()),
        method: &parts.method,
        headers: &parts.headers,
        path: parts.uri.path(),
        query: parts.uri.query(),
        is_tls: peer.is_some_and(|peer| peer.is_tls),
        pieces: peer.and_then(|peer| peer.pieces.clone()),
    };
    let endpoint = Endpoint(target.label());
    let mut response = route(&server, &asked, target, body).await.unwrap_or_else(IntoResponse::into_response);
    response.extensions_mut().insert(endpoint);
    response
}

async fn route(server: &Server, asked: &Asked<'_>, target: Target, body: Body) -> Result<Response, Refusal> {
    if server.inner.settings.protect_reads && !asked.caller.is_admin {
        return Err(closed());
    }
    let is_read = matches!(*asked.method, Method::GET | Method::HEAD);
    if is_read == matches!(target, Target::PathsInfo { .. }) || !is_read && *asked.method != Method::POST {
        return Err(Refusal::method(asked.method));
    }
    match target {
        Target::Info { repo, revision } => {
            documents::info(server, asked, &repo, &revision).await.map_err(Refusal::without_rate_limit)
        }
        Target::Tree { repo, revision, folder } => tree::tree(server, asked, &repo, &revision, folder.as_ref()).await,
        Target::PathsInfo { repo, revision } => tree::paths_info(server, asked, &repo, &revision, body).await,
        Target::Refs { repo } => documents::refs(server, asked, &repo).await,
        Target::Commits { repo, revision } => {
            documents::pass_on(server, asked, &repo, &["commits", revision.as_str()], &revision).await
        }
        Target::Discussions { repo } => {
            documents::pass_on(server, asked, &repo, &["discussions"], &speech_flow_model_types::Revision::main()).await
        }
        Target::AuthCheck { repo } => account::auth_check(server, asked, &repo).await,
        Target::Whoami => account::whoami(server, asked).await,
        Target::XetToken { .. } => Err(no_xet()),
        Target::Resolve { repo, revision, path } => resolve::resolve(server, asked, &repo, &revision, &path).await,
    }
}

/// A client that once talked to the hub itself may hold Xet hashes, and then asks for nothing else.
fn no_xet() -> Refusal {
    Refusal::new(
        StatusCode::NOT_IMPLEMENTED,
        "this server sends files over HTTP, not over Xet: set HF_HUB_DISABLE_XET=1, or delete the `trees` folder of \
         this repository in the client's cache",
    )
}

/// Reading needs the server's own token.
pub(crate) fn closed() -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, "this server needs its access token").with_code("RepoNotFound")
}

/// JSON with its headers.
pub(crate) fn json(value: &serde_json::Value) -> Response {
    let mut response = axum::Json(value).into_response();
    // What is seen depends on who asks.
    response.headers_mut().insert(axum::http::header::VARY, HeaderValue::from_name(AUTHORIZATION));
    response
}
