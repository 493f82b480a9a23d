//! `preload`: makes models ready.

mod artifact;
mod forecast;
mod prepare;

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use speech_flow_model_manager::{ClearSelection, EnsureOptions, Events, Model, ModelManager, RevisionGiven};
use speech_flow_model_oci::Reference;
use speech_flow_model_types::{ByteSize, ModelSpec};

use artifact::Held;

use crate::cli::{ModelChoice, PreloadArgs};
use crate::printer::Tone;
use crate::progress::Reporter;
use crate::report::Failure;
use crate::session::Session;
use crate::{lockfile, selection, signals, table};

/// What people are told on Ctrl-C.
const INTERRUPTED: &str = "interrupted: what has arrived is kept; run the same command again and it goes on from there";

pub(super) fn run(session: &Session, args: &PreloadArgs) -> Result<(), Failure> {
    let (references, choice) = split(&args.choice);
    let references = artifact::check(session, args, &references)?;
    let specs = match (references.is_empty(), choice.models.is_empty()) {
        (false, true) => Vec::new(),
        _ => selection::chosen(&session.config, &choice)?,
    };
    let specs = selection::adapted(specs, args.revision.as_ref(), &args.include, &args.exclude)?;
    if args.info {
        return super::info::show(session, &specs, args.json).map(|_| ());
    }
    let manager = session.manager()?;
    let lock = lockfile::choice(session, args.locked)?;
    if args.clear_cache && *session.config.hub.offline {
        return Err(Failure::usage(
            "what `--clear-cache` removes cannot be fetched again offline, and nothing was removed",
            format!("leave out one of them; offline comes from {}", session.config.hub.offline.origin),
        ));
    }
    if args.clear_cache {
        let given = |spec| (spec, if args.revision.is_some() { RevisionGiven::Yes } else { RevisionGiven::No });
        let selection = ClearSelection::Models(specs.iter().cloned().map(given).collect());
        let cleared = super::clear::remove(session, &manager, &selection)?;
        session.printer.note(super::clear::summary(&cleared));
    }
    let reporter = Arc::new(Reporter::new(Arc::clone(&session.printer)));
    let started = Instant::now();
    signals::run(&session.printer, INTERRUPTED, |cancel| async {
        let events: Arc<dyn Events> = Arc::clone(&reporter) as _;
        let mut outcome = Outcome::default();
        let mut wanted: Vec<Wanted> =
            specs.into_iter().map(|spec| Wanted { manager: manager.clone(), spec, held: None }).collect();
        for reference in &references {
            match artifact::open(session, reference, args.plain_http, &events).await {
                Ok(models) => wanted.extend(models),
                Err(failure) => outcome.fails(session, reference.to_string(), failure),
            }
        }
        let options = EnsureOptions { lock, events, cancel, ..EnsureOptions::default() };
        if args.dry_run {
            return forecast::run(session, &wanted, outcome.failed, &options, args.json).await;
        }
        let ended = ensure_all(session, &wanted, &options, &reporter, args.prepare, &mut outcome).await;
        reporter.finish();
        ended?;
        report(session, outcome, started, args.json)
    })
}

/// The artifacts among the names, and the other names.
fn split(choice: &ModelChoice) -> (Vec<String>, ModelChoice) {
    let (references, models) = choice.models.iter().cloned().partition(|name| Reference::is_meant(name));
    (references, ModelChoice { models, ..choice.clone() })
}

/// A model to make ready, and what fetches it.
struct Wanted {
    manager: ModelManager,
    spec: ModelSpec,
    held: Option<Held>,
}

/// What came of the models, in their order.
#[derive(Default)]
struct Outcome {
    ready: Vec<Ready>,
    failed: Vec<(String, Failure)>,
}

impl Outcome {
    fn fails(&mut self, session: &Session, name: String, failure: Failure) {
        failure.print(&session.printer);
        self.failed.push((name, failure));
    }
}

/// A model, and its prepared weights as JSON has them.
struct Ready {
    model: Model,
    prepared: Option<Value>,
}

/// One model after the other; each has all lanes.
async fn ensure_all(
    session: &Session,
    wanted: &[Wanted],
    options: &EnsureOptions,
    reporter: &Reporter,
    prepares: bool,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    for Wanted { manager, spec, held } in wanted {
        tracing::info!(model = %spec, "a model is made ready");
        let ready = async {
            let model = manager.ensure_with(spec, options).await?;
            if let Some(held) = held {
                held.check(manager, &model)?;
            }
            log(&model);
            let prepared = if prepares { prepare::run(session, manager, &model).await? } else { None };
            Ok::<_, Failure>(Ready { model, prepared })
        };
        match ready.await {
            Ok(ready) => outcome.ready.push(ready),
            Err(failure) if options.cancel.is_cancelled() => return Err(failure),
            Err(failure) => {
                reporter.finish();
                outcome.fails(session, spec.name.clone(), failure);
            }
        }
    }
    Ok(())
}

impl Ready {
    fn to_json(&self) -> Value {
        let mut model = self.model.to_json();
        if let (Value::Object(fields), Some(prepared)) = (&mut model, &self.prepared) {
            fields.insert("prepared".to_owned(), prepared.clone());
        }
        model
    }
}

fn log(model: &Model) {
    let origin = model.origin.as_ref();
    tracing::info!(
        model = model.name,
        commit = origin.map(|origin| origin.commit.as_str()),
        status = model.outcome.as_str(),
        bytes = model.bytes_downloaded,
        elapsed_ms = u64::try_from(model.elapsed.as_millis()).unwrap_or(u64::MAX),
        "a model is ready"
    );
}

/// Prints what came of it. Fails with the worst of the failures, which were printed when they happened.
fn report(session: &Session, outcome: Outcome, started: Instant, as_json: bool) -> Result<(), Failure> {
    let printer = &session.printer;
    if as_json {
        printer.json(json!({
            "models": outcome.ready.iter().map(Ready::to_json).collect::<Vec<_>>(),
            "failed": outcome.failed.iter().map(|(name, failure)| failure.to_json(name)).collect::<Vec<_>>(),
        }));
    } else {
        let rows: Vec<_> = outcome.ready.iter().map(|ready| row(&ready.model)).collect();
        table::lines(&rows).into_iter().for_each(|line| printer.data(line));
    }
    let fetched: u64 = outcome.ready.iter().map(|ready| ready.model.bytes_downloaded).sum();
    let (ready, failed) = (outcome.ready.len(), outcome.failed.len());
    let label = match failed {
        0 => printer.paint_stderr(Tone::Good, format_args!("{ready} ready")),
        _ => format!("{ready} ready, {}", printer.paint_stderr(Tone::Bad, format_args!("{failed} failed"))),
    };
    printer.note(format_args!("{label}; {} fetched in {:.1} s", ByteSize(fetched), started.elapsed().as_secs_f64()));
    match outcome.failed.iter().map(|(_, failure)| failure.code()).max() {
        None => Ok(()),
        Some(worst) => Err(Failure::said(worst)),
    }
}

fn row(model: &Model) -> [String; 4] {
    let commit = model.origin.as_ref().map_or("-", |origin| origin.commit.short());
    [
        model.name.clone(),
        commit.to_owned(),
        model.outcome.as_str().to_owned(),
        ByteSize(model.bytes_total()).to_string(),
    ]
}
