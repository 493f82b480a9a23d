//! One request to a server on loopback.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// The answer to a GET; `None` while nobody answers.
pub(crate) fn get(address: &str, path: &str) -> Option<Answer> {
    ask(address, &format!("GET {path}"), "", &[])
}

/// The answer to a recording.
pub(crate) fn transcribe(address: &str, recording: &[u8]) -> Option<Answer> {
    let mut form = b"--limit\r\ncontent-disposition: form-data; name=\"file\"; filename=\"clip.wav\"\r\n\r\n".to_vec();
    form.extend(recording);
    form.extend(b"\r\n--limit--\r\n");
    let kind = "content-type: multipart/form-data; boundary=limit\r\n";
    ask(address, "POST /v1/audio/transcriptions", kind, &form)
}

fn ask(address: &str, what: &str, headers: &str, body: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    let length = body.len();
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    let head = format!("{what} HTTP/1.0\r\nhost: {address}\r\n{headers}content-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}
