//! `clear`: removes models that nobody holds.

mod planned;

use serde_json::json;
use speech_flow_model_manager::{ClearSelection, Cleared, EnsureOptions, Hold, ModelManager, RevisionGiven};
use speech_flow_model_types::ByteSize;

use self::planned::Planned;
use crate::cli::{ClearArgs, ModelChoice};
use crate::report::{Failure, REFUSED};
use crate::selection;
use crate::session::Session;

pub(super) fn run(session: &Session, args: &ClearArgs) -> Result<(), Failure> {
    let printer = &session.printer;
    let manager = session.manager()?;
    let selection = selected(session, &args.choice)?;
    let planned = planned::plan(&session.config, &manager.list()?, &selection);
    if args.dry_run {
        print_plan(session, &planned, args.json);
        return Ok(());
    }
    if !args.yes && !planned.is_empty() {
        ask(session, &planned)?;
    }
    let cleared = remove(session, &manager, &selection)?;
    if args.json {
        printer.json(json!({ "dry_run": false, "freed_bytes": freed(&cleared), "caches": cleared }));
    } else {
        for removed in cleared.iter().flat_map(|cleared| &cleared.report.removed) {
            let commit = removed.commit.as_ref().map_or("unfinished", |commit| commit.short());
            printer.data(format_args!("{}  {commit}  {}", removed.repo, ByteSize(removed.freed_bytes)));
        }
    }
    printer.note(summary(&cleared));
    let refused = cleared.iter().any(|cleared| !cleared.report.refused.is_empty());
    if refused { Err(Failure::said(REFUSED)) } else { Ok(()) }
}

/// Removes, and says what stays because somebody holds it.
pub(super) fn remove(
    session: &Session,
    manager: &ModelManager,
    selection: &ClearSelection,
) -> Result<Vec<Cleared>, Failure> {
    let cleared = manager.clear(selection, &EnsureOptions::default())?;
    for refused in cleared.iter().flat_map(|cleared| &cleared.report.refused) {
        let commit = refused.commit.as_ref().map_or_else(String::new, |commit| format!(" at {}", commit.short()));
        session.printer.warning(format_args!("{}{commit} stays: {}", refused.repo, why(&refused.hold)));
    }
    Ok(cleared)
}

/// One line about what was removed.
pub(super) fn summary(cleared: &[Cleared]) -> String {
    match cleared.iter().map(|cleared| cleared.report.removed.len()).sum() {
        0 => "nothing to remove".to_owned(),
        count => format!("{count} removed, {} freed", ByteSize(freed(cleared))),
    }
}

fn freed(cleared: &[Cleared]) -> u64 {
    cleared.iter().map(|cleared| cleared.report.freed_bytes).sum()
}

fn ask(session: &Session, planned: &[Planned]) -> Result<(), Failure> {
    planned.iter().for_each(|planned| session.printer.error_line(format_args!("  {planned}")));
    match session.printer.confirm("remove these?") {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::refused("nothing was removed", "answer `y` to remove the models")),
        None => Err(Failure::usage(
            "there is no terminal to ask on, and nothing was removed",
            "add `--yes` to remove the models, or `--dry-run` to see which",
        )),
    }
}

fn print_plan(session: &Session, planned: &[Planned], as_json: bool) {
    let printer = &session.printer;
    let bytes = planned.iter().map(|planned| planned.bytes).sum();
    if as_json {
        let planned: Vec<_> = planned.iter().map(Planned::to_json).collect();
        printer.json(json!({ "dry_run": true, "freed_bytes": bytes, "planned": planned }));
    } else {
        planned.iter().for_each(|planned| printer.data(planned));
    }
    printer.note(match planned.len() {
        0 => "nothing to remove".to_owned(),
        count => format!("{count} would be removed and free {}; nothing was changed", ByteSize(bytes)),
    });
}

fn selected(session: &Session, choice: &ModelChoice) -> Result<ClearSelection, Failure> {
    match (choice.all, choice.whisper, choice.lid, choice.models.as_slice()) {
        (true, ..) => Ok(ClearSelection::All),
        (_, true, false, _) => Ok(ClearSelection::Whisper),
        (_, false, true, _) => Ok(ClearSelection::LanguageId),
        (_, true, true, _) => {
            let specs = selection::chosen(&session.config, choice)?;
            Ok(ClearSelection::Models(specs.into_iter().map(|spec| (spec, RevisionGiven::No)).collect()))
        }
        (_, _, _, []) => {
            Err(Failure::usage("it is not said what to remove", "name models, or take `--whisper`, `--lid` or `--all`"))
        }
        (_, _, _, names) => {
            let model = |name: &String| Ok((selection::one(&session.config, name)?, selection::given(name)));
            Ok(ClearSelection::Models(names.iter().map(model).collect::<Result<_, Failure>>()?))
        }
    }
}

fn why(hold: &Hold) -> &'static str {
    match hold {
        Hold::Leased { .. } => "it is in use",
        Hold::Pinned => "it is pinned",
        Hold::Downloading { .. } => "it is being downloaded",
    }
}
