//! Writes answers to the connection, with what goes wrong on the way.

use std::io;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

use super::{Body, Response, Wire};
use crate::content::CHUNK;
use crate::log::Entry;

/// How often a second a slowed body sends a piece.
const PIECES_PER_SECOND: u64 = 20;

/// What becomes of the connection after an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It can carry another request.
    Open,
    /// It must be closed: the answer was broken on purpose.
    Close,
}

/// The two directions of a connection and what was read ahead.
pub(super) struct Wires<'a, R, W> {
    pub(super) reader: &'a mut R,
    pub(super) writer: &'a mut W,
    pub(super) buffer: &'a mut BytesMut,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Wires<'_, R, W> {
    /// Sends one answer and counts the bytes of its body in `entry`.
    pub(super) async fn send(
        &mut self,
        response: &Response,
        wire: &Wire,
        is_head: bool,
        keep_alive: bool,
        entry: Option<&Entry>,
    ) -> io::Result<Afterwards> {
        if let Some(delay) = wire.delay {
            self.wait(Some(delay)).await?;
        }
        if wire.drop {
            return Ok(Afterwards::Close);
        }
        if let Some(entry) = entry {
            entry.set_status(response.status);
        }
        let keep_alive = keep_alive && wire.declared_length.is_none();
        self.writer.write_all(head(response, wire.declared_length, keep_alive).as_bytes()).await?;
        if is_head {
            return Ok(if keep_alive { Afterwards::Open } else { Afterwards::Close });
        }
        let whole = self.send_body(response, wire, entry).await?;
        Ok(if whole && keep_alive { Afterwards::Open } else { Afterwards::Close })
    }

    /// Sends the body; `false` when it was cut on purpose.
    async fn send_body(&mut self, response: &Response, wire: &Wire, entry: Option<&Entry>) -> io::Result<bool> {
        let body = &response.body;
        let len = body.len();
        let end = wire.cut_after.map_or(len, |cut| cut.min(len));
        let mut stall = wire.stall_after.filter(|(at, _)| *at <= end);
        let piece = wire.bytes_per_second.map_or(CHUNK, |rate| (rate / PIECES_PER_SECOND).clamp(1, CHUNK));
        let mut offset = 0;
        loop {
            if let Some((at, time)) = stall
                && at == offset
            {
                stall = None;
                self.writer.flush().await?;
                self.wait(time).await?;
            }
            if offset == end {
                return Ok(end == len);
            }
            let until = stall.map_or(end, |(at, _)| at.min(end)).min(offset + piece);
            let bytes = with_flipped_byte(body, offset, until - offset, wire.flip).await?;
            self.writer.write_all(&bytes).await?;
            if let Some(entry) = entry {
                entry.add_sent(bytes.len() as u64);
            }
            if let Some(rate) = wire.bytes_per_second {
                let time = Duration::from_secs_f64(bytes.len() as f64 / rate.max(1) as f64);
                self.wait(Some(time)).await?;
            }
            offset = until;
        }
    }

    /// Waits, for good without a time, unless the client goes away before. What it sends meanwhile is kept.
    async fn wait(&mut self, time: Option<Duration>) -> io::Result<()> {
        // No timer for an endless wait: a paused clock would jump to its end.
        let time = async {
            match time {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(time);
        loop {
            // A client that sends and sends without reading is not served for ever.
            let has_room = self.buffer.len() < 1 << 20;
            tokio::select! {
                () = &mut time => return Ok(()),
                read = self.reader.read_buf(self.buffer), if has_room => if read? == 0 {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                },
            }
        }
    }
}

async fn with_flipped_byte(body: &Body, offset: u64, len: u64, flip: Option<u64>) -> io::Result<Bytes> {
    let bytes = body.read(offset, len).await?;
    let at = flip.and_then(|flip| flip.checked_sub(body.start() + offset)).filter(|at| *at < len);
    Ok(match at {
        None => bytes,
        Some(at) => {
            let mut bytes = bytes.to_vec();
            bytes[at as usize] ^= 0xff;
            bytes.into()
        }
    })
}

fn head(response: &Response, declared_length: Option<u64>, keep_alive: bool) -> String {
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
    let mut line = |name: &str, value: &str| {
        // A value from a fault rule must not end the line.
        let value = value.replace(['\r', '\n'], " ");
        head.push_str(&format!("{name}: {value}\r\n"));
    };
    for (name, value) in &response.headers {
        line(name, value);
    }
    line("Date", &httpdate::fmt_http_date(SystemTime::now()));
    let has_length = response.header("Content-Length").is_some() || matches!(response.status, 204 | 304);
    if !has_length {
        line("Content-Length", &declared_length.unwrap_or(response.body.len()).to_string());
    }
    line("Connection", if keep_alive { "keep-alive" } else { "close" });
    head.push_str("\r\n");
    head
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unknown",
    }
}
