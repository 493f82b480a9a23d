//! The store's requests, over connections with the proxies and certificates of the configuration.

use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use object_store::ClientConfigKey;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use reqwest::Client;

/// Longest wait for the head of an answer, the sending of a part included.
const ANSWER_PATIENCE: Duration = Duration::from_secs(300);

/// Gives every client of the store the same connections.
#[derive(Debug)]
pub(super) struct Connector {
    client: Client,
}

#[derive(Debug)]
struct Service {
    client: Client,
    /// Whether requests without TLS may be sent.
    may_be_plain: bool,
}

impl Connector {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let may_be_plain = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        Ok(HttpClient::new(Service { client: self.client.clone(), may_be_plain }))
    }
}

impl HttpService for Service {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            if !self.may_be_plain && request.uri().scheme_str() == Some("http") {
                let refused = io::Error::other("an address without TLS needs `AWS_ALLOW_HTTP` or `AZURE_ALLOW_HTTP`");
                return Err(HttpError::new(HttpErrorKind::Unknown, refused));
            }
            let request = request.map(reqwest::Body::wrap);
            let request = request.try_into().map_err(error)?;
            let answered = tokio::time::timeout(ANSWER_PATIENCE, self.client.execute(request)).await;
            let response = answered.map_err(|late| HttpError::new(HttpErrorKind::Timeout, late))?.map_err(error)?;
            let (head, body) = axum::http::Response::from(response).into_parts();
            Ok(HttpResponse::from_parts(head, HttpResponseBody::new(Answer(body))))
        })
    }
}

/// The body of an answer, with the errors that the store's client decides by.
struct Answer(reqwest::Body);

impl Body for Answer {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_err(error)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The address is dropped: it may be signed.
fn error(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_decode() {
        HttpErrorKind::Decode
    } else if is_broken(&error) {
        HttpErrorKind::Interrupted
    } else if error.is_request() {
        HttpErrorKind::Request
    } else {
        HttpErrorKind::Unknown
    };
    HttpError::new(kind, error.without_url())
}

/// Whether the connection broke.
fn is_broken(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if cause.downcast_ref::<io::Error>().is_some() {
            return true;
        }
        next = cause.source();
    }
    false
}
