//! Answers, and how they go wrong on the wire.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::content::Content;

/// One answer.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

/// What follows the head.
#[derive(Debug, Clone, Default)]
pub(crate) enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// Part of a file, read as it is sent.
    Content(Arc<Content>, Range<u64>),
}

/// What happens to an answer while it is sent. The default is nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wire {
    /// Close the connection and send nothing.
    pub(crate) drop: bool,
    /// Wait before the head.
    pub(crate) delay: Option<Duration>,
    /// Close the connection after so many bytes of the body.
    pub(crate) cut_after: Option<u64>,
    /// Send nothing more after so many bytes of the body, for a time or for good.
    pub(crate) stall_after: Option<(u64, Option<Duration>)>,
    /// At most so many bytes a second.
    pub(crate) bytes_per_second: Option<u64>,
    /// Change the byte at this offset of the file.
    pub(crate) flip: Option<u64>,
    /// Say this length in place of the true one, and close the connection after the body.
    pub(crate) declared_length: Option<u64>,
}

impl Response {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn text(status: u16, content_type: &str, text: impl Into<Bytes>) -> Self {
        Self { body: Body::Bytes(text.into()), ..Self::new(status).with("Content-Type", content_type) }
    }

    pub(crate) fn json(status: u16, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => Self::text(status, "application/json; charset=utf-8", text),
            Err(_) => Self::new(500),
        }
    }

    /// An error as the Hub gives it: code and message stand in headers.
    pub(crate) fn error(status: u16, code: Option<&str>, message: &str) -> Self {
        let mut response =
            Self::json(status, &serde_json::json!({ "error": message })).with("X-Error-Message", message);
        if let Some(code) = code {
            response.set("X-Error-Code", code);
        }
        response
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    /// Adds a header or replaces it.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.into()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(header, _)| !header.eq_ignore_ascii_case(name));
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl Body {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Content(_, range) => range.end - range.start,
        }
    }

    /// Offset in the file of the first byte.
    pub(crate) fn start(&self) -> u64 {
        match self {
            Self::Empty | Self::Bytes(_) => 0,
            Self::Content(_, range) => range.start,
        }
    }

    /// Reads `len` bytes from `offset` of the body on.
    pub(crate) async fn read(&self, offset: u64, len: u64) -> std::io::Result<Bytes> {
        match self {
            Self::Empty => Ok(Bytes::new()),
            Self::Bytes(bytes) => Ok(bytes.slice(offset as usize..(offset + len) as usize)),
            Self::Content(content, range) => content.read(range.start + offset..range.start + offset + len).await,
        }
    }
}
