//! One connection's socket: plain or with TLS; it tells what happens on it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::activity::Activity;
use crate::direct::{Pieces, is_blank};

/// A connection.
pub(crate) struct Socket {
    wire: Wire,
    activity: Arc<Activity>,
}

/// What carries the bytes.
pub(crate) enum Wire {
    /// The kernel sends files by itself.
    Plain {
        stream: TcpStream,
        pieces: Pieces,
    },
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    pub(crate) fn new(wire: Wire, activity: Arc<Activity>) -> Self {
        Self { wire, activity }
    }

    fn said(&self, sent: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.activity.sending(sent.is_pending());
        sent
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = match &mut self.wire {
            Wire::Plain { stream, .. } => Pin::new(stream).poll_read(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if buf.filled().len() > before {
            self.activity.received();
        }
        read
    }
}

/// Sends what a blank stands for.
fn poll_send(stream: &TcpStream, pieces: &Pieces, cx: &mut Context<'_>, blank: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        match stream.try_io(Interest::WRITABLE, || pieces.send(stream, blank)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let sent = match &mut self.wire {
            Wire::Plain { stream, pieces } if is_blank(buf) => poll_send(stream, pieces, cx, buf),
            Wire::Plain { stream, .. } => Pin::new(stream).poll_write(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        self.said(sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = match &mut self.wire {
            Wire::Plain { stream, pieces } => {
                let start = bufs.iter().position(|buf| !buf.is_empty()).unwrap_or(bufs.len());
                let bufs = &bufs[start..];
                match bufs.iter().position(|buf| is_blank(buf)) {
                    Some(0) => poll_send(stream, pieces, cx, &bufs[0]),
                    Some(blank) => Pin::new(stream).poll_write_vectored(cx, &bufs[..blank]),
                    None => Pin::new(stream).poll_write_vectored(cx, bufs),
                }
            }
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        };
        self.said(sent)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain { stream, .. } => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.wire {
            Wire::Plain { stream, .. } => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        match &flushed {
            Poll::Ready(_) => self.activity.flushed(),
            Poll::Pending => self.activity.sending(true),
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain { stream, .. } => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
