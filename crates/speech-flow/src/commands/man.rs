//! `man`: the manual, made from the same definitions as `--help`.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::{Cli, ManArgs};
use crate::printer::Printer;
use crate::report::Failure;

pub(super) fn run(printer: &Printer, args: &ManArgs) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    match &args.out {
        None => {
            let page = render(command).map_err(|error| Failure::unexpected("cannot write the manual", error))?;
            printer.write_stdout(&page);
        }
        Some(folder) => {
            let pages = write_all(command, folder).map_err(|error| {
                Failure::unexpected(format!("cannot write the manual to `{}`", folder.display()), error)
            })?;
            printer.note(format_args!("{pages} pages written to `{}`", folder.display()));
        }
    }
    Ok(())
}

fn write_all(command: clap::Command, folder: &Path) -> io::Result<usize> {
    fs::create_dir_all(folder)?;
    let commands: Vec<clap::Command> = command.get_subcommands().cloned().collect();
    let pages = commands.len() + 1;
    for subcommand in commands {
        let name = format!("speech-flow-{}", subcommand.get_name());
        fs::write(folder.join(format!("{name}.1")), render(subcommand)?)?;
    }
    fs::write(folder.join("speech-flow.1"), render(command)?)?;
    Ok(pages)
}

fn render(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(page)
}
