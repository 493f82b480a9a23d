//! The front matter of a model card, as far as the Hub's listing repeats it.

use serde_json::{Map, Value};

/// Reads `key: value` lines and lists of one level between the two `---` lines at the top. All else in
/// there is left out.
pub(crate) fn front_matter(card: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    let Some(block) = card.strip_prefix("---\n").and_then(|rest| rest.split("\n---").next()) else { return fields };
    let mut open_list: Option<String> = None;
    for line in block.lines() {
        if let Some(item) = line.trim_start().strip_prefix("- ") {
            if let Some(Value::Array(list)) = open_list.as_ref().and_then(|key| fields.get_mut(key)) {
                list.push(scalar(item));
            }
            continue;
        }
        open_list = None;
        let Some((key, value)) = line.split_once(':').filter(|(key, _)| !key.starts_with([' ', '#'])) else { continue };
        let value = match value.trim() {
            "" => {
                open_list = Some(key.to_owned());
                Value::Array(Vec::new())
            }
            value => match value.strip_prefix('[').and_then(|value| value.strip_suffix(']')) {
                Some(items) => items.split(',').map(scalar).collect(),
                None => scalar(value),
            },
        };
        fields.insert(key.to_owned(), value);
    }
    fields
}

/// Tags as the Hub derives them: those of the card, its library, its task, its languages and its license.
pub(crate) fn tags(fields: &Map<String, Value>) -> Vec<String> {
    let texts = |key: &str| match fields.get(key) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let plain = ["library_name", "tags", "pipeline_tag", "language"].into_iter().flat_map(texts);
    plain.chain(texts("license").into_iter().map(|license| format!("license:{license}"))).collect()
}

fn scalar(text: &str) -> Value {
    match text.trim() {
        "true" => true.into(),
        "false" => false.into(),
        text => text.trim_matches(['"', '\'']).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_and_lists_are_read() {
        let fields =
            front_matter("---\nlicense: mit\nlanguage: [en, de]\ntags:\n- a\n- \"b\"\nextra: true\n---\n# x: y\n");
        assert_eq!(
            Value::Object(fields.clone()),
            json!({"license": "mit", "language": ["en", "de"], "tags": ["a", "b"], "extra": true})
        );
        assert_eq!(tags(&fields), ["a", "b", "en", "de", "license:mit"]);
    }

    proptest! {
        #[test]
        fn any_card_is_read(card in "(---\n)?[a-z:\\[\\], \n-]{0,80}") {
            let _ = tags(&front_matter(&card));
        }
    }
}
