//! `lock`: the exact commit and hashes of every configured model, in a file.

use std::sync::Arc;

use serde_json::json;
use speech_flow_model_manager::lockfile::{LockedModel, check as check_lock};
use speech_flow_model_manager::{EnsureOptions, Events, LockMode};
use speech_flow_model_types::ModelSpec;

use crate::cli::LockArgs;
use crate::progress::Reporter;
use crate::report::{Failure, REFUSED};
use crate::session::Session;
use crate::{lockfile, signals, table};

pub(super) fn run(session: &Session, args: &LockArgs) -> Result<(), Failure> {
    let specs: Vec<ModelSpec> = session.config.models().into_iter().map(|model| model.spec).collect();
    if args.check { check(session, &specs, args.json) } else { write(session, &specs, args) }
}

fn check(session: &Session, specs: &[ModelSpec], as_json: bool) -> Result<(), Failure> {
    let printer = &session.printer;
    let lockfile = lockfile::required(session)?;
    let differences = check_lock(&lockfile, specs);
    if as_json {
        printer.json(json!({
            "lockfile": *session.config.lockfile,
            "fits": differences.is_empty(),
            "differences": differences,
        }));
    } else {
        differences.iter().for_each(|difference| printer.data(difference));
    }
    let path = session.config.lockfile.display();
    if differences.is_empty() {
        printer.note(format_args!("`{path}` fits the configuration"));
        return Ok(());
    }
    printer.error_line(format_args!("error: `{path}` does not fit the configuration\nhint: run `speech-flow lock`"));
    Err(Failure::said(REFUSED))
}

fn write(session: &Session, specs: &[ModelSpec], args: &LockArgs) -> Result<(), Failure> {
    let printer = &session.printer;
    let path = &session.config.lockfile.value;
    let manager = session.manager()?;
    // A lockfile that is written anew need not be a good one.
    let current = if args.update { lockfile::read(path).ok().flatten() } else { lockfile::read(path)? };
    let mode = if args.update { LockMode::Update } else { LockMode::Keep };
    let events: Arc<dyn Events> = Arc::new(Reporter::new(Arc::clone(printer)));
    let lockfile = signals::run(&session.printer, "interrupted: the lockfile is as it was", |cancel| async {
        let options = EnsureOptions { events, cancel, ..EnsureOptions::default() };
        Ok(manager.lock(specs, current.as_ref(), mode, &options).await?)
    })?;
    let changed = current.as_ref() != Some(&lockfile);
    if changed {
        lockfile::write(path, &lockfile)?;
    }
    if args.json {
        printer.json(
            json!({ "lockfile": path, "changed": changed, "models": lockfile.models().iter().map(|model| json!({
            "repo": model.repo().as_str(),
            "revision": model.revision().as_str(),
            "commit": model.commit().as_str(),
            "digest": model.digest().prefixed(),
        })).collect::<Vec<_>>() }),
        );
    } else {
        let row =
            |model: &LockedModel| [model.repo().to_string(), model.revision().to_string(), model.commit().to_string()];
        let rows: Vec<_> = lockfile.models().iter().map(row).collect();
        table::lines(&rows).into_iter().for_each(|line| printer.data(line));
    }
    let verb = if changed { "written" } else { "unchanged" };
    printer.note(format_args!("{} models; `{}` {verb}", lockfile.models().len(), path.display()));
    Ok(())
}
