//! `doctor`: checks what models need, and says what to do.

mod memory;

use serde_json::json;
use speech_flow_model_manager::{EnsureOptions, Finding, Status};

use crate::cli::DoctorArgs;
use crate::printer::{Printer, Tone};
use crate::report::{Failure, REFUSED};
use crate::session::Session;
use crate::signals;

pub(super) fn run(session: &Session, args: &DoctorArgs) -> Result<(), Failure> {
    if let Some(model) = &args.model {
        return memory::run(session, model, args.json);
    }
    let printer = &session.printer;
    let manager = session.manager()?;
    let findings = signals::run(&session.printer, "interrupted: the checks changed nothing", |cancel| async move {
        let options = EnsureOptions { cancel: cancel.clone(), ..EnsureOptions::default() };
        let findings = cancel.run_until_cancelled(manager.doctor(&options)).await;
        findings.ok_or_else(|| Failure::said(REFUSED))
    })?;
    if args.json {
        printer.json(json!({ "findings": findings }));
    } else {
        findings.iter().for_each(|finding| print(printer, finding));
    }
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let (warnings, bad) = (count(Status::Warning), count(Status::Bad));
    printer.note(format_args!("{} checks: {warnings} warnings, {bad} bad", findings.len()));
    if bad == 0 { Ok(()) } else { Err(Failure::said(REFUSED)) }
}

fn print(printer: &Printer, finding: &Finding) {
    let (tone, word) = match finding.status {
        Status::Good => (Tone::Good, "good   "),
        Status::Warning => (Tone::Warning, "warning"),
        Status::Bad => (Tone::Bad, "bad    "),
    };
    printer.data(format_args!("{}  {:<14}  {}", printer.paint(tone, word), finding.check, finding.message));
    if let Some(hint) = &finding.hint {
        printer.data(format_args!("{:25}{}", "", printer.paint(Tone::Faint, hint)));
    }
}
