//! Listening, serving, and ending well.

use std::net::SocketAddr;
use std::time::Duration;

use speech_flow_http_listener::{Listener, Options, Reload};
use tokio_util::sync::CancellationToken;

use crate::app::app;
use crate::error::Error;
use crate::server::Server;

/// How often the caches' size is looked at.
const CLEAN_EVERY: Duration = Duration::from_secs(60);

/// A server that has its socket and does not answer yet.
pub struct Bound {
    listener: Listener,
    server: Server,
}

/// Takes the address.
///
/// # Errors
/// [`Error::Listen`].
pub async fn bind(server: Server, address: SocketAddr) -> Result<Bound, Error> {
    let settings = &server.inner.settings;
    let options = Options {
        max_connections: settings.max_connections,
        patience: settings.connection_patience,
        tls: settings.tls.clone(),
        ..Options::default()
    };
    let listener = Listener::bind(address, options).await?;
    server.inner.metrics.listen(&listener.stats()).map_err(Error::Metrics)?;
    Ok(Bound { listener, server })
}

impl Bound {
    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Where clients reach it.
    pub fn endpoint(&self) -> String {
        self.listener.endpoint()
    }

    /// What asks it to read its certificate again.
    pub fn reload(&self) -> Reload {
        self.listener.reload()
    }

    /// Answers until `stop` is cancelled, then lets running answers end for as long as the settings say.
    ///
    /// # Cancel safety
    /// Dropping it closes all connections; what has arrived of downloads is kept.
    pub async fn serve(self, stop: CancellationToken) {
        let Self { listener, server } = self;
        let (cleaning, drain) = (server.clone(), server.inner.settings.drain);
        server.inner.tasks.spawn(async move { cleaning.keep_clean(CLEAN_EVERY).await });
        let (locked, updated) = (server.clone(), server.clone());
        server.inner.tasks.spawn(async move { locked.keep_locked().await });
        server.inner.tasks.spawn(async move { updated.keep_updated().await });
        let answering = listener.serve(app(server.clone()), stop.clone());
        let patience = async {
            stop.cancelled().await;
            server.inner.is_draining.store(true, std::sync::atomic::Ordering::Relaxed);
            tracing::info!("the server takes no more connections and ends its answers");
            tokio::time::sleep(drain).await;
        };
        tokio::select! {
            () = answering => {}
            () = patience => tracing::warn!("answers that had not ended are cut off"),
        }
        server.stop().await;
    }
}
