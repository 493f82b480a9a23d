//! `info`: which version of a model is on disk, where, and where it came from.

use serde_json::{Value, json};
use speech_flow_model_manager::Model;
use speech_flow_model_types::{ByteSize, ModelSpec};

use crate::cli::InfoArgs;
use crate::printer::{Printer, Tone};
use crate::report::{Failure, REFUSED};
use crate::selection;
use crate::session::Session;
use crate::visible::one_line;

pub(super) fn run(session: &Session, args: &InfoArgs) -> Result<(), Failure> {
    let specs = selection::named_or_configured(&session.config, &args.models)?;
    let missing = show(session, &specs, args.json)?;
    // The configured models are a question; a named one is a claim.
    if missing > 0 && !args.models.is_empty() { Err(Failure::said(REFUSED)) } else { Ok(()) }
}

/// Shows models, and says how many are not on disk.
pub(super) fn show(session: &Session, specs: &[ModelSpec], as_json: bool) -> Result<usize, Failure> {
    let manager = session.manager()?;
    let options = session.options()?;
    let printer = &session.printer;
    let mut models = Vec::new();
    let mut missing = Vec::new();
    for spec in specs {
        match manager.locate(spec, &options) {
            Ok(model) => models.push(model),
            Err(error) => missing.push((spec, Failure::from(error))),
        }
    }
    if as_json {
        printer.json(json!({
            "models": models.iter().map(described).collect::<Vec<_>>(),
            "missing": missing.iter().map(|(spec, failure)| failure.to_json(&spec.name)).collect::<Vec<_>>(),
        }));
        return Ok(missing.len());
    }
    for model in &models {
        print(printer, model);
    }
    for (_, failure) in &missing {
        failure.print(printer);
    }
    Ok(missing.len())
}

/// A model without what belongs to a download.
fn described(model: &Model) -> Value {
    let mut value = model.to_json();
    if let Some(fields) = value.as_object_mut() {
        for field in ["outcome", "bytes_downloaded", "seconds"] {
            fields.remove(field);
        }
    }
    value
}

fn print(printer: &Printer, model: &Model) {
    printer.data(printer.paint(Tone::Strong, &model.name));
    let field = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            printer.data(format_args!("  {name:<12}{}", one_line(&value)));
        }
    };
    let origin = model.origin.as_ref();
    field("kind", Some(model.kind.to_string()));
    field("repository", origin.map(|origin| origin.repo.to_string()));
    field("revision", origin.map(|origin| origin.revision.to_string()));
    field("commit", origin.map(|origin| origin.commit.to_string()));
    field("license", origin.and_then(|origin| origin.license.clone()));
    field("made from", origin.and_then(|origin| origin.base_model.clone()));
    field("source", origin.and_then(|origin| origin.source.clone()));
    field("fetched", origin.and_then(|origin| origin.fetched_at.clone()));
    field("digest", model.digest.clone());
    field("size", Some(format!("{} in {} files", ByteSize(model.bytes_total()), model.files.len())));
    field("path", Some(model.path.display().to_string()));
}
