//! `completions`: a script for the shell.

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs};
use crate::printer::Printer;
use crate::report::Failure;

pub(super) fn run(printer: &Printer, args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "speech-flow", &mut script);
    printer.write_stdout(&script);
    Ok(())
}
