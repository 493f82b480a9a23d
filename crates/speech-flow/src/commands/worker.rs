//! `worker`: serves until it is told to end.

use std::sync::Arc;

use speech_flow_model_manager::EnsureOptions;
use speech_flow_speech_worker::{Kind, Options};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cli::{WorkerArgs, WorkerKind};
use crate::lockfile;
use crate::report::Failure;
use crate::session::Session;
use crate::signals::{self, Signals};

/// Threads that move bytes. They never compute, so two are enough for any number of requests.
const IO_THREADS: usize = 2;

pub(super) fn run(session: &Session, args: WorkerArgs) -> Result<(), Failure> {
    let (kind, args) = match args.kind {
        WorkerKind::Whisper(args) => (Kind::Whisper, args),
        WorkerKind::Lid(args) => (Kind::Lid, args),
    };
    let address = args.listen.unwrap_or(*session.config.worker.listen);
    let lock = lockfile::choice(session, args.locked)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(IO_THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::unexpected("cannot start", error))?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(|error| Failure::unexpected("cannot listen for signals", error))?;
        let listener = speech_flow_speech_worker::bind(address, &session.config).await?;
        session.printer.data(listener.endpoint());
        let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
        let (model, certificate) = (Arc::clone(&reload), listener.reload());
        signals::on_hang_up(move || {
            model.notify_one();
            certificate.ask();
        })?;
        let options = Options {
            kind,
            config: session.config.clone(),
            ensure: EnsureOptions { lock, ..EnsureOptions::default() },
            // A configured one is made ready when the worker starts, while probes are answered.
            vad: match session.config.vad_model() {
                None => Some(Arc::new(super::speech::detector(session, &stop).await?)),
                Some(_) => None,
            },
            stop: stop.clone(),
            reload,
        };
        let told = || session.printer.note("ending: what was taken is finished; a second signal ends at once");
        signals::serve(&mut signals, &stop, told, speech_flow_speech_worker::run(listener, options)).await
    });
    runtime.shutdown_background();
    ended
}
