//! Requests as they come in.

use std::borrow::Cow;
use std::io;

use bytes::{Bytes, BytesMut};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};
use url::form_urlencoded;

/// Longest head of a request.
const MAX_HEAD: usize = 64 << 10;
/// Longest body of a request: a list of paths or of fault rules.
const MAX_BODY: usize = 8 << 20;
const MAX_HEADERS: usize = 100;

/// Which of the two ports answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Server {
    /// The hub itself.
    Hub,
    /// The second port, where large files are.
    Cdn,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) server: Server,
    pub(crate) method: String,
    /// The path as it was sent, still quoted.
    pub(crate) path: String,
    /// The query as it was sent, without the question mark.
    pub(crate) query: String,
    /// Names are lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// Whether the client wants to send another request on this connection.
    pub(crate) keep_alive: bool,
}

/// Why no request could be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// The connection ended or broke.
    Closed,
    /// The bytes are no request that is served here; answer this status and close.
    Refused(u16),
}

impl From<io::Error> for Unreadable {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

impl Request {
    /// Reads the next request. Bytes of the one after it stay in `buffer`.
    pub(crate) async fn read(
        server: Server,
        reader: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
    ) -> Result<Self, Unreadable> {
        let (mut request, head_len) = loop {
            if let Some(parsed) = parse_head(server, buffer)? {
                break parsed;
            }
            if buffer.len() >= MAX_HEAD {
                return Err(Unreadable::Refused(431));
            }
            if reader.read_buf(buffer).await? == 0 {
                return Err(Unreadable::Closed);
            }
        };
        let _ = buffer.split_to(head_len);
        if request.header("transfer-encoding").is_some() {
            return Err(Unreadable::Refused(411));
        }
        let length: usize = match request.header("content-length") {
            Some(length) => length.parse().map_err(|_| Unreadable::Refused(400))?,
            None => 0,
        };
        if length > MAX_BODY {
            return Err(Unreadable::Refused(413));
        }
        while buffer.len() < length {
            if reader.read_buf(buffer).await? == 0 {
                return Err(Unreadable::Closed);
            }
        }
        request.body = buffer.split_to(length).freeze();
        Ok(request)
    }

    /// Value of a header; the name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        form_urlencoded::parse(self.query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Whether a query parameter is switched on.
    pub(crate) fn switched_on(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| matches!(&*value, "true" | "True" | "1"))
    }

    /// Whether this is a `GET` or a `HEAD`.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD")
    }

    /// Segments of the path, each decoded. `None` when one is no UTF-8.
    pub(crate) fn segments(&self) -> Option<Vec<String>> {
        let segments = self.path.trim_start_matches('/').split('/');
        segments.map(|segment| percent_decode_str(segment).decode_utf8().ok().map(Cow::into_owned)).collect()
    }
}

/// Parses a whole head, or says that more bytes are needed.
fn parse_head(server: Server, buffer: &[u8]) -> Result<Option<(Request, usize)>, Unreadable> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head_len = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(head_len)) => head_len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Unreadable::Refused(431)),
        Err(_) => return Err(Unreadable::Refused(400)),
    };
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Unreadable::Refused(400));
    };
    // A request through a proxy names the whole URL.
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |slash| &rest[slash..]),
        _ => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(String, String)> = parsed
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
        .collect();
    let connection = headers.iter().find(|(name, _)| name == "connection").map(|(_, value)| value.to_ascii_lowercase());
    let keep_alive = match connection.as_deref() {
        Some("close") => false,
        Some("keep-alive") => true,
        _ => version == 1,
    };
    let request = Request {
        server,
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Bytes::new(),
        keep_alive,
    };
    Ok(Some((request, head_len)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn read(bytes: &[u8]) -> (Result<Request, Unreadable>, BytesMut) {
        let mut buffer = BytesMut::new();
        let request = Request::read(Server::Hub, &mut &bytes[..], &mut buffer).await;
        (request, buffer)
    }

    #[tokio::test]
    async fn the_next_request_stays_in_the_buffer() {
        let (request, rest) = read(b"POST /a%2Fb/c?x=1&y=a+b HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET / ").await;
        let request = request.unwrap();
        assert_eq!(request.segments().unwrap(), ["a/b", "c"]);
        assert_eq!(request.parameter("y").unwrap(), "a b");
        assert!(request.switched_on("x") && request.keep_alive);
        assert_eq!(request.body, "hi");
        assert_eq!(&rest[..], b"GET / ");
    }

    #[tokio::test]
    async fn oversized_and_unreadable_requests_are_refused() {
        let refused = async |bytes: &[u8]| match read(bytes).await.0 {
            Err(Unreadable::Refused(status)) => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(b"\x01\x02\r\n\r\n").await, 400);
        assert_eq!(refused(b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n").await, 413);
        assert_eq!(refused(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").await, 411);
        let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD));
        assert_eq!(refused(long.as_bytes()).await, 431);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_head(Server::Hub, &bytes);
        }
    }
}
