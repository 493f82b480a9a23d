//! How a text is cut before its bytes are merged: no token reaches over such a cut.
//!
//! Source: GPT-2's pattern, `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`, whose
//! alternatives are tried in this order.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// English endings that are pieces of their own.
const ENDINGS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

/// Kinds of characters that stay together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Number,
    Space,
    Other,
}

fn kind_of(character: char) -> Kind {
    if character.is_whitespace() {
        return Kind::Space;
    }
    match character.general_category_group() {
        GeneralCategoryGroup::Letter => Kind::Letter,
        GeneralCategoryGroup::Number => Kind::Number,
        _ => Kind::Other,
    }
}

/// The pieces of `text`, in order and without a gap.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(piece_length(rest));
        rest = after;
        Some(piece)
    })
}

/// Bytes of the piece with which a text begins. The text is not empty.
fn piece_length(text: &str) -> usize {
    if let Some(ending) = ENDINGS.iter().find(|ending| text.starts_with(**ending)) {
        return ending.len();
    }
    let lead = usize::from(text.starts_with(' '));
    if let Some(kind) = text[lead..].chars().next().map(kind_of).filter(|kind| *kind != Kind::Space) {
        return lead + run_length(&text[lead..], kind);
    }
    let spaces = run_length(text, Kind::Space);
    let last = text[..spaces].chars().next_back().map_or(0, char::len_utf8);
    // The last space before a word belongs to the word, unless it is the only one.
    if spaces == text.len() || spaces == last { spaces } else { spaces - last }
}

/// Bytes of the characters of `kind` with which a text begins.
fn run_length(text: &str, kind: Kind) -> usize {
    text.find(|character| kind_of(character) != kind).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(split(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn words_take_the_space_before_them() {
        check("Hello world", &["Hello", " world"]);
        check(" 12 apples!?", &[" 12", " apples", "!?"]);
        check("äöü中文 ①²", &["äöü中文", " ①²"]);
    }

    #[test]
    fn endings_are_pieces() {
        check("it's we'LL", &["it", "'s", " we", "'", "LL"]);
        check("''s", &["''", "s"]);
        check(" 's", &[" '", "s"]);
    }

    #[test]
    fn runs_of_spaces_leave_one_to_the_word() {
        check("a   b", &["a", "  ", " b"]);
        check("a\n\nb", &["a", "\n", "\n", "b"]);
        check("a  ", &["a", "  "]);
        check("a\tb", &["a", "\t", "b"]);
        check("a \u{3000}b", &["a", " ", "\u{3000}", "b"]);
    }

    #[test]
    fn combining_marks_are_not_letters() {
        check("e\u{301}x", &["e", "\u{301}", "x"]);
    }
}
