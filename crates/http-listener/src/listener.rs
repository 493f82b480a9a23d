//! The socket, before and after it answers.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, TlsError};
use crate::options::Options;
use crate::serve::{self, Shared};
use crate::stats::Stats;
use crate::tls::Tls;

/// A socket that has its address and does not answer yet.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    options: Options,
    tls: Option<Arc<Tls>>,
    stats: Arc<Stats>,
    asked: Arc<Notify>,
}

/// Asks a listener to read its certificate again, as `SIGHUP` does.
#[derive(Debug, Clone)]
pub struct Reload {
    asked: Arc<Notify>,
}

impl Listener {
    /// Takes the address and reads the certificate.
    ///
    /// # Errors
    /// [`Error`] for an address that cannot be listened on, or a certificate that cannot be used.
    pub async fn bind(address: SocketAddr, options: Options) -> Result<Self, Error> {
        let stats = Stats::new(options.metric_prefix, options.tls.is_some()).map_err(Error::Metrics)?;
        let stats = Arc::new(stats);
        let tls = match options.tls.clone() {
            None => None,
            Some(files) => {
                let (certificate, stats) = (files.certificate.clone(), Arc::clone(&stats));
                let loaded = tokio::task::spawn_blocking(move || Tls::load(files, stats)).await;
                let ended = |error| TlsError::Unreadable { path: certificate, source: std::io::Error::other(error) };
                Some(Arc::new(loaded.unwrap_or_else(|error| Err(ended(error)))?))
            }
        };
        let failed = |source| Error::Listen { address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, options, tls, stats, asked: Arc::default() })
    }

    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients reach it.
    pub fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Its numbers.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// What asks it to read its certificate again.
    pub fn reload(&self) -> Reload {
        Reload { asked: Arc::clone(&self.asked) }
    }

    /// Answers until `stop` is cancelled, then ends what waits and lets running answers end, however long they take.
    /// Each request has a [`crate::Peer`] among its extensions.
    ///
    /// # Cancel safety
    /// Dropping it closes all connections.
    pub async fn serve(self, routes: Router, stop: CancellationToken) {
        let Self { socket, options, tls, stats, asked, .. } = self;
        let fresh = tls.clone();
        let keep_fresh = async {
            match &fresh {
                Some(tls) => tls.keep_fresh(&asked).await,
                None => std::future::pending().await,
            }
        };
        let shared = Arc::new(Shared { routes, patience: options.patience, tls, stats, stop });
        tokio::select! {
            () = serve::accept(&socket, shared, options.max_connections) => {}
            () = keep_fresh => {}
        }
    }
}

impl Reload {
    /// Asks for it.
    pub fn ask(&self) {
        self.asked.notify_one();
    }
}
