//! Added tokens: where a text names one, it becomes that token.

use std::collections::HashMap;

use super::file::File;

/// The added tokens of a tokenizer.
#[derive(Debug)]
pub(super) struct AddedTokens {
    by_name: HashMap<String, u32>,
    /// Names of the tokens that are looked for first, and of those that are looked for in the rest; longest first.
    rounds: [Vec<(String, u32)>; 2],
    /// Sorted.
    special: Vec<u32>,
}

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// The name of an added token.
    Token(u32),
    /// Anything else.
    Text(&'a str),
}

impl AddedTokens {
    pub(super) fn new(file: &File<'_>) -> Self {
        let names = |normalized: bool| {
            let tokens = file.added_tokens.iter().filter(|token| token.normalized == normalized);
            let mut names: Vec<(String, u32)> = tokens
                .filter(|token| !token.content.is_empty())
                .map(|token| (token.content.clone().into_owned(), token.id))
                .collect();
            names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
            names
        };
        let mut special: Vec<u32> =
            file.added_tokens.iter().filter(|token| token.special).map(|token| token.id).collect();
        special.sort_unstable();
        Self {
            by_name: file.added_tokens.iter().map(|token| (token.content.clone().into_owned(), token.id)).collect(),
            rounds: [names(false), names(true)],
            special,
        }
    }

    /// The token with this name.
    pub(super) fn token(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// Whether decoding leaves `token` out.
    pub(super) fn is_special(&self, token: u32) -> bool {
        self.special.binary_search(&token).is_ok()
    }

    /// Gives the parts of `text` in order to `visit`.
    pub(super) fn split<'a>(&self, text: &'a str, mut visit: impl FnMut(Part<'a>)) {
        split_by(&self.rounds[0], text, &mut |part| match part {
            Part::Text(text) => split_by(&self.rounds[1], text, &mut visit),
            token @ Part::Token(_) => visit(token),
        });
    }
}

/// Splits at the leftmost name, and at the longest of those that start there.
fn split_by<'a>(names: &[(String, u32)], text: &'a str, visit: &mut dyn FnMut(Part<'a>)) {
    let mut text_start = 0;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some((name, token)) = names.iter().find(|(name, _)| rest.starts_with(name.as_str())) {
            if text_start < at {
                visit(Part::Text(&text[text_start..at]));
            }
            visit(Part::Token(*token));
            at += name.len();
            text_start = at;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    if text_start < text.len() {
        visit(Part::Text(&text[text_start..]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[Part<'_>]) {
        let names = [("<|en|>".to_owned(), 7), ("ab".to_owned(), 8), ("a".to_owned(), 9)];
        let mut parts = Vec::new();
        split_by(&names, text, &mut |part| parts.push(part));
        assert_eq!(parts, expected);
    }

    #[test]
    fn the_leftmost_longest_name_counts() {
        check("", &[]);
        check("x<|en|>y", &[Part::Text("x"), Part::Token(7), Part::Text("y")]);
        check("abay", &[Part::Token(8), Part::Token(9), Part::Text("y")]);
        check("ü<|en|", &[Part::Text("ü<|en|")]);
    }
}
