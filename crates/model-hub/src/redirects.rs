//! Our own way through redirects: each hop is seen, bounded, and gets the token only on the endpoint.

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION};
use url::Url;

use crate::transport::{Deadline, Exchange, Transport};
use crate::{HubError, ProtocolFault};

/// Most redirects in a row; as many as other clients follow.
const MAX_REDIRECTS: usize = 20;

/// What the redirects on the way may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// Not leave encryption: metadata is trusted as it comes.
    Metadata,
    /// Also leave it: the content of a file is checked against its digest. A proxy that ends TLS in front of
    /// a mirror makes such addresses.
    Content,
}

/// Sends a GET and follows redirects. `on_hop` sees every answer that redirects, and the last one.
pub(crate) async fn get(
    transport: &Transport,
    url: Url,
    headers: HeaderMap,
    follow: Follow,
    deadline: Deadline,
    mut on_hop: impl FnMut(&Exchange) -> Result<(), HubError>,
) -> Result<Exchange, HubError> {
    let mut url = url;
    let mut redirects = 0;
    loop {
        let exchange = transport.get(url, headers.clone(), deadline).await?;
        on_hop(&exchange)?;
        if !is_redirect(exchange.response.status()) {
            return Ok(exchange);
        }
        if redirects == MAX_REDIRECTS {
            return Err(exchange.fault(ProtocolFault::TooManyRedirects(MAX_REDIRECTS)));
        }
        redirects += 1;
        url = target(&exchange, follow).ok_or_else(|| exchange.fault(ProtocolFault::Redirect))?;
        // A body of a redirect that stays unread would cost its connection; it is small, and worth reading.
        drain(exchange).await;
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn target(exchange: &Exchange, follow: Follow) -> Option<Url> {
    let location = exchange.response.headers().get(LOCATION)?.to_str().ok()?;
    let target = exchange.url.join(location).ok()?;
    let followed = match (exchange.url.scheme(), target.scheme()) {
        (_, "https") | ("http", "http") => true,
        ("https", "http") => follow == Follow::Content,
        _ => false,
    };
    (followed && target.has_host()).then_some(target)
}

/// Largest body of a redirect that is read to keep the connection.
const MAX_REDIRECT_BODY: u64 = 16 << 10;

async fn drain(exchange: Exchange) {
    if exchange.response.content_length().is_some_and(|length| length <= MAX_REDIRECT_BODY) {
        // Only the connection is at stake.
        let _ = exchange.read_bounded(MAX_REDIRECT_BODY as usize).await;
    }
}
