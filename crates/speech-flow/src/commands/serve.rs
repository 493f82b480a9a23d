//! `serve`: the cache server, until it is told to end.

use serde_json::json;
use speech_flow_cache_server::{Deps, Server, Settings, bind};
use tokio_util::sync::CancellationToken;

use crate::cli::ServeArgs;
use crate::lockfile;
use crate::report::Failure;
use crate::session::Session;
use crate::signals::{self, Signals};

pub(super) fn run(session: &Session, args: &ServeArgs) -> Result<(), Failure> {
    let config = &session.config;
    let deps = Deps {
        settings: Settings::of(config),
        manager: session.manager()?,
        lockfile: lockfile::read(&config.lockfile)?,
        config: config.clone(),
    };
    let address = args.listen.unwrap_or(*config.server.listen);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unexpected("cannot start", error))?;
    runtime.block_on(async {
        let mut signals = Signals::listen().map_err(|error| Failure::unexpected("cannot listen for signals", error))?;
        let bound = bind(Server::new(deps)?, address).await?;
        let endpoint = bound.endpoint();
        if args.json {
            session.printer.json(json!({ "endpoint": endpoint }));
        } else {
            session.printer.data(&endpoint);
        }
        session.printer.note("use it with `HF_ENDPOINT` set to this address; Ctrl-C ends it");
        let stop = CancellationToken::new();
        let reload = bound.reload();
        signals::on_hang_up(move || reload.ask())?;
        let serving = async {
            bound.serve(stop.clone()).await;
            Ok::<_, Failure>(())
        };
        signals::serve(&mut signals, &stop, || (), serving).await
    })
}
