//! The command line: parses, calls a library, prints. It has no rules of its own.
//!
//! **Invariant:** a warm start is short. Nothing here starts a thread, a runtime or an HTTP client before a
//! command asks for it.

mod cli;
mod commands;
mod first_process;
mod lockfile;
mod logging;
mod printer;
mod progress;
mod registry;
mod report;
mod selection;
mod session;
mod signals;
mod table;
mod visible;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use speech_flow_speech_engine::ctranslate2::end_calls;

use cli::Cli;
use printer::Printer;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let printer = Arc::new(Printer::from_environment(&cli.global));
    first_process::start(&printer);
    let done = commands::run(&cli.global, cli.command, &printer);
    let code = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(&printer);
            ExitCode::from(failure.code())
        }
    };
    // Work that was given up may still be in the middle of a batch on another thread.
    end_calls(LAST_BATCH);
    code
}

/// How long the engine may take for what it has begun.
const LAST_BATCH: Duration = Duration::from_secs(10);

/// Help and version are data and end well; anything else is wrong usage.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is no reason to complain about.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(report::USAGE) } else { ExitCode::SUCCESS }
}
