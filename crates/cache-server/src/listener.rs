//! The listening socket: bounded connections, and what handlers know of them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::direct::{Pieces, is_blank};
use crate::server::Server;

/// How long to wait before the next try when no connection can be accepted, for want of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A socket that accepts no more connections than it may.
pub(crate) struct Limited {
    listener: TcpListener,
    server: Server,
    turns: Arc<Semaphore>,
}

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    pieces: Pieces,
    _counted: Counted,
}

struct Counted {
    server: Server,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.server.inner.metrics.connections.add(-1);
    }
}

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// What the connection sends from files.
    pub(crate) pieces: Pieces,
}

impl Limited {
    pub(crate) fn new(listener: TcpListener, server: Server) -> Self {
        let turns = Arc::new(Semaphore::new(server.inner.settings.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
        Self { listener, server, turns }
    }
}

impl Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Nothing closes the semaphore.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // Small answers must not wait for more to send.
                    let _ = stream.set_nodelay(true);
                    self.server.inner.metrics.connections.add(1);
                    let counted = Counted { server: self.server.clone(), _turn: turn };
                    return (Connection { stream, pieces: Pieces::default(), _counted: counted }, address);
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Limited>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Limited>) -> Self {
        Self { address: *stream.remote_addr(), pieces: stream.io().pieces.clone() }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Connection {
    /// Sends what a blank stands for.
    fn poll_send(&self, cx: &mut Context<'_>, blank: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_io(Interest::WRITABLE, || self.pieces.send(&self.stream, blank)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if is_blank(buf) {
            return self.poll_send(cx, buf);
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let start = bufs.iter().position(|buf| !buf.is_empty()).unwrap_or(bufs.len());
        let bufs = &bufs[start..];
        match bufs.iter().position(|buf| is_blank(buf)) {
            Some(0) => self.poll_send(cx, &bufs[0]),
            Some(blank) => Pin::new(&mut self.stream).poll_write_vectored(cx, &bufs[..blank]),
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
