//! Text from hubs, files and other users of a volume, made such that it cannot steer a terminal.
//!
//! Control characters move the cursor, hide text or answer for the user; characters that turn the direction of
//! text make a name look like another. What stands in their place is [`char::REPLACEMENT_CHARACTER`].

use std::borrow::Cow;

/// The text with line ends and, if there is color, the sequences that set it, but nothing else that a terminal
/// obeys.
pub(crate) fn visible(text: &str, color: bool) -> Cow<'_, str> {
    if !text.contains(|c| c != '\n' && is_obeyed(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match color_len(rest).filter(|_| color) {
            Some(length) => {
                shown.push_str(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            None if c != '\n' && is_obeyed(c) => shown.push(char::REPLACEMENT_CHARACTER),
            None => shown.push(c),
        }
        rest = after;
    }
    Cow::Owned(shown)
}

/// The text on one line, so that it cannot look like a line of ours.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A JSON document in which such characters stand as escapes, as they may in JSON.
pub(crate) fn escaped_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        // All of them are in the basic plane, and between two texts JSON has none.
        if is_obeyed(c) { escaped.push_str(&format!("\\u{:04x}", u32::from(c))) } else { escaped.push(c) }
    }
    escaped
}

/// Control characters, and those of Unicode's bidirectional algorithm.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Length of the sequence that sets color or weight at the start of a text.
fn color_len(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\x1b[")?;
    let end = numbers.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    numbers[end..].starts_with('m').then_some("\x1b[".len() + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hub_says_cannot_steer_the_terminal() {
        let hostile = "a\u{1b}[2Jb\u{7}c\u{9b}1mx\u{202e}gpj\r!\u{1b}[31md\ne";
        assert_eq!(visible(hostile, false), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}1mx\u{fffd}gpj\u{fffd}!\u{fffd}[31md\ne");
        assert_eq!(
            visible("\u{1b}[1;31md\u{1b}[0m\u{1b}[2J\u{1b}[", true),
            "\u{1b}[1;31md\u{1b}[0m\u{fffd}[2J\u{fffd}["
        );
        assert_eq!(one_line("mit\nerror: é"), "mit\u{fffd}error: é");
    }

    #[test]
    fn json_says_the_same_in_escapes() {
        let value = serde_json::json!({"a": "\u{9b}2J\u{202e}\u{7f}\né\u{1b}"});
        let text = escaped_json(&value.to_string());
        assert!(!text.contains(is_obeyed), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("parses"), value);
    }
}
