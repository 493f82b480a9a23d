//! `path`: the folder of a model that is on disk.

use std::os::unix::ffi::OsStrExt;

use crate::cli::PathArgs;
use crate::report::Failure;
use crate::selection;
use crate::session::Session;

pub(super) fn run(session: &Session, args: &PathArgs) -> Result<(), Failure> {
    let spec = selection::one(&session.config, &args.model)?;
    let model = session.manager()?.locate(&spec, &session.options()?)?;
    // A path is bytes; a lossy one would name another folder.
    let mut line = model.path.as_os_str().as_bytes().to_vec();
    line.push(b'\n');
    session.printer.write_stdout(&line);
    Ok(())
}
