//! `gc`: keeps the caches within limits.

use serde_json::json;
use speech_flow_model_manager::{GcItem, GcPolicy, KeepReason, RemoveReason};
use speech_flow_model_types::ByteSize;

use crate::cli::GcArgs;
use crate::report::{Failure, REFUSED};
use crate::session::Session;

pub(super) fn run(session: &Session, args: &GcArgs) -> Result<(), Failure> {
    let printer = &session.printer;
    let policy = GcPolicy {
        max_size: args.max_size,
        keep_revisions: args.keep_revisions,
        unused_for: args.unused_for,
        grace_period: *session.config.cache.grace_period,
        dry_run: args.dry_run,
        ..GcPolicy::default()
    };
    let reports = session.manager()?.gc(&policy)?;
    if args.json {
        printer.json(json!({ "dry_run": args.dry_run, "caches": reports }));
    } else {
        for removed in reports.iter().flat_map(|report| &report.removed) {
            let what = item(&removed.item);
            printer.data(format_args!("{what}  {}  {}", ByteSize(removed.bytes), why_removed(removed.reason)));
        }
    }
    let freed: u64 = reports.iter().map(|report| report.freed_bytes).sum();
    let size: u64 = reports.iter().map(|report| report.size_after).sum();
    let count: usize = reports.iter().map(|report| report.removed.len()).sum();
    let (freed, size) = (ByteSize(freed), ByteSize(size));
    printer.note(match args.dry_run {
        true => format!("{count} would be removed and free {freed}; {size} would stay"),
        false => format!("{count} removed, {freed} freed; {size} stay"),
    });
    let Some(limit) = args.max_size else { return Ok(()) };
    let over = reports.iter().any(|report| report.size_after > limit.0);
    if !over {
        return Ok(());
    }
    for kept in reports.iter().flat_map(|report| &report.kept).filter(|kept| kept.reason.is_protection()) {
        printer.warning(format_args!("{} stays: {}", item(&kept.item), why_kept(kept.reason)));
    }
    printer.error_line(format_args!("error: more than {limit} is held in a cache"));
    Err(Failure::said(REFUSED))
}

fn item(item: &GcItem) -> String {
    match item {
        GcItem::Revision { repo, commit } => format!("{repo} at {}", commit.short()),
        GcItem::Partial { path, .. } | GcItem::Orphan { path, .. } => path.display().to_string(),
    }
}

fn why_removed(reason: RemoveReason) -> &'static str {
    match reason {
        RemoveReason::Unused => "unused",
        RemoveReason::TooManyRevisions => "more revisions than are kept",
        RemoveReason::OverSize => "the cache is too large",
        RemoveReason::DeadDownload => "its writer is dead",
        RemoveReason::Unnamed => "nothing names it",
        RemoveReason::Abandoned => "it has not grown for long",
    }
}

fn why_kept(reason: KeepReason) -> &'static str {
    match reason {
        KeepReason::Leased => "it is in use",
        KeepReason::Pinned => "it is pinned",
        KeepReason::PinnedBefore => "it was pinned before, and readers may use it unseen",
        KeepReason::Downloading => "it is being downloaded",
        KeepReason::Young => "it is younger than the grace period",
        KeepReason::WithinLimits => "no limit asks for it",
        KeepReason::HeldMeanwhile => "somebody took hold of it",
    }
}
