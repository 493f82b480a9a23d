//! The models that a configuration names.

use speech_flow_model_types::{ModelKind, ModelSource, ModelSpec, Patterns, Revision};

use super::file::FileModel;
use super::layers::Layers;
use super::origin::{Origin, Setting};
use super::{Config, ConfigError};

/// What a configured model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Transcription.
    Whisper,
    /// Language identification.
    Lid,
    /// A `[[model]]` entry.
    Extra,
}

/// A model that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredModel {
    /// What it is for.
    pub role: Role,
    /// Which model it is.
    pub spec: ModelSpec,
    /// Where its name came from.
    pub origin: Origin,
}

impl Config {
    /// Every configured model: Whisper, language identification, then the `[[model]]` entries.
    pub fn models(&self) -> Vec<ConfiguredModel> {
        let mut models = vec![self.whisper_model(), self.lid_model()];
        models.extend(self.extra.iter().cloned());
        models
    }

    /// The Whisper model at its revision.
    pub fn whisper_model(&self) -> ConfiguredModel {
        let spec = at_revision(&self.whisper.model, &self.whisper.revision).of_kind(ModelKind::Whisper);
        ConfiguredModel { role: Role::Whisper, spec, origin: self.whisper.model.origin.clone() }
    }

    /// The language identification model at its revision.
    pub fn lid_model(&self) -> ConfiguredModel {
        let spec = at_revision(&self.lid.model, &self.lid.revision).of_kind(ModelKind::LanguageId);
        ConfiguredModel { role: Role::Lid, spec, origin: self.lid.model.origin.clone() }
    }
}

/// A revision inside the name is the more specific one, and wins.
fn at_revision(model: &Setting<ModelSpec>, revision: &Setting<Revision>) -> ModelSpec {
    if own_revision(model).is_some() { model.value.clone() } else { model.value.clone().at(revision.value.clone()) }
}

/// The revision that stands in the model's name.
pub(super) fn own_revision(model: &ModelSpec) -> Option<&Revision> {
    match &model.source {
        ModelSource::Hub { revision, .. } if *revision != Revision::main() => Some(revision),
        _ => None,
    }
}

/// The spec of a name that is written in this crate.
pub(super) fn default_spec(name: &str) -> ModelSpec {
    ModelSpec::parse(name, |_| false).expect("callers pass constants of this crate, and a test loads them")
}

/// The `[[model]]` entries of the strongest file that has any.
pub(super) fn extra(layers: &Layers<'_>) -> Result<Vec<ConfiguredModel>, ConfigError> {
    let Some(file) = layers.files.iter().find(|file| !file.models.is_empty()) else { return Ok(Vec::new()) };
    let mut models: Vec<ConfiguredModel> = Vec::with_capacity(file.models.len());
    for entry in &file.models {
        let refused = |(problem, hint): (String, Option<String>)| ConfigError::BadFile {
            path: file.path.clone(),
            line: entry.line,
            problem,
            hint,
        };
        let spec = spec_of(entry, layers.sources.is_folder).map_err(refused)?;
        if models.iter().any(|other| other.spec.source == spec.source) {
            let problem = format!("names `{spec}` a second time");
            return Err(refused((problem, Some("put all its patterns into one entry".to_owned()))));
        }
        let origin = Origin::File { path: file.path.clone(), line: Some(entry.line) };
        models.push(ConfiguredModel { role: Role::Extra, spec, origin });
    }
    Ok(models)
}

fn spec_of(
    entry: &FileModel,
    is_folder: &dyn Fn(&std::path::Path) -> bool,
) -> Result<ModelSpec, (String, Option<String>)> {
    let mut spec = ModelSpec::parse(&entry.name, is_folder)
        .map_err(|error| (format!("names no model: {error}"), Some(error.hint())))?;
    if let Some(text) = &entry.revision {
        let revision: Revision = text.parse().map_err(|error| (format!("has a bad revision: {error}"), None))?;
        if own_revision(&spec).is_some_and(|own| *own != revision) {
            let problem = format!("asks for `{}` at two revisions", entry.name);
            return Err((problem, Some("write the revision once, as `revision`".to_owned())));
        }
        spec = spec.at(revision);
    }
    if let Some(text) = &entry.kind {
        let kind: ModelKind = text.parse().map_err(|error| (format!("has a bad kind: {error}"), None))?;
        spec = spec.of_kind(kind);
    }
    let patterns = Patterns::new(entry.include.clone(), entry.exclude.clone())
        .map_err(|error| (format!("has a bad pattern: {error}"), None))?;
    Ok(spec.with_patterns(patterns))
}
