//! A range of a file, with every header checked that could reveal that other bytes are coming.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use reqwest::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE};
use speech_flow_model_types::Digest;

use super::Hub;
use super::answers::Asked;
use crate::headers::{bare_etag, parse_content_range, strong_etag};
use crate::redirects::{self, Follow};
use crate::transport::{Deadline, Exchange, network_error};
use crate::{FileBody, FileRequest, HubError, ProtocolFault, Unexpected};

/// Bytes that tell a page or a pointer from weights.
const TELLING_BYTES: usize = 64;

impl Hub {
    /// Opens a range.
    pub(super) async fn open_range(&self, request: &FileRequest<'_>) -> Result<FileBody, HubError> {
        if let Some(link) = self.shared.links.find(request) {
            let opened = match self.send(request, link).await {
                Ok(exchange) if exchange.response.status().is_success() => body_of(request, exchange).await,
                Ok(exchange) => Err(self.error_of(&exchange, asked(request))),
                Err(error) => Err(error),
            };
            match opened {
                Ok(body) => return Ok(body),
                // The signature ran out, or the file moved within the storage: the hub knows where it is now.
                Err(HubError::Server { status: 400..=499, .. }) => self.shared.links.forget(request),
                Err(error) => {
                    self.shared.links.forget(request);
                    return Err(error);
                }
            }
        }
        let segments = request.repo.as_str().split('/').chain(["resolve", request.commit.as_str()]);
        let url = self.url(segments.chain(request.file.path.as_str().split('/')));
        let exchange = self.send(request, url).await?;
        if !exchange.response.status().is_success() {
            return Err(self.error_of(&exchange, asked(request)));
        }
        let link = Some(exchange.url.clone()).filter(|url| !self.shared.transport.is_endpoint(url));
        let body = body_of(request, exchange).await?;
        if let Some(link) = link {
            self.shared.links.remember(request, link);
        }
        Ok(body)
    }

    async fn send(&self, request: &FileRequest<'_>, url: url::Url) -> Result<Exchange, HubError> {
        let transport = &self.shared.transport;
        let deadline = Deadline::after(self.shared.config.read_timeout);
        redirects::get(transport, url, range_headers(request), Follow::Content, deadline, |hop| {
            let status = hop.response.status();
            // Only the hub itself speaks of commits and digests; a storage's ETag may be anything.
            if transport.is_endpoint(&hop.url) && (status.is_success() || status.is_redirection()) {
                check_identity(request, hop)?;
            }
            Ok(())
        })
        .await
    }
}

fn asked<'a>(request: &FileRequest<'a>) -> Asked<'a> {
    Asked::File(request.repo, request.commit, &request.file.path)
}

fn is_whole(request: &FileRequest<'_>) -> bool {
    request.range == (0..request.file.size)
}

fn range_text(request: &FileRequest<'_>) -> String {
    format!("{}-{}", request.range.start, request.range.end.saturating_sub(1))
}

fn range_headers(request: &FileRequest<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if is_whole(request) {
        return headers;
    }
    let range = HeaderValue::from_str(&format!("bytes={}", range_text(request)));
    headers.insert(RANGE, range.expect("digits and a dash are a header value"));
    if let Some(validator) = request.validator.and_then(|validator| HeaderValue::from_str(validator).ok()) {
        headers.insert(IF_RANGE, validator);
    }
    headers
}

/// Whether the hub speaks about the commit and content that were listed.
fn check_identity(request: &FileRequest<'_>, hop: &Exchange) -> Result<(), HubError> {
    if let Some(got) = hop.header("x-repo-commit").filter(|got| *got != request.commit.as_str()) {
        let expected = request.commit.to_string();
        return Err(hop.fault(ProtocolFault::WrongCommit { expected, got: got.to_owned() }));
    }
    if let Some(got) = hop.header("x-linked-size").and_then(|size| size.parse().ok())
        && got != request.file.size
    {
        return Err(hop.fault(ProtocolFault::WrongLength { expected: request.file.size, got }));
    }
    let etag = hop.header("x-linked-etag").or_else(|| hop.header("etag")).map(bare_etag);
    let named = etag.and_then(|etag| etag.parse::<Digest>().ok());
    let same_kind = |named: &Digest| std::mem::discriminant(named) == std::mem::discriminant(&request.file.digest);
    match named.filter(same_kind).filter(|named| *named != request.file.digest) {
        Some(named) => Err(changed(request, request.file.digest.to_string(), named.to_string())),
        None => Ok(()),
    }
}

fn changed(request: &FileRequest<'_>, expected: String, actual: String) -> HubError {
    HubError::ContentChanged { file: request.file.path.clone(), expected, actual }
}

/// Checks the head of a good answer and gives its body, read so far that a page or pointer would show.
async fn body_of(request: &FileRequest<'_>, exchange: Exchange) -> Result<FileBody, HubError> {
    if let Some(coding) = exchange.header("content-encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        let coding = coding.to_owned();
        return Err(exchange.fault(ProtocolFault::Encoded(coding)));
    }
    let validator = exchange.header("etag").and_then(strong_etag).map(str::to_owned);
    if let (Some(known), Some(now)) = (request.validator, &validator)
        && known != now
    {
        return Err(changed(request, known.to_owned(), now.clone()));
    }
    let judged = judge_head(request, &exchange);
    let range = judged.as_ref().map_or(0..0, Clone::clone);
    // Looked at even when the head is wrong already: a page in the file's place is better named than its length.
    let starts_file = request.range.start == 0 || exchange.response.status().as_u16() == 200;
    let (url, request_id, deadline) = (exchange.url.clone(), exchange.request_id, exchange.deadline);
    let mut rest = stream_of(exchange, judged.as_ref().map_or(u64::MAX, |range| range.end - range.start));
    let mut first = Bytes::new();
    if starts_file {
        first = deadline.limit(telling_bytes(&mut rest), &url, request_id).await??;
        if let Some(found) = Unexpected::judge(request.file, &first) {
            return Err(HubError::UnexpectedContent { file: request.file.path.clone(), found });
        }
    }
    judged?;
    Ok(FileBody::new(range, rest).with_first(first).with_validator(validator).with_request_id(request_id))
}

/// The range that the answer brings, if that is usable.
fn judge_head(request: &FileRequest<'_>, exchange: &Exchange) -> Result<std::ops::Range<u64>, HubError> {
    let expected = request.file.size;
    let length = exchange.response.content_length();
    if exchange.response.status().as_u16() == 206 {
        let text = exchange.header("content-range").unwrap_or("no `Content-Range`");
        let wrong = || {
            let (asked, got) = (range_text(request), text.to_owned());
            exchange.fault(ProtocolFault::WrongRange { asked, got })
        };
        let got = parse_content_range(text).ok_or_else(wrong)?;
        if let Some(total) = got.total.filter(|total| *total != expected) {
            return Err(exchange.fault(ProtocolFault::WrongLength { expected, got: total }));
        }
        let range = got.range;
        let fits = range.start == request.range.start && range.end <= request.range.end;
        let full = length.is_none_or(|length| length == range.end - range.start);
        return if fits && full { Ok(range) } else { Err(wrong()) };
    }
    if exchange.response.status().as_u16() != 200 {
        return Err(exchange.fault(ProtocolFault::Status(exchange.response.status().as_u16())));
    }
    if let Some(got) = length.filter(|length| *length != expected) {
        return Err(exchange.fault(ProtocolFault::WrongLength { expected, got }));
    }
    if is_whole(request) { Ok(0..expected) } else { Err(HubError::RangeIgnored { file: request.file.path.clone() }) }
}

/// The body as it comes from the connection, uncopied; more than `most` bytes are an error.
fn stream_of(exchange: Exchange, most: u64) -> BoxStream<'static, Result<Bytes, HubError>> {
    let Exchange { response, url, request_id, .. } = exchange;
    let mut left = most;
    let checked = response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(|error| network_error(error, url.clone(), request_id))?;
        left = left.checked_sub(chunk.len() as u64).ok_or_else(|| HubError::Protocol {
            url: url.clone().into(),
            request_id,
            source: ProtocolFault::TooLong,
        })?;
        Ok(chunk)
    });
    Box::pin(checked)
}

async fn telling_bytes(rest: &mut BoxStream<'static, Result<Bytes, HubError>>) -> Result<Bytes, HubError> {
    let mut first = Bytes::new();
    while first.len() < TELLING_BYTES {
        let Some(chunk) = rest.next().await else { break };
        let chunk = chunk?;
        if first.is_empty() {
            first = chunk;
        } else {
            // Rare: a server that sends its first bytes one by one.
            let mut joined = BytesMut::from(&first[..]);
            joined.extend_from_slice(&chunk);
            first = joined.freeze();
        }
    }
    // `rest` may be polled past its end by whoever streams it on.
    let inner = std::mem::replace(rest, Box::pin(stream::empty()));
    *rest = Box::pin(inner.fuse());
    Ok(first)
}
