//! `update`: moves locked models to what their branch or tag stands for now.

use std::sync::Arc;

use serde_json::{Value, json};
use speech_flow_model_manager::lockfile::{FileChange, Lockfile, ModelChange};
use speech_flow_model_manager::{EnsureOptions, Error as ManagerError, Events};
use speech_flow_model_types::{Digest, ModelSource, ModelSpec};

use crate::cli::UpdateArgs;
use crate::progress::Reporter;
use crate::report::{Failure, REFUSED};
use crate::session::Session;
use crate::{lockfile, selection, signals};

pub(super) fn run(session: &Session, args: &UpdateArgs) -> Result<(), Failure> {
    let lockfile = lockfile::required(session)?;
    let only = selection::named(&session.config, &args.models)?;
    if let Some(other) = only.iter().find(|spec| !is_locked(&lockfile, spec)) {
        return Err(Failure::refused(
            format!("`{other}` is not in the lockfile `{}`", session.config.lockfile.display()),
            "name a model that is locked; `speech-flow lock` locks the configured ones",
        ));
    }
    if args.check { check(session, &lockfile, &only, args) } else { take(session, &lockfile, &only, args) }
}

fn is_locked(lockfile: &Lockfile, spec: &ModelSpec) -> bool {
    let ModelSource::Hub { repo, revision } = &spec.source else { return false };
    lockfile.get(repo, revision).is_some()
}

/// Says what moved; that is a failure, so that a script can act on it.
fn check(session: &Session, lockfile: &Lockfile, only: &[ModelSpec], args: &UpdateArgs) -> Result<(), Failure> {
    let printer = &session.printer;
    let manager = session.manager()?;
    let changes = signals::run(printer, "interrupted: checking changes nothing", |cancel| async {
        let options = EnsureOptions { cancel, ..EnsureOptions::default() };
        let checked = options.cancel.run_until_cancelled(manager.check_updates(lockfile, only, &options)).await;
        Ok(checked.ok_or_else(|| Failure::said(REFUSED))??)
    })?;
    print(session, &changes, args);
    if changes.is_empty() {
        printer.note("nothing moved");
        return Ok(());
    }
    printer.note(format_args!("{} moved; `speech-flow update` takes it", changes.len()));
    Err(Failure::said(REFUSED))
}

/// Fetches what moved, and moves the lockfile.
fn take(session: &Session, lockfile: &Lockfile, only: &[ModelSpec], args: &UpdateArgs) -> Result<(), Failure> {
    let printer = &session.printer;
    let manager = session.manager()?;
    let path = &session.config.lockfile.value;
    let events: Arc<dyn Events> = Arc::new(Reporter::new(Arc::clone(printer)));
    let interrupted = "interrupted: what was updated is in the lockfile; run the same command again for the rest";
    let mut changes = Vec::new();
    let mut written = Ok(());
    let done = signals::run(printer, interrupted, |cancel| async {
        let options = EnsureOptions { events, cancel, ..EnsureOptions::default() };
        // The lockfile moves with each model, so that a failure of a later one leaves the earlier ones moved.
        let moved = |lockfile: &Lockfile, change: &ModelChange| {
            changes.push(change.clone());
            written = lockfile::write(path, lockfile);
            if written.is_err() { Err(ManagerError::Cancelled) } else { Ok(()) }
        };
        Ok(manager.update(lockfile, only, &options, moved).await?)
    });
    written?;
    print(session, &changes, args);
    done?;
    match changes.len() {
        0 => printer.note("nothing moved"),
        count => printer.note(format_args!("{count} updated; `{}` written", path.display())),
    }
    Ok(())
}

fn print(session: &Session, changes: &[ModelChange], args: &UpdateArgs) {
    let printer = &session.printer;
    if args.json {
        printer.json(json!({ "changes": changes.iter().map(described).collect::<Vec<_>>() }));
        return;
    }
    for change in changes {
        let (old, new) = (change.old_commit.short(), change.new_commit.short());
        let to_fetch = change.bytes_to_fetch;
        printer.data(format_args!("{}  {}  {old} -> {new}  {to_fetch} to fetch", change.repo, change.revision));
        for (sign, files) in [("+", &change.added), ("-", &change.removed), ("~", &change.changed)] {
            files.iter().for_each(|file| printer.data(format_args!("  {sign} {}", file.path)));
        }
    }
}

fn described(change: &ModelChange) -> Value {
    let state =
        |state: Option<(u64, Digest)>| state.map(|(size, digest)| json!({ "size": size, "digest": digest.prefixed() }));
    let files = |files: &[FileChange]| {
        let file = |file: &FileChange| {
            json!({
                "path": file.path.as_str(),
                "old": state(file.old),
                "new": state(file.new),
            })
        };
        files.iter().map(file).collect::<Vec<_>>()
    };
    json!({
        "name": change.name,
        "repo": change.repo.as_str(),
        "revision": change.revision.as_str(),
        "old_commit": change.old_commit.as_str(),
        "new_commit": change.new_commit.as_str(),
        "old_digest": change.old_digest.prefixed(),
        "new_digest": change.new_digest.prefixed(),
        "added": files(&change.added),
        "removed": files(&change.removed),
        "changed": files(&change.changed),
        "bytes_to_fetch": change.bytes_to_fetch,
    })
}
