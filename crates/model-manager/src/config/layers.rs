//! Flag over environment over file: where each setting's text comes from.
//!
//! A variable that is set to nothing counts as not set, as the Python client has it for tokens, switches
//! and proxies. For its folders the Python client takes nothing as the current folder; nobody means that.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::file::ParsedFile;
use super::options::{Declaration, Declared};
use super::origin::{Origin, Setting};
use super::values::{Shown, Surroundings};

/// What a configuration is made of. Reading all this from the machine is [`super::read()`]'s work.
pub struct ConfigSources<'a> {
    /// The environment.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
    /// Settings that the command line gave.
    pub flags: Vec<Flag>,
    /// Configuration files with their text, the strongest first.
    pub files: Vec<(PathBuf, String)>,
    /// What the machine is like.
    pub facts: SystemFacts,
    /// Whether a path is a folder; decides whether a model's name is one.
    pub is_folder: &'a dyn Fn(&Path) -> bool,
}

/// A setting that the command line gave.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The flag as typed, such as `--cache-dir`.
    pub name: &'static str,
    /// The setting's key, such as `cache.dir`.
    pub key: &'static str,
    /// The value as typed.
    pub value: OsString,
}

/// What the machine is like, as far as defaults depend on it.
#[derive(Debug, Clone, Default)]
pub struct SystemFacts {
    /// The user's home folder; none for a user id without one.
    pub home: Option<PathBuf>,
    /// The user's cache folder; none for a user id without a home.
    pub cache_home: Option<PathBuf>,
    /// Whether `/models` exists.
    pub models_dir_exists: bool,
    /// Whether an NVIDIA GPU seems usable.
    pub cuda_usable: bool,
    /// The current folder; relative paths start from it.
    pub current_dir: PathBuf,
}

/// One line of `speech-flow config`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    /// The setting's key.
    pub key: &'static str,
    /// The variable that sets it.
    pub variable: &'static str,
    /// Its value; a secret is not shown.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
}

/// The layers while they are read; notes a row for every setting that was asked for.
pub(crate) struct Layers<'a> {
    pub(crate) sources: &'a ConfigSources<'a>,
    pub(crate) files: Vec<ParsedFile>,
    pub(crate) rows: Vec<Row>,
}

/// A text that was given for a setting.
struct Given<'a> {
    text: std::borrow::Cow<'a, str>,
    origin: Origin,
    /// How an error names the place.
    place: String,
    /// The folder that a relative path starts from.
    base: &'a Path,
}

/// Which layers a setting is looked up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All.
    All,
    /// Only the command line: a flag moved what the others would set.
    FlagsOnly,
}

impl<'a> Layers<'a> {
    /// The value of a setting, or its default.
    pub(crate) fn setting<T: Shown>(
        &mut self,
        declared: &Declared<T>,
        default: impl FnOnce() -> Result<T, ConfigError>,
    ) -> Result<Setting<T>, ConfigError> {
        self.setting_within(declared, Reach::All, default)
    }

    pub(crate) fn setting_within<T: Shown>(
        &mut self,
        declared: &Declared<T>,
        reach: Reach,
        default: impl FnOnce() -> Result<T, ConfigError>,
    ) -> Result<Setting<T>, ConfigError> {
        let setting = match self.find(declared, reach)? {
            Some(found) => found,
            None => Setting::default_value(default()?),
        };
        self.note(&declared.declaration, setting.value.shown(), setting.origin.clone());
        Ok(setting)
    }

    /// The value of a setting that may be absent.
    pub(crate) fn optional<T: Shown>(&mut self, declared: &Declared<T>) -> Result<Setting<Option<T>>, ConfigError> {
        let setting = match self.find(declared, Reach::All)? {
            Some(found) => found.map(Some),
            None => Setting::default_value(None),
        };
        self.note(&declared.declaration, setting.value.shown(), setting.origin.clone());
        Ok(setting)
    }

    pub(crate) fn note(&mut self, declaration: &Declaration, value: String, origin: Origin) {
        let variable = declaration.variables.first().copied().unwrap_or_default();
        self.rows.push(Row { key: declaration.key, variable, value, origin });
    }

    pub(crate) fn find<T>(&self, declared: &Declared<T>, reach: Reach) -> Result<Option<Setting<T>>, ConfigError> {
        let declaration = &declared.declaration;
        let Some(given) = self.given(declaration, reach)? else { return Ok(None) };
        let around = Surroundings {
            env: self.sources.env,
            home: self.sources.facts.home.as_deref(),
            base: given.base,
            is_folder: self.sources.is_folder,
        };
        match (declared.parse)(&given.text, &around) {
            Ok(value) => Ok(Some(Setting { value, origin: given.origin })),
            Err(refused) => Err(ConfigError::BadValue {
                place: given.place,
                got: shown_text(declaration, &given.text),
                takes: declaration.takes.to_owned(),
                hint: refused.hint,
            }),
        }
    }

    fn given(&self, declaration: &Declaration, reach: Reach) -> Result<Option<Given<'_>>, ConfigError> {
        let current = self.sources.facts.current_dir.as_path();
        if let Some(flag) = self.sources.flags.iter().find(|flag| flag.key == declaration.key) {
            let text = flag.value.to_str().ok_or_else(|| ConfigError::NotText { variable: flag.name.to_owned() })?;
            let origin = Origin::Flag(flag.name.to_owned());
            return Ok(Some(Given { text: text.into(), origin, place: flag.name.to_owned(), base: current }));
        }
        if reach == Reach::FlagsOnly {
            return Ok(None);
        }
        for variable in declaration.variables {
            let Some(value) = (self.sources.env)(variable) else { continue };
            let text = value.into_string().map_err(|_| ConfigError::NotText { variable: (*variable).to_owned() })?;
            if !text.trim().is_empty() {
                let origin = Origin::Env(variable);
                return Ok(Some(Given { text: text.into(), origin, place: (*variable).to_owned(), base: current }));
            }
            if declaration.empty_hides {
                return Ok(None);
            }
        }
        let in_files = self.files.iter().find_map(|file| Some((file, file.values.get(declaration.key)?)));
        Ok(in_files.map(|(file, value)| Given {
            text: value.text.as_str().into(),
            origin: Origin::File { path: file.path.clone(), line: Some(value.line) },
            place: format!("{} in {} line {}", declaration.key, file.path.display(), value.line),
            base: file.path.parent().unwrap_or(current),
        }))
    }
}

impl Layers<'_> {
    /// Surroundings for values that do not depend on any.
    pub(crate) fn nowhere() -> Surroundings<'static> {
        Surroundings { env: &|_| None, home: None, base: Path::new(""), is_folder: &|_| false }
    }
}

/// What an error may say of a text: nothing of a secret, and no password or query inside an address.
fn shown_text(declaration: &Declaration, text: &str) -> String {
    if declaration.is_secret {
        return "…".to_owned();
    }
    if let Some((address, _)) = text.split_once('?').filter(|(address, _)| address.contains("://")) {
        return format!("{}?…", shown_text(declaration, address));
    }
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &text[..scheme], &text[at..]),
        // A proxy may be written without a scheme, still with a password.
        (None, Some(at)) if text[..at].contains(':') => format!("…{}", &text[at..]),
        _ => text.to_owned(),
    }
}
