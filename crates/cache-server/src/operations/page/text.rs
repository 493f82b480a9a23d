//! Numbers, moments and names as the page shows them.

use jiff::Timestamp;
use speech_flow_model_types::ByteSize;

/// A size with its unit.
pub(super) fn bytes(count: u64) -> String {
    ByteSize(count).to_string()
}

/// A moment, and how long ago it was where one points at it.
pub(super) fn moment(time: Timestamp, now: Timestamp) -> String {
    element(time, &time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(), &words(time, now))
}

/// How long ago a moment was, and which it was where one points at it.
pub(super) fn ago(time: Timestamp, now: Timestamp) -> String {
    element(time, &words(time, now), &time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn element(time: Timestamp, shown: &str, title: &str) -> String {
    format!("<time datetime=\"{}\" title=\"{title}\">{shown}</time>", time.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

fn words(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - time.as_second();
    match seconds {
        ..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Text as it may stand in a page, also inside quotes.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A message, in which names stand between backticks.
pub(super) fn prose(text: &str) -> String {
    let mut shown = String::new();
    let mut parts = text.split('`').peekable();
    while let Some(part) = parts.next() {
        shown.push_str(&escape(part));
        let Some(name) = parts.next() else { break };
        // The last backtick of an odd number is one.
        if parts.peek().is_some() {
            shown.push_str(&format!("<code>{}</code>", escape(name)));
        } else {
            shown.push('`');
            shown.push_str(&escape(name));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_end_a_quote_or_begin_a_tag() {
        assert_eq!(escape("<img src='x' onerror=\"a&b\">"), "&lt;img src=&#39;x&#39; onerror=&quot;a&amp;b&quot;&gt;");
    }

    #[test]
    fn names_in_a_message_are_told_apart() {
        assert_eq!(prose("no `<a>` here, nor `b`"), "no <code>&lt;a&gt;</code> here, nor <code>b</code>");
        assert_eq!(prose("`a` and one `more"), "<code>a</code> and one `more");
        assert_eq!(prose("none"), "none");
    }

    #[test]
    fn a_moment_is_said_as_people_say_it() {
        #[track_caller]
        fn check(seconds: i64, expected: &str) {
            let time = Timestamp::from_second(1_700_000_000).expect("a moment");
            let now = Timestamp::from_second(1_700_000_000 + seconds).expect("a moment");
            assert_eq!(words(time, now), expected);
        }
        check(-5, "just now");
        check(59, "just now");
        check(60, "1 min ago");
        check(7200, "2 h ago");
        check(172_799, "47 h ago");
        check(172_800, "2 days ago");
    }
}
