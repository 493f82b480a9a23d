//! `verify`: hashes every file of models and compares.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use speech_flow_model_manager::{EnsureOptions, Events, VerifyDepth, VerifyReport};
use speech_flow_model_types::ByteSize;

use crate::cli::VerifyArgs;
use crate::printer::{Printer, Tone};
use crate::progress::Reporter;
use crate::report::{Failure, REFUSED};
use crate::session::Session;
use crate::{selection, signals, table};

pub(super) fn run(session: &Session, args: &VerifyArgs) -> Result<(), Failure> {
    let specs = selection::named_or_configured(&session.config, &args.models)?;
    let depth = if args.quick { VerifyDepth::Quick } else { VerifyDepth::Full };
    let manager = session.manager()?;
    let printer = &session.printer;
    let started = Instant::now();
    let mut reports: Vec<VerifyReport> = Vec::new();
    let mut failed = Vec::new();
    signals::run(&session.printer, "interrupted: verifying changes nothing", |cancel| async {
        let events: Arc<dyn Events> = Arc::new(Reporter::new(Arc::clone(printer)));
        let options = EnsureOptions { events, cancel, ..session.options()? };
        for spec in &specs {
            match manager.verify(spec, depth, &options).await {
                Ok(report) => reports.push(report),
                Err(error) if options.cancel.is_cancelled() => return Err(error.into()),
                Err(error) => failed.push((spec.name.clone(), Failure::from(error))),
            }
        }
        Ok(())
    })?;
    if args.json {
        printer.json(json!({
            "depth": if args.quick { "quick" } else { "full" },
            "models": reports.iter().map(|report| {
                let mut value = serde_json::to_value(report).unwrap_or_default();
                value["good"] = report.is_good().into();
                value
            }).collect::<Vec<_>>(),
            "failed": failed.iter().map(|(name, failure)| failure.to_json(name)).collect::<Vec<_>>(),
        }));
    } else {
        print(printer, &reports);
    }
    failed.iter().for_each(|(_, failure)| failure.print(printer));
    let bad = reports.iter().filter(|report| !report.is_good()).count() + failed.len();
    let bytes: u64 = reports.iter().flat_map(|report| &report.files).map(|file| file.size).sum();
    let verb = if args.quick { "looked at" } else { "hashed" };
    let (good, seconds) = (reports.len() + failed.len() - bad, started.elapsed().as_secs_f64());
    printer.note(format_args!("{good} good, {bad} bad; {} {verb} in {seconds:.1} s", ByteSize(bytes)));
    let worst = failed.iter().map(|(_, failure)| failure.code()).max();
    match (bad, worst) {
        (0, _) => Ok(()),
        (_, worst) => Err(Failure::said(worst.unwrap_or(REFUSED))),
    }
}

fn print(printer: &Printer, reports: &[VerifyReport]) {
    let rows: Vec<_> = reports.iter().map(row).collect();
    for (report, line) in reports.iter().zip(table::lines(&rows)) {
        let (word, tone) = if report.is_good() { ("good", Tone::Good) } else { ("bad ", Tone::Bad) };
        printer.data(format_args!("{}  {line}", printer.paint(tone, word)));
        let files = report.files.iter().filter_map(|file| Some((&file.path, file.problem.as_ref()?)));
        files.for_each(|(path, problem)| printer.data(format_args!("      {path}: {problem}")));
        report.problems.iter().for_each(|problem| printer.data(format_args!("      {problem}")));
    }
}

fn row(report: &VerifyReport) -> [String; 3] {
    let bytes: u64 = report.files.iter().map(|file| file.size).sum();
    let commit = report.commit.as_ref().map_or("-", |commit| commit.short());
    [report.name.clone(), commit.to_owned(), format!("{} files, {}", report.files.len(), ByteSize(bytes))]
}
