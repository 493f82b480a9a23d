//! `speech-flow.toml`: from text to keys with their lines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::options::{DECLARATIONS, declaration};
use crate::document::{self, Entries, Fault, Lines, Problem};

/// A configuration file, read.
pub(crate) struct ParsedFile {
    pub(crate) path: PathBuf,
    /// Settings by key.
    pub(crate) values: BTreeMap<&'static str, FileValue>,
    /// The `[[model]]` entries in their order.
    pub(crate) models: Vec<FileModel>,
}

/// The text of a setting in a file.
pub(crate) struct FileValue {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// One `[[model]]` entry.
#[derive(Debug)]
pub(crate) struct FileModel {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) revision: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
}

/// The array of tables that names further models.
const MODEL: &str = "model";
/// Keys of a `[[model]]` entry.
const MODEL_KEYS: [&str; 5] = ["name", "revision", "kind", "include", "exclude"];

/// Reads one file.
pub(crate) fn parse(path: &Path, text: &str) -> Result<ParsedFile, ConfigError> {
    let refused = |fault: Fault| bad_file(path, fault);
    let table = document::parse(text).map_err(refused)?;
    let lines = Lines::new(text);
    let mut file = ParsedFile { path: path.to_owned(), values: BTreeMap::new(), models: Vec::new() };
    read_table(&table, "", &lines, &mut file).map_err(refused)?;
    Ok(file)
}

fn read_table(table: &DeTable<'_>, prefix: &str, lines: &Lines, file: &mut ParsedFile) -> Result<(), Fault> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        let line = lines.at(name.span().start);
        if key == MODEL {
            file.models = document::expect_tables(MODEL, value, lines)?
                .into_iter()
                .map(|(table, line)| read_model(table, line, lines))
                .collect::<Result<_, Fault>>()?;
        } else if let Some(declared) = declaration(&key).filter(|declared| declared.in_file) {
            let text = scalar(&key, value, lines)?;
            file.values.insert(declared.key, FileValue { text, line });
        } else if let (Some(inner), true) = (value.get_ref().as_table(), is_group(&key)) {
            read_table(inner, &key, lines, file)?;
        } else {
            let known = DECLARATIONS.iter().filter(|declared| declared.in_file).map(|declared| declared.key);
            let nearest = document::nearest(&key, known.chain([MODEL]));
            return Err(Fault { line, problem: Problem::UnknownKey { key, nearest } });
        }
    }
    Ok(())
}

fn is_group(key: &str) -> bool {
    DECLARATIONS.iter().any(|declared| declared.key.split_once('.').is_some_and(|(group, _)| group == key))
}

/// The text of a value; numbers and switches need no quotes.
fn scalar(key: &str, value: &Spanned<DeValue<'_>>, lines: &Lines) -> Result<String, Fault> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Boolean(on) => Ok(on.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        _ => Err(document::wrong_type(key, value, "one value: a text in quotes, a number or `true`/`false`", lines)),
    }
}

fn read_model(table: &DeTable<'_>, line: usize, lines: &Lines) -> Result<FileModel, Fault> {
    let entries = Entries::new(table, line, &MODEL_KEYS, lines)?;
    Ok(FileModel {
        line: entries.line_of("name"),
        name: entries.required_text("name")?.to_owned(),
        revision: entries.text("revision")?.map(str::to_owned),
        kind: entries.text("kind")?.map(str::to_owned),
        include: entries.texts("include")?,
        exclude: entries.texts("exclude")?,
    })
}

/// Adds the hint that a token does not belong into a file that others read.
fn bad_file(path: &Path, Fault { line, problem }: Fault) -> ConfigError {
    let hint = match &problem {
        Problem::UnknownKey { key, .. } if is_token(key) => Some(
            "a token does not belong in a file that others read: set `HF_TOKEN`, or `hub.token-path` to a file of its own"
                .to_owned(),
        ),
        _ => problem.hint(),
    };
    ConfigError::BadFile { path: path.to_owned(), line, problem: problem.to_string(), hint }
}

fn is_token(key: &str) -> bool {
    matches!(key.rsplit('.').next(), Some("token" | "hf-token" | "hf_token" | "HF_TOKEN"))
}
