//! Accepting connections and speaking HTTP on them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use crate::activity::Activity;
use crate::connections::{Connections, Place};
use crate::direct::Pieces;
use crate::options::Patience;
use crate::socket::{Socket, Wire};
use crate::stats::{Closed, Stats};
use crate::tls::Tls;

/// How long to wait before the next try when no connection can be accepted, for want of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Longest head of a request, and the most that is kept of one answer before it is sent.
const MAX_BUFFER: usize = 64 << 10;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) routes: Router,
    pub(crate) patience: Patience,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) stop: CancellationToken,
}

/// The other end of a connection, among the extensions of each of its requests.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// What the connection sends from files; `None` where it cannot.
    pub pieces: Option<Pieces>,
    /// Whether there are more connections than there may be: answer probes, and refuse the rest.
    pub is_over: bool,
}

/// Accepts connections until the service ends, and waits for those that are at work.
pub(crate) async fn accept(socket: &TcpListener, shared: Arc<Shared>, most: usize) {
    let connections = Connections::new(most, Arc::clone(&shared.stats));
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            Some(_) = running.join_next() => {}
            (stream, address, place) = next(socket, &connections) => {
                running.spawn(converse(stream, address, place, Arc::clone(&shared)));
            }
        }
    }
    while running.join_next().await.is_some() {}
}

async fn next(socket: &TcpListener, connections: &Arc<Connections>) -> (TcpStream, SocketAddr, Place) {
    loop {
        match socket.accept().await {
            Ok((stream, address)) => {
                // Small answers must not wait for more to send.
                let _ = stream.set_nodelay(true);
                return (stream, address, connections.place().await);
            }
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, from its first byte to its last.
async fn converse(stream: TcpStream, address: SocketAddr, place: Place, shared: Arc<Shared>) {
    let activity = Arc::clone(&place.activity);
    let talk = async {
        let Some((wire, pieces)) = wire(stream, &shared).await else { return };
        let peer = Peer { address, is_tls: pieces.is_none(), pieces, is_over: false };
        let socket = TokioIo::new(Socket::new(wire, Arc::clone(&activity)));
        let service = service_fn(|request| answer(request, peer.clone(), &place, &shared));
        let mut connection = pin!(http1::Builder::new().max_buf_size(MAX_BUFFER).serve_connection(socket, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shared.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
    };
    tokio::select! {
        () = talk => {}
        reason = activity.overdue(shared.patience, &shared.stop) => shared.stats.count(reason),
        () = activity.evicted.cancelled() => {}
    }
}

/// What carries the connection; `None` when there is no agreement on TLS.
async fn wire(stream: TcpStream, shared: &Shared) -> Option<(Wire, Option<Pieces>)> {
    let Some(tls) = &shared.tls else {
        let pieces = Pieces::default();
        return Some((Wire::Plain { stream, pieces: pieces.clone() }, Some(pieces)));
    };
    match tls.accept(stream).await {
        Ok(stream) => Some((Wire::Tls(Box::new(stream)), None)),
        Err(error) => {
            tracing::debug!(%error, "a client did not agree on TLS");
            shared.stats.count(Closed::Handshake);
            None
        }
    }
}

/// Why a request gets no answer: its connection has to go.
#[derive(Debug, thiserror::Error)]
#[error("the connection's place was taken")]
struct Evicted;

async fn answer(
    request: Request<Incoming>,
    mut peer: Peer,
    place: &Place,
    shared: &Shared,
) -> Result<Response<Answering>, Evicted> {
    let activity = &place.activity;
    if !activity.begin() {
        return Err(Evicted);
    }
    let at_work = AtWork(Arc::clone(activity));
    peer.is_over = place.is_over();
    let is_over = peer.is_over;
    let mut request = request.map(|body| match body.is_end_stream() {
        true => Body::empty(),
        false => Body::new(Arriving { body, activity: Arc::clone(activity) }),
    });
    request.extensions_mut().insert(peer);
    let answered: Result<_, Infallible> = shared.routes.clone().call(request).await;
    let mut response = match answered {
        Ok(response) => response.map(|body| Answering { body, _at_work: at_work }),
        Err(never) => match never {},
    };
    if is_over {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// A request that is answered; it lasts until it is dropped.
struct AtWork(Arc<Activity>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A body on its way to the client.
struct Answering {
    body: Body,
    _at_work: AtWork,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body on its way from the client.
struct Arriving {
    body: Incoming,
    activity: Arc<Activity>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.activity.starving(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.activity.starving(false);
    }
}
