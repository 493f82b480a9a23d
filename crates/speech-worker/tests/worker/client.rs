//! A small HTTP client on a plain socket, so that a test decides what is sent and when.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Status and code of an error in OpenAI's envelope.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (u16, String) {
        let json = self.json();
        assert!(json["error"]["message"].is_string(), "{json}");
        (self.status, json["error"]["code"].as_str().expect("a code").to_owned())
    }
}

/// A form with a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form {
    parts: Vec<u8>,
}

const BOUNDARY: &str = "a-boundary-that-no-clip-holds";

impl Form {
    pub(crate) fn file(content: &[u8]) -> Self {
        Self::default().part("name=\"file\"; filename=\"clip\"", content)
    }

    pub(crate) fn field(self, name: &str, text: &str) -> Self {
        self.part(&format!("name=\"{name}\""), text.as_bytes())
    }

    fn part(mut self, name: &str, content: &[u8]) -> Self {
        self.parts.extend(format!("--{BOUNDARY}\r\ncontent-disposition: form-data; {name}\r\n\r\n").into_bytes());
        self.parts.extend(content);
        self.parts.extend(b"\r\n");
        self
    }

    fn body(&self) -> Vec<u8> {
        [&self.parts, format!("--{BOUNDARY}--\r\n").as_bytes()].concat()
    }

    pub(crate) fn content_type() -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }
}

/// An open connection.
pub(crate) struct Connection {
    socket: TcpStream,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("connects");
        socket.set_read_timeout(Some(Duration::from_secs(120))).expect("sets");
        socket.set_nodelay(true).expect("sets");
        Self { socket }
    }

    /// Sends a request's head and a part of its body.
    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n");
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        self.write(format!("{head}\r\n").as_bytes());
        self.write(body);
    }

    /// Sends more. A worker that has answered already may not listen any more.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    /// Reads the answer: as many bytes as it says that it has, else until the worker closes.
    pub(crate) fn answer(mut self) -> Answer {
        let (mut all, mut piece) = (Vec::new(), [0; 64 << 10]);
        loop {
            if let Some(answer) = whole(&all) {
                return answer;
            }
            // What came before a reset counts.
            match self.socket.read(&mut piece) {
                Ok(0) | Err(_) => return parse(&all),
                Ok(length) => all.extend(&piece[..length]),
            }
        }
    }
}

/// The answer, when all of it is there.
fn whole(all: &[u8]) -> Option<Answer> {
    all.windows(4).position(|four| four == b"\r\n\r\n")?;
    let answer = parse(all);
    let length: usize = answer.header("content-length")?.parse().ok()?;
    (answer.body.len() == length).then_some(answer)
}

fn parse(all: &[u8]) -> Answer {
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(all[..end].to_vec()).expect("text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let mut answer = Answer { status, head, body: all[end + 4..].to_vec() };
    if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        answer.body = joined(&answer.body);
    }
    answer
}

/// The content of a chunked body.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunks.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&chunks[..end]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let size = size.expect("a size");
        body.extend(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[end + 2 + size + 2..];
    }
    body
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    let mut connection = Connection::open(address);
    connection.send("GET", path, &[], b"");
    connection.answer()
}

pub(crate) fn post(address: SocketAddr, path: &str, form: &Form) -> Answer {
    post_with(address, path, &[], form)
}

pub(crate) fn post_with(address: SocketAddr, path: &str, headers: &[(&str, &str)], form: &Form) -> Answer {
    let body = form.body();
    let (length, kind) = (body.len().to_string(), Form::content_type());
    let all = [&[("content-length", length.as_str()), ("content-type", kind.as_str())], headers].concat();
    let mut connection = Connection::open(address);
    connection.send("POST", path, &all, &body);
    connection.answer()
}
