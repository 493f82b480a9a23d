//! Listening, serving, and ending well.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::app;
use crate::error::Error;
use crate::listener::{Limited, Peer};
use crate::server::Server;

/// How often the caches' size is looked at.
const CLEAN_EVERY: Duration = Duration::from_secs(60);

/// A server that has its socket and does not answer yet.
pub struct Bound {
    listener: TcpListener,
    server: Server,
    address: SocketAddr,
}

/// Takes the address.
///
/// # Errors
/// [`Error::Listen`].
pub async fn bind(server: Server, address: SocketAddr) -> Result<Bound, Error> {
    let failed = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, server, address })
}

impl Bound {
    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is cancelled, then lets running answers end for as long as the settings say.
    ///
    /// # Errors
    /// [`Error::Serve`] when the socket fails.
    ///
    /// # Cancel safety
    /// Dropping it closes all connections; what has arrived of downloads is kept.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), Error> {
        let Self { listener, server, .. } = self;
        let (cleaning, drain) = (server.clone(), server.inner.settings.drain);
        server.inner.tasks.spawn(async move { cleaning.keep_clean(CLEAN_EVERY).await });
        let service = app(server.clone()).into_make_service_with_connect_info::<Peer>();
        let (draining, told) = (server.clone(), stop.clone());
        let listening = Limited::new(listener, server.clone());
        let answering = axum::serve(listening, service).with_graceful_shutdown(async move {
            told.cancelled().await;
            draining.inner.is_draining.store(true, std::sync::atomic::Ordering::Relaxed);
            tracing::info!("the server takes no more connections and ends its answers");
        });
        let patience = async {
            stop.cancelled().await;
            tokio::time::sleep(drain).await;
        };
        let ended = tokio::select! {
            ended = answering.into_future() => ended.map_err(Error::Serve),
            () = patience => {
                tracing::warn!("answers that had not ended are cut off");
                Ok(())
            }
        };
        server.stop().await;
        ended
    }
}
