//! TOML documents that people edit: every value knows its line, and every unknown key its nearest name.
//!
//! Configuration and lockfile read through it, so that both name what is wrong in the same words.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Longest document that is read; far above any real one.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 16 << 20;

/// What is wrong with a document, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Line, from 1.
    pub(crate) line: usize,
    /// What is wrong, ready for a sentence.
    pub(crate) problem: Problem,
}

/// The ways in which a document can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The text is not TOML.
    Syntax(String),
    /// Nobody reads this key.
    UnknownKey { key: String, nearest: Option<&'static str> },
    /// The key has to be there.
    MissingKey { key: &'static str },
    /// The value has another type.
    WrongType { key: String, got: &'static str, takes: &'static str },
}

/// Lines of a text by offset.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Offsets of the line ends.
    ends: Vec<usize>,
}

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        Self { ends: text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect() }
    }

    /// The line that an offset stands on, from 1.
    pub(crate) fn at(&self, offset: usize) -> usize {
        1 + self.ends.partition_point(|end| *end < offset)
    }
}

/// Reads a document.
///
/// # Errors
/// [`Problem::Syntax`] for a text that is no TOML or is longer than [`MAX_DOCUMENT_BYTES`].
pub(crate) fn parse(text: &str) -> Result<DeTable<'_>, Fault> {
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(Fault { line: 1, problem: Problem::Syntax(format!("longer than {MAX_DOCUMENT_BYTES} bytes")) });
    }
    DeTable::parse(text).map(Spanned::into_inner).map_err(|error| Fault {
        line: Lines::new(text).at(error.span().map_or(0, |span| span.start)),
        problem: Problem::Syntax(error.message().trim().replace('\n', "; ")),
    })
}

/// The known name nearest to an unknown one, when it is near enough to be worth saying.
pub(crate) fn nearest(unknown: &str, known: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let is_near = |distance: usize, name: &str| distance <= 3.max(name.len() / 3) && distance < name.len();
    // Texts are at least as far apart as their lengths, so a long key of a hostile file costs nothing.
    let length = unknown.chars().count();
    known
        .into_iter()
        .filter(|name| is_near(name.len().abs_diff(length), name))
        .map(|name| (strsim::damerau_levenshtein(unknown, name), name))
        .min()
        .filter(|(distance, name)| is_near(*distance, name))
        .map(|(_, name)| name)
}

/// A table of a document whose keys are all known by name.
pub(crate) struct Entries<'t, 'i> {
    table: &'t DeTable<'i>,
    lines: &'t Lines,
    /// Line of the table itself, for what is missing in it.
    line: usize,
}

impl<'t, 'i> Entries<'t, 'i> {
    /// Looks at a table; refuses every key that is not in `known`.
    pub(crate) fn new(
        table: &'t DeTable<'i>,
        line: usize,
        known: &[&'static str],
        lines: &'t Lines,
    ) -> Result<Self, Fault> {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                return Err(Fault {
                    line: lines.at(key.span().start),
                    problem: Problem::UnknownKey {
                        key: name.to_owned(),
                        nearest: nearest(name, known.iter().copied()),
                    },
                });
            }
        }
        Ok(Self { table, lines, line })
    }

    /// Line of a key's value, or of the table when it is absent.
    pub(crate) fn line_of(&self, key: &str) -> usize {
        self.table.get(key).map_or(self.line, |value| self.lines.at(value.span().start))
    }

    /// The text under a key, when the key is there.
    pub(crate) fn text(&self, key: &'static str) -> Result<Option<&'t str>, Fault> {
        self.get(key).map(|value| expect_text(key, value, self.lines)).transpose()
    }

    /// The text under a key that has to be there.
    pub(crate) fn required_text(&self, key: &'static str) -> Result<&'t str, Fault> {
        self.text(key)?.ok_or_else(|| self.missing(key))
    }

    /// The whole number under a key that has to be there.
    pub(crate) fn required_count(&self, key: &'static str) -> Result<u64, Fault> {
        let value = self.get(key).ok_or_else(|| self.missing(key))?;
        let number = value.get_ref().as_integer().and_then(|number| {
            // TOML's integers may be hexadecimal; `as_str` has neither prefix nor underscores.
            u64::from_str_radix(number.as_str(), number.radix()).ok()
        });
        number.ok_or_else(|| wrong_type(key, value, "a whole number, 0 or more", self.lines))
    }

    /// The list of texts under a key; empty when the key is absent.
    pub(crate) fn texts(&self, key: &'static str) -> Result<Vec<String>, Fault> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let Some(array) = value.get_ref().as_array() else {
            return Err(wrong_type(key, value, "a list of texts", self.lines));
        };
        array.iter().map(|item| expect_text(key, item, self.lines).map(str::to_owned)).collect()
    }

    /// The tables of an array of tables, each with its line; empty when the key is absent.
    pub(crate) fn tables(&self, key: &'static str) -> Result<Vec<(&'t DeTable<'i>, usize)>, Fault> {
        self.get(key).map_or(Ok(Vec::new()), |value| expect_tables(key, value, self.lines))
    }

    fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.table.get(key)
    }

    fn missing(&self, key: &'static str) -> Fault {
        Fault { line: self.line, problem: Problem::MissingKey { key } }
    }
}

/// The tables that an array of tables holds, each with its line.
pub(crate) fn expect_tables<'t, 'i>(
    key: &str,
    value: &'t Spanned<DeValue<'i>>,
    lines: &Lines,
) -> Result<Vec<(&'t DeTable<'i>, usize)>, Fault> {
    let refused = |item: &Spanned<DeValue<'i>>| wrong_type(key, item, "a list of tables", lines);
    let array: &DeArray<'i> = value.get_ref().as_array().ok_or_else(|| refused(value))?;
    array
        .iter()
        .map(|item| {
            let table = item.get_ref().as_table().ok_or_else(|| refused(item))?;
            Ok((table, lines.at(item.span().start)))
        })
        .collect()
}

pub(crate) fn wrong_type(key: &str, value: &Spanned<DeValue<'_>>, takes: &'static str, lines: &Lines) -> Fault {
    let got = value.get_ref().type_str();
    Fault { line: lines.at(value.span().start), problem: Problem::WrongType { key: key.to_owned(), got, takes } }
}

fn expect_text<'t>(key: &str, value: &'t Spanned<DeValue<'_>>, lines: &Lines) -> Result<&'t str, Fault> {
    value.get_ref().as_str().ok_or_else(|| wrong_type(key, value, "a text in quotes", lines))
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Syntax(message) => write!(f, "is not TOML: {message}"),
            Self::UnknownKey { key, .. } => write!(f, "has the unknown key `{}`", key.escape_debug()),
            Self::MissingKey { key } => write!(f, "lacks the key `{key}`"),
            Self::WrongType { key, got, takes } => write!(f, "has `{key}` as {got}, but it takes {takes}"),
        }
    }
}

impl Problem {
    /// One thing to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { nearest: Some(nearest), .. } => Some(format!("did you mean `{nearest}`?")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_key_and_a_long_key_costs_nothing() {
        assert_eq!(nearest("revison", ["name", "revision"]), Some("revision"));
        assert_eq!(nearest("unlike anything", ["name", "revision"]), None);
        // Its distance to a name would take 16 bytes of memory for each of its own.
        assert_eq!(nearest(&"name".repeat(4 << 20), ["name", "revision"]), None);
    }

    #[test]
    fn a_long_document_knows_its_lines() {
        let text = "a\n".repeat(500_000);
        let lines = Lines::new(&text);
        let last = (0..text.len()).map(|offset| lines.at(offset)).max();
        assert_eq!((lines.at(0), lines.at(1), lines.at(2), last), (1, 1, 2, Some(500_000)));
        assert_eq!(lines.at(usize::MAX), 500_001);
    }
}
