//! The lockfile as text.
//!
//! ```toml
//! version = 1
//!
//! [[model]]
//! name = "tiny"
//! repository = "Systran/faster-whisper-tiny"
//! revision = "main"
//! commit = "d90ca5fe260221311c53c58e660288d3deb8d356"
//! kind = "whisper"
//! digest = "sha256:…"
//! files = [
//!     { path = "config.json", size = 2246, digest = "git-sha1:…" },
//! ]
//! ```

use std::fmt::Write as _;
use std::str::FromStr;

use speech_flow_model_types::{Digest, ModelKind, RelPath};
use toml::de::DeTable;

use super::error::{LockfileError, Reason};
use super::{LOCKFILE_VERSION, LockedFile, LockedModel, Lockfile, quoted};
use crate::document::{self, Entries, Fault, Lines, Problem};

const HEADER: &str = "# Written by `speech-flow lock`. Keep it in version control; do not edit it.\n";
const TOP_KEYS: [&str; 2] = ["version", "model"];
const MODEL_KEYS: [&str; 7] = ["name", "repository", "revision", "commit", "kind", "digest", "files"];
const FILE_KEYS: [&str; 3] = ["path", "size", "digest"];
/// Most models and most files of one; far above any real lockfile.
const MAX_MODELS: usize = 10_000;
const MAX_FILES: usize = 100_000;

pub(super) fn write(lockfile: &Lockfile) -> String {
    let mut text = format!("{HEADER}version = {LOCKFILE_VERSION}\n");
    for model in lockfile.models() {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[model]]\nname = {}\nrepository = {}\nrevision = {}\ncommit = {}\nkind = {}\ndigest = {}\nfiles = [\n",
            quoted(model.name()),
            quoted(model.repo().as_str()),
            quoted(model.revision().as_str()),
            quoted(model.commit().as_str()),
            quoted(model.kind().as_str()),
            quoted(&model.digest().prefixed()),
        );
        for file in model.files() {
            let (path, digest) = (quoted(file.path.as_str()), quoted(&file.digest.prefixed()));
            let _ = writeln!(text, "    {{ path = {path}, size = {}, digest = {digest} }},", file.size);
        }
        text.push_str("]\n");
    }
    text
}

pub(super) fn parse(text: &str) -> Result<Lockfile, LockfileError> {
    let table = document::parse(text)?;
    let lines = Lines::new(text);
    // The version first: a newer format may have keys that we do not know.
    if let Some(version) = version_of(&table).filter(|version| *version != LOCKFILE_VERSION) {
        return Err(LockfileError { line: 1, reason: Reason::Version(version) });
    }
    let top = Entries::new(&table, 1, &TOP_KEYS, &lines)?;
    top.required_count("version")?;
    let tables = top.tables("model")?;
    if tables.len() > MAX_MODELS {
        return Err(LockfileError { line: 1, reason: Reason::Malformed(format!("has more than {MAX_MODELS} models")) });
    }
    let mut models: Vec<LockedModel> = Vec::with_capacity(tables.len());
    for (table, line) in tables {
        let model = parse_model(&Entries::new(table, line, &MODEL_KEYS, &lines)?, &lines)?;
        models.push(model);
    }
    let last_line = lines.at(text.len());
    Lockfile::new(models).map_err(|reason| LockfileError { line: last_line, reason })
}

fn version_of(table: &DeTable<'_>) -> Option<u64> {
    table.get("version")?.get_ref().as_integer()?.as_str().parse().ok()
}

fn parse_model(entries: &Entries<'_, '_>, lines: &Lines) -> Result<LockedModel, LockfileError> {
    let at = |key: &'static str| move |reason| LockfileError { line: entries.line_of(key), reason };
    let name = entries.required_text("name")?;
    let repo = value(entries, "repository")?;
    let revision = value(entries, "revision")?;
    let commit = value(entries, "commit")?;
    let kind: ModelKind = value(entries, "kind")?;
    let written = entries.required_text("digest")?;
    let tables = entries.tables("files")?;
    if tables.len() > MAX_FILES {
        return Err(at("files")(Reason::Malformed(format!("has a model with more than {MAX_FILES} files"))));
    }
    let files = tables.into_iter().map(|(table, line)| parse_file(&Entries::new(table, line, &FILE_KEYS, lines)?));
    let files = files.collect::<Result<Vec<_>, LockfileError>>()?;
    let model = LockedModel::from_parts(name, kind, (&repo, &revision, &commit), files).map_err(at("files"))?;
    let actual = model.digest().prefixed();
    if actual != written {
        let reason = Reason::EditedByHand { model: model.name, written: written.to_owned(), actual };
        return Err(at("digest")(reason));
    }
    Ok(model)
}

fn parse_file(entries: &Entries<'_, '_>) -> Result<LockedFile, LockfileError> {
    let path: RelPath = value(entries, "path")?;
    let size = entries.required_count("size")?;
    let digest = entries.required_text("digest")?;
    let digest = Digest::from_prefixed(digest).map_err(|error| bad_value(entries, "digest", &error))?;
    Ok(LockedFile { path, size, digest })
}

fn value<T: FromStr<Err: std::fmt::Display>>(entries: &Entries<'_, '_>, key: &'static str) -> Result<T, LockfileError> {
    entries.required_text(key)?.parse().map_err(|error| bad_value(entries, key, &error))
}

fn bad_value(entries: &Entries<'_, '_>, key: &'static str, error: &dyn std::fmt::Display) -> LockfileError {
    LockfileError { line: entries.line_of(key), reason: Reason::BadValue { key, what: format!("`{key}`: {error}") } }
}

impl From<Fault> for LockfileError {
    fn from(Fault { line, problem }: Fault) -> Self {
        let reason = match problem {
            Problem::UnknownKey { key, nearest } => Reason::UnknownKey { key, nearest },
            other => Reason::Malformed(other.to_string()),
        };
        Self { line, reason }
    }
}
