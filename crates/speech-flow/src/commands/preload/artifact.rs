//! `preload oci://…`: models that come from an artifact in a registry.

use std::sync::Arc;

use speech_flow_model_manager::{Events, Model, ModelManager};
use speech_flow_model_oci::{Access, ArtifactSource, OciError, PackedModel, Reference};
use speech_flow_model_types::{CommitHash, ModelSource, ModelSpec, Patterns, RelPath, Revision};

use super::Wanted;
use crate::cli::PreloadArgs;
use crate::registry::connect;
use crate::report::Failure;
use crate::session::Session;

/// Refuses what makes no sense for an artifact: it is what it is.
pub(super) fn check(session: &Session, args: &PreloadArgs, references: &[String]) -> Result<Vec<Reference>, Failure> {
    let Some(first) = references.first() else {
        return match args.plain_http {
            true => Err(Failure::usage(
                "`--plain-http` is for registries, and no `oci://…` is named",
                "leave it out; how the hub is reached stands in `HF_ENDPOINT`",
            )),
            false => Ok(Vec::new()),
        };
    };
    let flags = [
        ("--revision", args.revision.is_some()),
        ("--clear-cache", args.clear_cache),
        ("--info", args.info),
        ("--include", !args.include.is_empty()),
        ("--exclude", !args.exclude.is_empty()),
    ];
    if let Some((flag, _)) = flags.iter().find(|(_, is_given)| *is_given) {
        return Err(Failure::usage(
            format!("`{flag}` does not go with `{first}`"),
            "an artifact says itself which models, commits and files it holds",
        ));
    }
    let references: Result<Vec<Reference>, _> = references.iter().map(|text| text.parse()).collect();
    let references = references.map_err(OciError::from)?;
    if *session.config.hub.offline {
        return Err(Failure::refused(
            format!("`{}` is in a registry, and the mode is offline", references[0]),
            format!("go online; offline comes from {}", session.config.hub.offline.origin),
        ));
    }
    Ok(references)
}

/// The models of an artifact.
pub(super) async fn open(
    session: &Session,
    reference: &Reference,
    plain_http: bool,
    events: &Arc<dyn Events>,
) -> Result<Vec<Wanted>, Failure> {
    let registry = connect(session, reference, Access::Pull, plain_http, events).await?;
    let source = ArtifactSource::open(registry).await?;
    let pinned = source.pinned().to_string();
    tracing::info!(reference = %reference, digest = %pinned, "an artifact was resolved");
    let specs: Vec<(ModelSpec, CommitHash, Vec<Revision>)> = source.models().iter().map(spec).collect();
    let source = Arc::new(source);
    let manager = ModelManager::with_source(&session.config, source, pinned)?;
    let wanted = specs.into_iter().map(|(spec, commit, names)| Wanted {
        manager: manager.clone(),
        spec,
        held: Some(Held { commit, names }),
    });
    Ok(wanted.collect())
}

/// What an artifact says of a model's version.
pub(super) struct Held {
    commit: CommitHash,
    names: Vec<Revision>,
}

impl Held {
    /// A pin or a lockfile may have another commit for the name: then the artifact's was not made ready.
    pub(super) fn check(&self, manager: &ModelManager, model: &Model) -> Result<(), Failure> {
        let Some(origin) = &model.origin else { return Ok(()) };
        if origin.commit != self.commit {
            return Err(Failure::refused(
                format!(
                    "`{}` at `{}` is settled to commit `{}` by a pin or the lockfile, and the artifact holds `{}`",
                    origin.repo,
                    origin.revision,
                    origin.commit.short(),
                    self.commit.short()
                ),
                "take an artifact of that commit, or change the pin or the lockfile",
            ));
        }
        manager.remember_names(model, &self.names);
        Ok(())
    }
}

/// How the model manager is asked for exactly the files that are in the artifact.
fn spec(packed: &PackedModel) -> (ModelSpec, CommitHash, Vec<Revision>) {
    let model = &packed.model;
    let revision = model.refs.first().cloned().unwrap_or_else(|| Revision::from(model.commit.clone()));
    let chosen: Vec<&RelPath> =
        model.kind.select(&model.listing, &Patterns::all()).into_iter().map(|file| &file.path).collect();
    let held: Vec<&RelPath> = model.layers.keys().collect();
    let patterns = if chosen == held {
        Patterns::all()
    } else {
        let escaped = held.iter().map(|path| escape(path.as_str())).collect();
        Patterns::new(escaped, Vec::new()).expect("an escaped path is a pattern")
    };
    let spec = ModelSpec {
        name: model.repo.to_string(),
        source: ModelSource::Hub { repo: model.repo.clone(), revision },
        kind: Some(model.kind),
        patterns,
    };
    (spec, model.commit.clone(), model.refs.clone())
}

/// A pattern that a path alone matches.
fn escape(path: &str) -> String {
    let special = |c: char| if "*?[]{}".contains(c) { format!("[{c}]") } else { c.to_string() };
    path.chars().map(special).collect()
}
