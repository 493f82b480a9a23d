//! All routes, and what each request goes through: limits, a request id, a log line, metrics.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use speech_flow_http_listener::Peer;
use speech_flow_model_hub::RequestId;
use tokio::time::Instant;

use crate::answer::Refusal;
use crate::hub_api::{self, Endpoint};
use crate::limits::{Admission, PerClient};
use crate::operations;
use crate::server::Server;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id of a client that is repeated.
const MAX_REQUEST_ID: usize = 64;

/// The whole server as a router.
pub fn app(server: Server) -> Router {
    let limits = PerClient::new(server.inner.settings.max_per_client);
    let own = operations::routes::routes().into_iter();
    own.fold(Router::new(), |router, (_, path, handler)| router.route(path, handler))
        .fallback(hub_api::answer)
        .layer(from_fn_with_state((server.clone(), limits), accompany))
        .with_state(server)
}

/// Goes with a request from its head to the last byte of its answer.
async fn accompany(State((server, limits)): State<(Server, PerClient)>, request: Request, next: Next) -> Response {
    let since = Instant::now();
    let peer = request.extensions().get::<Peer>();
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip());
    let is_over = peer.is_some_and(|peer| peer.is_over);
    let id = request_id(&request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let endpoint_of_route = route_name(&path);
    let admission = match is_probe(&path) {
        true => Ok(None),
        false if is_over => Err(overcrowded()),
        false => limits.admit(address).map(Some).ok_or_else(too_many),
    };
    let (response, admission) = match admission {
        Ok(admission) => (next.run(request).await, admission),
        Err(refusal) => (refusal.into_response(), None),
    };
    let endpoint = response.extensions().get::<Endpoint>().map_or(endpoint_of_route, |endpoint| endpoint.0);
    let status = response.status().as_u16();
    server.inner.metrics.in_flight.add(1);
    let ending = Ending {
        server,
        id: id.clone(),
        method,
        path,
        address,
        endpoint,
        status,
        since,
        sent: 0,
        _admission: admission,
    };
    let mut response = response.map(|body| Body::new(Accompanied { body, ending }));
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn too_many() -> Refusal {
    let message = "this address has too many requests at once: come back when some are done";
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, message).later(Duration::from_secs(1))
}

fn overcrowded() -> Refusal {
    let message = "this server has too many connections, and all of them are at work: come back in a moment";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).later(Duration::from_secs(1))
}

/// The client's own id where it has a usable one, so that its log and this one fit together.
fn request_id(request: &Request) -> String {
    let sent = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_usable =
        |id: &&str| !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
    sent.filter(is_usable).map_or_else(|| RequestId::random().to_string(), str::to_owned)
}

fn is_probe(path: &str) -> bool {
    matches!(path, "/livez" | "/healthz" | "/readyz" | "/metrics")
}

/// The metrics' name for what is no path of the Hub.
fn route_name(path: &str) -> &'static str {
    match path {
        "/livez" | "/healthz" | "/readyz" => "health",
        "/metrics" => "metrics",
        "/" => "page",
        _ if path.starts_with("/v1/") => "status",
        _ => "other",
    }
}

/// Writes down how a request ended.
struct Ending {
    server: Server,
    id: String,
    method: axum::http::Method,
    path: String,
    address: IpAddr,
    endpoint: &'static str,
    status: u16,
    since: Instant,
    sent: u64,
    _admission: Option<Admission>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let took = self.since.elapsed();
        let metrics = &self.server.inner.metrics;
        metrics.in_flight.add(-1);
        metrics.request(self.endpoint, self.status, took);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (id, status, sent) = (&self.id, self.status, self.sent);
        let (method, path, address) = (&self.method, &self.path, self.address);
        if is_probe(path) {
            tracing::debug!(request_id = id, %method, path, %address, status, took_ms, "a probe was answered");
        } else {
            tracing::info!(request_id = id, %method, path, %address, status, sent, took_ms, "a request was answered");
        }
    }
}

/// A body that ends with its request.
struct Accompanied {
    body: Body,
    ending: Ending,
}

impl HttpBody for Accompanied {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.ending.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
