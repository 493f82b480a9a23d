//! What an expression of PromQL asks for: metrics, and the labels that it matches and groups by. No parser: enough of
//! one for the expressions of this project, and Prometheus itself says whether they parse.

use std::collections::BTreeSet;

/// Words of the language that look like names of metrics.
const WORDS: &[&str] = &[
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "offset",
    "bool",
    "inf",
    "nan",
];

/// A metric with the matchers of its labels: label, operator, value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    pub(crate) matchers: Vec<[String; 3]>,
}

/// What an expression asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) selectors: BTreeSet<Selector>,
    /// Labels of `by`, `on` and their like.
    pub(crate) groupings: BTreeSet<String>,
}

/// Reads an expression.
pub(crate) fn read(expression: &str) -> Asked {
    let mut asked = Asked::default();
    let mut rest = expression;
    let mut is_grouping = false;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_alphabetic() || matches!(first, '_' | ':') {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | ':')).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after.trim_start();
            is_grouping = ["by", "without", "on", "ignoring", "group_left", "group_right"].contains(&word);
            // A function, or an aggregation, which may say first what it groups by.
            let is_call = rest.starts_with('(') || rest.starts_with("by ") || rest.starts_with("without ");
            if !WORDS.contains(&word) && !is_call {
                let (matchers, after) = matchers(rest);
                asked.selectors.insert(Selector { metric: word.to_owned(), matchers });
                rest = after;
            }
        } else if first == '(' && is_grouping {
            let end = rest.find(')').expect("a list ends");
            let labels = rest[1..end].split(',').map(|label| label.trim().to_owned());
            asked.groupings.extend(labels.filter(|label| !label.is_empty()));
            (rest, is_grouping) = (&rest[end..], false);
        } else if first == '"' {
            rest = after_text(rest);
        } else if first == '[' {
            rest = &rest[rest.find(']').expect("a range ends")..];
        } else if first.is_ascii_digit() {
            // A number, or a time such as `1h`.
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    asked
}

/// The matchers in braces, if there are any, and what comes after them.
fn matchers(text: &str) -> (Vec<[String; 3]>, &str) {
    let mut matchers = Vec::new();
    let Some(mut rest) = text.strip_prefix('{') else { return (matchers, text) };
    loop {
        rest = rest.trim_start_matches([',', ' ', '\n']);
        if let Some(after) = rest.strip_prefix('}') {
            return (matchers, after);
        }
        let quote = rest.find('"').expect("a matcher has a value");
        let (label, operator) = rest[..quote].split_at(rest.find(['=', '!']).expect("a matcher has an operator"));
        let after = after_text(&rest[quote..]);
        let value = &rest[quote + 1..rest.len() - after.len() - 1];
        matchers.push([label.trim().to_owned(), operator.trim().to_owned(), value.to_owned()]);
        rest = after;
    }
}

/// What comes after a text in quotes.
fn after_text(text: &str) -> &str {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    panic!("a text does not end in `{text}`");
}

#[test]
fn metrics_matchers_and_groupings_are_found() {
    let asked = read(
        r#"1 - sum by (job, le) (rate(a_bucket{le=~"1(\\.0)?",x!="{}"}[5m])) / on(job) group_left b:c offset 1h > 2 * 3600
           unless label_replace(d, "limit", "e", "", "")"#,
    );
    let metrics: Vec<_> = asked.selectors.iter().map(|selector| selector.metric.as_str()).collect();
    assert_eq!(metrics, ["a_bucket", "b:c", "d"]);
    let first = asked.selectors.first().expect("one");
    assert_eq!(
        first.matchers,
        [["le", "=~", r"1(\\.0)?"], ["x", "!=", "{}"]].map(|matcher| matcher.map(str::to_owned))
    );
    assert_eq!(asked.groupings.iter().collect::<Vec<_>>(), ["job", "le"]);
}
