//! The lockfile on disk.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use speech_flow_model_manager::LockChoice;
use speech_flow_model_manager::lockfile::Lockfile;

use crate::report::Failure;
use crate::session::Session;

/// The lockfile; `None` when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Lockfile>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Lockfile::parse(&text).map(Some).map_err(|error| Failure::of_lockfile(path, error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::unexpected(format!("cannot read the lockfile `{}`", path.display()), error)),
    }
}

/// The lockfile, which must be there.
pub(crate) fn required(session: &Session) -> Result<Lockfile, Failure> {
    let path = &session.config.lockfile.value;
    read(path)?.ok_or_else(|| {
        Failure::refused(format!("there is no lockfile `{}`", path.display()), "write it with `speech-flow lock`")
    })
}

/// How a model's commit is chosen: by the lockfile where there is one, and by nothing else when `strict`.
pub(crate) fn choice(session: &Session, strict: bool) -> Result<Option<LockChoice>, Failure> {
    if strict {
        return Ok(Some(LockChoice { lockfile: required(session)?, strict }));
    }
    Ok(read(&session.config.lockfile)?.map(|lockfile| LockChoice { lockfile, strict }))
}

/// Puts a lockfile in the place of the old one.
pub(crate) fn write(path: &Path, lockfile: &Lockfile) -> Result<(), Failure> {
    lockfile
        .replace(path)
        .map_err(|error| Failure::unexpected(format!("cannot write the lockfile `{}`", path.display()), error))
}
