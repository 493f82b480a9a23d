//! `demo-hub`: serves the embedded hub until it is told to end.

use serde_json::json;
use speech_flow_demo_hub::{DemoHub, ServeOptions, models, serve};

use crate::cli::DemoHubArgs;
use crate::printer::Printer;
use crate::report::Failure;
use crate::signals::Signals;

pub(super) fn run(printer: &Printer, args: DemoHubArgs) -> Result<(), Failure> {
    let as_json = args.json;
    if args.fault_control && !args.listen.ip().is_loopback() {
        printer
            .warning("`--fault-control` lets every host that reaches this address set faults and read the request log");
    }
    let options = ServeOptions {
        listen: args.listen,
        cdn_listen: (!args.no_cdn).then_some(args.cdn_listen),
        page_size: args.page_size,
        faults: args.faults,
        folders: args.repo,
        fault_control: args.fault_control,
        relative_redirects: args.relative_redirects,
        demo_models: !args.no_models,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unexpected("cannot start", error))?;
    runtime.block_on(async {
        let mut signals = Signals::listen().map_err(|error| Failure::unexpected("cannot listen for signals", error))?;
        let stop = tokio_util::sync::CancellationToken::new();
        let ready = |hub: &DemoHub| announce(printer, hub, as_json);
        let hub = serve(options, ready, stop.clone());
        tokio::pin!(hub);
        let ended = tokio::select! {
            ended = &mut hub => ended,
            // A server that is told to end, ends well.
            _ = signals.next() => { stop.cancel(); hub.await }
        };
        Ok(ended?)
    })
}

fn announce(printer: &Printer, hub: &DemoHub, as_json: bool) {
    if as_json {
        printer.json(json!({ "endpoint": hub.endpoint(), "cdn_endpoint": hub.cdn_endpoint() }));
    } else {
        printer.data(hub.endpoint());
    }
    printer.note("use it with `HF_ENDPOINT` set to this address, also from Python; Ctrl-C ends it");
    printer.note(format_args!(
        "`{}` and `{}` need `HF_TOKEN={}`",
        models::DEMO_GATED,
        models::DEMO_PRIVATE,
        models::DEMO_TOKEN
    ));
}
