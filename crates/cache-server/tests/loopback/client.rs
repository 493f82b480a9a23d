//! A client that sends what it is told and keeps what comes, also of an answer that is cut off.

use std::collections::HashMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Whether the body has the length that its head says.
    pub(crate) is_whole: bool,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A request that can be added to.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    address: SocketAddr,
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Ask {
    pub(crate) fn new(address: SocketAddr, method: &'static str, path: impl Into<String>) -> Self {
        Self { address, method, path: path.into(), headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    /// Sends it and waits for the head; the body can be read from the stream.
    pub(crate) async fn open(self) -> (u16, HashMap<String, String>, Vec<u8>, TcpStream) {
        let mut stream = TcpStream::connect(self.address).await.expect("connects");
        let mut head =
            format!("{} {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.method, self.path, self.address);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n{}", self.body.len(), self.body));
        stream.write_all(head.as_bytes()).await.expect("sends");
        let mut read = Vec::new();
        let end = loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            assert!(stream.read_buf(&mut read).await.expect("reads") > 0, "the answer has a head");
        };
        let head = String::from_utf8(read[..end].to_vec()).expect("text");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
        let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        (status, lines.filter_map(pair).collect(), read[end + 4..].to_vec(), stream)
    }

    pub(crate) async fn send(self) -> Reply {
        let is_head = self.method == "HEAD";
        let (status, headers, mut body, mut stream) = self.open().await;
        // A connection that is cut is an answer, too.
        let _ = stream.read_to_end(&mut body).await;
        let expected = headers.get("content-length").and_then(|length| length.parse::<usize>().ok());
        let is_whole = is_head || expected.is_none_or(|expected| expected == body.len());
        Reply { status, headers, body, is_whole }
    }
}
