//! The life of a worker: bound, started, serving, draining, done.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use speech_flow_http_listener::{Listener, Options as ListenerOptions, Patience, TlsFiles};
use speech_flow_model_manager::config::Config;
use speech_flow_model_manager::{EnsureOptions, ModelManager};
use speech_flow_speech_engine::vad::SileroVad;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Kind;
use crate::app::App;
use crate::error::Error;
use crate::http;
use crate::http::error::Chain;
use crate::startup::{Occasion, Starter};

/// What a worker is made of.
pub struct Options {
    /// What it does.
    pub kind: Kind,
    /// The configuration.
    pub config: Config,
    /// How its model is looked for: the lockfile, above all.
    pub ensure: EnsureOptions,
    /// The voice activity detector, where the configuration names none; without one, requests that ask for it are
    /// refused.
    pub vad: Option<Arc<SileroVad>>,
    /// Ends the worker: it takes no new work, finishes what it took, and returns.
    pub stop: CancellationToken,
    /// Asks for the model to be looked up again, and for its new version to take the place of the old one.
    pub reload: Arc<Notify>,
}

/// How often a worker that drains looks whether all is done.
const DRAIN_LOOK: Duration = Duration::from_millis(50);
/// How long answers that are written already may take to reach their callers.
const LAST_BYTES: Duration = Duration::from_secs(10);

/// Takes the address and reads the certificate that the configuration names.
///
/// # Errors
/// [`Error::Listen`].
pub async fn bind(address: SocketAddr, config: &Config) -> Result<Listener, Error> {
    let worker = &config.worker;
    let options = ListenerOptions {
        max_connections: *worker.max_connections as usize,
        patience: Patience { idle: *worker.keep_alive, ..Patience::default() },
        tls: worker.tls.files().map(|(certificate, key)| TlsFiles { certificate, key }),
        metric_prefix: "worker_",
    };
    Ok(Listener::bind(address, options).await?)
}

/// Serves on a socket until it is told to end.
///
/// The socket answers probes from the first moment; a model that cannot be had or does not work ends the worker.
///
/// # Errors
/// [`Error`] when the worker did not get ready.
///
/// # Cancel safety
/// Dropping the future ends all requests at once; [`Options::stop`] ends them well.
pub async fn run(listener: Listener, options: Options) -> Result<(), Error> {
    let Options { kind, config, mut ensure, vad, stop, reload } = options;
    let app = Arc::new(App::new(kind, &config, Arc::clone(&reload))?);
    let failed = |source| Error::Model { model: "worker".to_owned(), source: Box::new(source) };
    let manager = ModelManager::new(&config).map_err(failed)?;
    ensure.cancel = stop.child_token();
    let starter = Starter { app: Arc::clone(&app), config, manager, ensure, vad };

    let close = CancellationToken::new();
    app.metrics.listen(&listener.stats())?;
    let server = tokio::spawn(listener.serve(http::router(Arc::clone(&app)), close.clone()));

    let started = start(&starter, &stop).await;
    if started.is_ok() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = reloads(&starter, &reload) => {}
        }
        drain(&app).await;
    }
    close.cancel();
    if tokio::time::timeout(LAST_BYTES, server).await.is_err() {
        tracing::warn!("callers that do not read their answers are cut off");
    }
    match started {
        // Asked to end while it started, it had taken nothing and owes nothing.
        Err(Error::Stopped) => Ok(()),
        started => started,
    }
}

/// Brings the model up.
async fn start(starter: &Starter, stop: &CancellationToken) -> Result<(), Error> {
    let serving = tokio::select! {
        serving = starter.start(Occasion::Start) => serving?,
        () = stop.cancelled() => return Err(Error::Stopped),
    };
    let Some(serving) = serving else { return Ok(()) };
    let app = &starter.app;
    let info = serving.info.clone();
    app.serve(serving);
    let took = app.health.ready();
    app.metrics.started(took);
    tracing::info!(
        model = info.name,
        repo = info.repo,
        commit = info.commit,
        digest = info.digest,
        compute_type = info.compute_type,
        device = info.device,
        elapsed_ms = took.as_millis() as u64,
        "ready"
    );
    Ok(())
}

/// Loads the model anew whenever that is asked for, for ever. The old one answers until the new one has; when the
/// new one does not work, the old one stays.
async fn reloads(starter: &Starter, asked: &Notify) {
    loop {
        asked.notified().await;
        let before = starter.app.serving();
        match starter.start(Occasion::Reload).await {
            Ok(None) => {
                tracing::info!("the model has not changed");
                starter.app.metrics.reloaded("unchanged");
            }
            Ok(Some(serving)) => {
                tracing::info!(
                    model = serving.info.name,
                    commit = serving.info.commit,
                    digest = serving.info.digest,
                    from = before.as_ref().and_then(|before| before.info.commit.as_deref()),
                    "the model was loaded anew"
                );
                starter.app.serve(serving);
                starter.app.metrics.reloaded("done");
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "the model could not be loaded anew: the one before stays");
                starter.app.metrics.reloaded("failed");
            }
        }
    }
}

/// Waits until what was taken is done; new work is refused meanwhile, and probes are answered.
async fn drain(app: &App) {
    app.health.drain();
    app.admission.close();
    let waiting = app.admission.backlog();
    tracing::info!(requests = waiting.requests, audio_s = waiting.audio_s, "ending: no new work is taken");
    while app.admission.backlog().requests > 0 {
        tokio::time::sleep(DRAIN_LOOK).await;
    }
    tracing::info!("all work is done");
}
