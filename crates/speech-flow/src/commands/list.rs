//! `list`: what is in the caches.

use serde_json::json;
use speech_flow_model_manager::{CacheReport, CachedRevision, Completeness};
use speech_flow_model_types::ByteSize;

use crate::cli::ListArgs;
use crate::printer::Tone;
use crate::report::Failure;
use crate::session::Session;
use crate::table;

pub(super) fn run(session: &Session, args: &ListArgs) -> Result<(), Failure> {
    let printer = &session.printer;
    let caches = session.manager()?.list()?;
    if args.json {
        printer.json(json!({ "caches": caches }));
        return Ok(());
    }
    let mut rows = vec![["REPOSITORY", "COMMIT", "REVISIONS", "SIZE", "LAST USED", "STATE"].map(str::to_owned)];
    rows.extend(caches.iter().flat_map(rows_of));
    for (index, line) in table::lines(&rows).into_iter().enumerate() {
        let line = if index == 0 { printer.paint(Tone::Strong, line) } else { line };
        printer.data(line);
    }
    for cache in &caches {
        let partials: u64 = cache.repos.iter().flat_map(|repo| &repo.partials).map(|partial| partial.bytes).sum();
        let unfinished = if partials == 0 { String::new() } else { format!(", {} unfinished", ByteSize(partials)) };
        let root = cache.root.display();
        printer.note(format_args!("{} in `{root}`{unfinished}", ByteSize(cache.size_on_disk)));
        for problem in cache.problems.iter().chain(cache.repos.iter().flat_map(|repo| &repo.problems)) {
            printer.warning(format_args!("`{}`: {}", problem.path.display(), problem.what));
        }
    }
    Ok(())
}

fn rows_of(cache: &CacheReport) -> Vec<[String; 6]> {
    let revisions = cache.repos.iter().flat_map(|repo| repo.revisions.iter().map(move |revision| (repo, revision)));
    let row = |revision: &CachedRevision, repo: String| {
        let refs: Vec<_> = revision.refs.iter().map(ToString::to_string).collect();
        let used =
            revision.last_used.map_or_else(|| "-".to_owned(), |used| used.strftime("%Y-%m-%d %H:%M").to_string());
        [
            repo,
            revision.commit.short().to_owned(),
            refs.join(","),
            ByteSize(revision.size_on_disk).to_string(),
            used,
            state(revision),
        ]
    };
    revisions.map(|(repo, revision)| row(revision, repo.repo.to_string())).collect()
}

fn state(revision: &CachedRevision) -> String {
    let mut words = vec![match &revision.completeness {
        Completeness::Complete => "complete".to_owned(),
        Completeness::Incomplete { missing } => format!("lacks {} files", missing.len()),
        _ => "unknown".to_owned(),
    }];
    if revision.pinned.is_some() {
        words.push("pinned".to_owned());
    }
    if !revision.leases.is_empty() {
        words.push("in use".to_owned());
    }
    if revision.downloading.is_some() {
        words.push("downloading".to_owned());
    }
    words.join(", ")
}
