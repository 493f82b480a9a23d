//! One request for one small answer, on a plain socket: no proxy and no TLS stand before the loopback.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest answer that is read, its head included.
const MAX_ANSWER: usize = 64 << 10;
const MAX_HEADERS: usize = 64;

/// What a service said.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Its JSON; null where it is none.
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn is_well(&self) -> bool {
        self.status == 200
    }
}

/// Asks for `path`; all of it takes no longer than `timeout`.
pub(super) fn ask(address: SocketAddr, path: &str, timeout: Duration) -> io::Result<Answer> {
    let until = Instant::now() + timeout;
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_write_timeout(Some(left(until)?))?;
    // HTTP/1.0, so that the answer ends with the connection and comes in no chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\nuser-agent: {AGENT}\r\n\r\n")?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(&mut buffer)? {
            0 => return parse(&bytes),
            read if bytes.len() + read > MAX_ANSWER => return Err(io::ErrorKind::FileTooLarge.into()),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

const AGENT: &str = concat!("speech-flow/", env!("CARGO_PKG_VERSION"));

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn parse(bytes: &[u8]) -> io::Result<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match (response.parse(bytes), response.code) {
        (Ok(httparse::Status::Complete(head)), Some(status)) => {
            Ok(Answer { status, body: serde_json::from_slice(&bytes[head..]).unwrap_or_default() })
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use serde_json::json;

    use super::*;

    /// A service that answers one request with these bytes; `None` lets it be silent.
    fn asked(answer: Option<&'static [u8]>, timeout: Duration) -> io::Result<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 1024];
            let read = stream.read(&mut request).expect("a request");
            match answer {
                Some(answer) => stream.write_all(answer).expect("sent"),
                // Until the other end gives up.
                None => assert_eq!(stream.read(&mut request).expect("the end"), 0),
            }
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let answer = ask(address, "/readyz", timeout);
        let request = service.join().expect("it ends");
        assert!(request.starts_with("GET /readyz HTTP/1.0\r\n"), "{request}");
        answer
    }

    const PATIENT: Duration = Duration::from_secs(30);

    #[test]
    fn status_and_body_are_read() {
        let answer = asked(Some(b"HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\n{\"status\":\"starting\"}"), PATIENT);
        assert_eq!(answer.expect("an answer"), Answer { status: 503, body: json!({ "status": "starting" }) });
        let answer = asked(Some(b"HTTP/1.1 200 OK\r\n\r\nok"), PATIENT).expect("an answer");
        assert_eq!(answer, Answer { status: 200, body: Value::Null });
    }

    #[test]
    fn what_is_not_http_or_too_long_is_an_error() {
        #[track_caller]
        fn check(answer: &'static [u8], kind: io::ErrorKind) {
            assert_eq!(asked(Some(answer), PATIENT).expect_err("an error").kind(), kind);
        }
        check(b"", io::ErrorKind::InvalidData);
        check(b"SSH-2.0-OpenSSH_9.2\r\n", io::ErrorKind::InvalidData);
        check(b"HTTP/1.1 200", io::ErrorKind::InvalidData);
        static LONG: [u8; MAX_ANSWER + 1] = [b'x'; MAX_ANSWER + 1];
        check(&LONG, io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_silent_service_is_given_up() {
        let error = asked(None, Duration::from_millis(50)).expect_err("an error");
        assert!(matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{error:?}");
    }
}
