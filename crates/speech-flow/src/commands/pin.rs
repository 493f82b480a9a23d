//! `pin` and `unpin`: what clean-up may not remove.

use serde_json::json;
use speech_flow_model_manager::{PinnedModel, RevisionGiven};

use crate::cli::PinArgs;
use crate::report::Failure;
use crate::selection;
use crate::session::Session;

pub(super) fn pin(session: &Session, args: &PinArgs) -> Result<(), Failure> {
    let manager = session.manager()?;
    let specs = selection::named(&session.config, &args.models)?;
    let options = session.options()?;
    let pinned = specs.iter().map(|spec| manager.pin(spec, &options)).collect::<Result<Vec<_>, _>>()?;
    print(session, &pinned, args.json);
    session.printer.note(format_args!("{} pinned: `clear` and `gc` keep it", pinned.len()));
    Ok(())
}

pub(super) fn unpin(session: &Session, args: &PinArgs) -> Result<(), Failure> {
    let manager = session.manager()?;
    let mut unpinned = Vec::new();
    for name in &args.models {
        let given = selection::given(name) == RevisionGiven::Yes;
        unpinned.extend(manager.unpin(&selection::one(&session.config, name)?, given)?);
    }
    print(session, &unpinned, args.json);
    match unpinned.len() {
        0 => session.printer.note("nothing was pinned"),
        count => session.printer.note(format_args!("{count} unpinned: `clear` and `gc` may remove it")),
    }
    Ok(())
}

fn print(session: &Session, pins: &[PinnedModel], as_json: bool) {
    if as_json {
        session.printer.json(json!({ "pins": pins }));
        return;
    }
    for pin in pins {
        session.printer.data(format_args!("{}  {}  {}", pin.repo, pin.revision, pin.commit));
    }
}
