//! From what was typed to models.

use std::path::Path;

use speech_flow_model_manager::RevisionGiven;
use speech_flow_model_manager::config::Config;
use speech_flow_model_types::spec::InvalidSpec;
use speech_flow_model_types::{ModelSource, ModelSpec, Patterns, Revision};

use crate::cli::ModelChoice;
use crate::report::Failure;

/// The models that were chosen, or all configured ones where nothing was.
pub(crate) fn chosen(config: &Config, choice: &ModelChoice) -> Result<Vec<ModelSpec>, Failure> {
    if !choice.models.is_empty() {
        return named(config, &choice.models);
    }
    let mut specs = Vec::new();
    if choice.whisper {
        specs.push(config.whisper_model().spec);
    }
    if choice.lid {
        specs.push(config.lid_model().spec);
    }
    Ok(if specs.is_empty() { configured(config) } else { specs })
}

/// The models with these names, or all configured ones where there is no name.
pub(crate) fn named_or_configured(config: &Config, names: &[String]) -> Result<Vec<ModelSpec>, Failure> {
    if names.is_empty() { Ok(configured(config)) } else { named(config, names) }
}

/// The models with these names, each once.
pub(crate) fn named(config: &Config, names: &[String]) -> Result<Vec<ModelSpec>, Failure> {
    let mut specs: Vec<ModelSpec> = Vec::new();
    for name in names {
        let spec = one(config, name)?;
        if !specs.contains(&spec) {
            specs.push(spec);
        }
    }
    Ok(specs)
}

/// The model with this name. A name without a revision that the configuration has too means the configured
/// revision, kind and patterns, so that `path large-v3` and the worker agree.
pub(crate) fn one(config: &Config, name: &str) -> Result<ModelSpec, Failure> {
    let spec = ModelSpec::parse(name, Path::is_dir).map_err(|error| refused(&error))?;
    let ModelSource::Hub { repo, .. } = &spec.source else { return Ok(spec) };
    let known = config
        .models()
        .into_iter()
        .map(|model| model.spec)
        .find(|known| matches!(&known.source, ModelSource::Hub { repo: other, .. } if other == repo));
    Ok(match known {
        None => spec,
        Some(known) if name.contains('@') => ModelSpec { source: spec.source, ..known }.named(spec.name),
        Some(known) => known.named(spec.name),
    })
}

/// Whether a name as typed has a revision of its own.
pub(crate) fn given(name: &str) -> RevisionGiven {
    if name.contains('@') { RevisionGiven::Yes } else { RevisionGiven::No }
}

/// The same models with what `preload` says of them.
pub(crate) fn adapted(
    specs: Vec<ModelSpec>,
    revision: Option<&Revision>,
    include: &[String],
    exclude: &[String],
) -> Result<Vec<ModelSpec>, Failure> {
    if revision.is_some() && specs.len() != 1 {
        return Err(Failure::usage(
            format!("`--revision` is for one model, and {} are chosen", specs.len()),
            "name one model, or write `owner/name@revision`",
        ));
    }
    let patterns = match (include, exclude) {
        ([], []) => None,
        _ => Some(Patterns::new(include.to_vec(), exclude.to_vec()).map_err(|error| {
            Failure::usage(error.to_string(), "patterns are as the shell has them: `*.json`, `onnx/*`, `[a-c]?.bin`")
        })?),
    };
    let adapt = |mut spec: ModelSpec| {
        if let Some(revision) = revision {
            spec = spec.at(revision.clone());
        }
        match &patterns {
            Some(patterns) => spec.with_patterns(patterns.clone()),
            None => spec,
        }
    };
    Ok(specs.into_iter().map(adapt).collect())
}

fn configured(config: &Config) -> Vec<ModelSpec> {
    config.models().into_iter().map(|model| model.spec).collect()
}

/// A name that can mean no model is wrong usage, as it is in a variable or in the configuration file.
fn refused(error: &InvalidSpec) -> Failure {
    Failure::usage(error.to_string(), error.hint())
}

/// A configured model under the name that was typed.
trait Named {
    fn named(self, name: String) -> Self;
}

impl Named for ModelSpec {
    fn named(self, name: String) -> Self {
        Self { name, ..self }
    }
}
