//! One file for each command: call the library, print.

mod clear;
mod completions;
mod config;
mod demo;
mod demo_hub;
mod doctor;
mod gc;
mod health;
mod identify;
mod info;
mod list;
mod lock;
mod man;
mod pack;
mod path;
mod pin;
mod preload;
mod serve;
mod speech;
mod transcribe;
mod update;
mod verify;
mod worker;

use std::sync::Arc;

use speech_flow_model_manager::config::LogFormat;
use speech_flow_speech_engine::ctranslate2::keep_large_blocks;

use crate::cli::{Command, GlobalArgs, WorkerKind};
use crate::logging;
use crate::printer::Printer;
use crate::report::Failure;
use crate::session::Session;

/// Its blocks are of the same sizes in every window, so keeping them pays. Those of language identification are not:
/// keeping them only takes memory.
fn uses_whisper(command: &Command) -> bool {
    match command {
        Command::Worker(args) => matches!(args.kind, WorkerKind::Whisper(_)),
        Command::Transcribe(_) => true,
        _ => false,
    }
}

/// Runs a command. Those that need no configuration work without a valid one.
pub(crate) fn run(global: &GlobalArgs, command: Command, printer: &Arc<Printer>) -> Result<(), Failure> {
    if uses_whisper(&command) {
        keep_large_blocks(std::env::vars_os().map(|(name, _)| name));
    }
    let open = || Session::open(global, Arc::clone(printer));
    match command {
        Command::Preload(args) => preload::run(&open()?, &args),
        Command::List(args) => list::run(&open()?, &args),
        Command::Info(args) => info::run(&open()?, &args),
        Command::Verify(args) => verify::run(&open()?, &args),
        Command::Path(args) => path::run(&open()?, &args),
        Command::Clear(args) => clear::run(&open()?, &args),
        Command::Lock(args) => lock::run(&open()?, &args),
        Command::Update(args) => update::run(&open()?, &args),
        Command::Pin(args) => pin::pin(&open()?, &args),
        Command::Unpin(args) => pin::unpin(&open()?, &args),
        Command::Pack(args) => pack::run(&open()?, &args),
        Command::Gc(args) => gc::run(&open()?, &args),
        Command::Transcribe(args) => {
            let flags = args.engine.flags("whisper.device", "whisper.compute-type");
            transcribe::run(&Session::open_with(global, flags, Arc::clone(printer))?, &args)
        }
        Command::Identify(args) => {
            let flags = args.engine.flags("lid.device", "lid.compute-type");
            identify::run(&Session::open_with(global, flags, Arc::clone(printer))?, &args)
        }
        Command::Serve(args) => serve::run(&open()?, &args),
        Command::Worker(args) => worker::run(&open()?, args),
        Command::Health(args) => health::run(&open()?, &args),
        Command::Config(args) => config::run(&open()?, &args),
        Command::Doctor(args) => doctor::run(&open()?, &args),
        Command::Demo(args) => demo::run(&without_configuration(global, printer)?, &args),
        Command::DemoHub(args) => demo_hub::run(without_configuration(global, printer)?.as_ref(), args),
        Command::Completions(args) => completions::run(printer, &args),
        Command::Man(args) => man::run(printer, &args),
    }
}

fn without_configuration(global: &GlobalArgs, printer: &Arc<Printer>) -> Result<Arc<Printer>, Failure> {
    logging::start(logging::filter_of(global.verbose), "--verbose", LogFormat::Text, printer)?;
    Ok(Arc::clone(printer))
}
