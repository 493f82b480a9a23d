//! The front matter of a model card (`README.md`): license and source of a model.
//!
//! Not a YAML reader: only what model cards put at the top level is understood, `key: scalar` and lists of
//! scalars in both notations. Everything else is stepped over. A card is untrusted and decides nothing, so
//! what cannot be read is left out and never an error.

/// What a model card says of its model.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ModelCard {
    /// The license's identifier, such as `apache-2.0` or `other`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The license's name, where the identifier is `other`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_name: Option<String>,
    /// Where the license's text is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_link: Option<String>,
    /// The models that this one was made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base_model: Vec<String>,
    /// The languages that it knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub language: Vec<String>,
    /// What it is for, as the Hub names tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline_tag: Option<String>,
}

/// How much of a card is looked at; the front matter of real cards has a few KiB.
const MAX_FRONT_MATTER: usize = 256 << 10;
/// Longest value and longest list that are kept.
const MAX_VALUE: usize = 512;
const MAX_ITEMS: usize = 512;

impl ModelCard {
    /// Reads a card's text. A card without front matter says nothing.
    pub fn parse(text: &str) -> Self {
        let mut card = Self::default();
        let Some(front_matter) = front_matter(text) else { return card };
        let mut key: Option<&str> = None;
        for line in front_matter.lines() {
            let content = without_comment(line);
            if let (Some(key), Some(item)) = (key, list_item(content)) {
                card.add(key, item);
            } else if let Some((name, value)) = top_level_entry(content) {
                key = Some(name);
                card.add_value(name, value);
            } else if !content.trim().is_empty() {
                // A nested map or a text over several lines; its own list items are not ours.
                key = None;
            }
        }
        card
    }

    fn add_value(&mut self, key: &str, value: &str) {
        match value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(list) => list.split(',').for_each(|item| self.add(key, item)),
            None => self.add(key, value),
        }
    }

    fn add(&mut self, key: &str, text: &str) {
        let Some(value) = scalar(text) else { return };
        match key {
            "license" => keep_first(&mut self.license, value),
            "license_name" => keep_first(&mut self.license_name, value),
            "license_link" => keep_first(&mut self.license_link, value),
            "pipeline_tag" => keep_first(&mut self.pipeline_tag, value),
            "base_model" => keep(&mut self.base_model, value),
            "language" => keep(&mut self.language, value),
            _ => {}
        }
    }
}

fn keep_first(field: &mut Option<String>, value: String) {
    field.get_or_insert(value);
}

fn keep(list: &mut Vec<String>, value: String) {
    if list.len() < MAX_ITEMS {
        list.push(value);
    }
}

/// The text between the first line `---` and the next.
fn front_matter(text: &str) -> Option<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rest = text.strip_prefix("---")?;
    let rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'))?;
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Some(&rest[..end]);
        }
        end += line.len();
        if end > MAX_FRONT_MATTER {
            break;
        }
    }
    None
}

/// `key: value` without indentation.
fn top_level_entry(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    (is_key && (value.is_empty() || value.starts_with(' '))).then(|| (key, value.trim()))
}

/// The text after `- `, at any indentation.
fn list_item(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("- ").map(str::trim)
}

/// The line up to a comment, which begins with `#` after a space.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    // A `#` inside quotes is none; the few quoted values of cards are links, where ` #` does not occur.
    line.find(" #").map_or(line, |start| &line[..start]).trim_end()
}

/// A scalar without its quotes; none for what is empty, too long or not a scalar.
fn scalar(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(text);
    let is_quoted = inner != text;
    // What these begin is a map, a list, an anchor or a text over several lines.
    let is_other = !is_quoted && inner.starts_with(['{', '[', '&', '*', '!', '|', '>', '%', '@']);
    let is_bounded = (1..=MAX_VALUE).contains(&inner.len()) && !inner.chars().any(char::is_control);
    let is_nothing = !is_quoted && matches!(inner, "null" | "~");
    (is_bounded && !is_other && !is_nothing).then(|| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_cards_of_the_fixtures() {
        let read = |model: &str| {
            let path = format!("{}/../../fixtures/{model}/README.md", env!("CARGO_MANIFEST_DIR"));
            ModelCard::parse(&std::fs::read_to_string(path).expect("the fixture"))
        };
        assert_eq!(read("tiny-lid").pipeline_tag.as_deref(), Some("audio-classification"));
        assert_eq!(read("tiny-whisper-ct2").language, ["en", "de", "es", "fr"]);
    }

    #[test]
    fn reads_both_notations_of_lists_and_scalars() {
        let card = ModelCard::parse(concat!(
            "---\n# a comment\nlicense: other # not free\nlicense_name: 'my license'\nbase_model:\n- openai/whisper-tiny\n",
            "  - b/c\nlanguage: [en, \"no\"]\nmetrics:\n- wer\nmodel-index:\n- name: x\n  results:\n  - task:\n      type: y\n",
            "pipeline_tag: automatic-speech-recognition\n---\nlicense: mit\n",
        ));
        assert_eq!(card.license.as_deref(), Some("other"));
        assert_eq!(card.license_name.as_deref(), Some("my license"));
        assert_eq!(card.base_model, ["openai/whisper-tiny", "b/c"]);
        assert_eq!(card.language, ["en", "no"]);
        assert_eq!(card.pipeline_tag.as_deref(), Some("automatic-speech-recognition"));
    }

    #[test]
    fn a_card_without_front_matter_says_nothing() {
        for text in ["", "# Model\nlicense: mit\n", "---\nlicense: mit\n", "--- \nx: y\n---\n", "---\nlicense:\n---\n"]
        {
            assert_eq!(ModelCard::parse(text), ModelCard::default(), "{text:?}");
        }
    }

    #[test]
    fn keeps_nothing_without_bounds() {
        let long = "x".repeat(MAX_VALUE + 1);
        let items = "- a\n".repeat(MAX_ITEMS + 10);
        let card = ModelCard::parse(&format!("---\nlicense: {long}\nlanguage:\n{items}---\n"));
        assert_eq!((card.license, card.language.len()), (None, MAX_ITEMS));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(---\n)?([a-z_]{1,9}: ?|- |[\\[\\]'\"#,é \n]){0,40}(---\n)?") {
            let _ = ModelCard::parse(&text);
        }
    }
}
