//! SRT and WebVTT.
//!
//! Source: `WriteSRT` and `WriteVTT` in `whisper/utils.py`; the WebVTT cue text of
//! <https://www.w3.org/TR/webvtt1/#webvtt-cue-text>. SRT has no escapes: there an arrow is shortened.

use super::line;
use super::timestamp::{TimeStyle, timestamp};
use crate::whisper::Segment;

const SRT: TimeStyle = TimeStyle { always_hours: true, decimal_mark: ',' };
const VTT: TimeStyle = TimeStyle { always_hours: false, decimal_mark: '.' };

/// Text and when it is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cue<'a> {
    /// When it appears, in seconds.
    pub start: f64,
    /// When it goes, in seconds.
    pub end: f64,
    /// What is said; ends of lines in it become spaces.
    pub text: &'a str,
}

impl<'a> From<&'a Segment> for Cue<'a> {
    fn from(segment: &'a Segment) -> Self {
        Self { start: segment.start, end: segment.end, text: &segment.text }
    }
}

/// Subtitles in SRT. A cue without text is left out.
pub fn srt<'a>(cues: impl IntoIterator<Item = Cue<'a>>) -> String {
    let mut file = String::new();
    let cues = cues.into_iter().map(|cue| (cue, short_arrows(&line(cue.text)))).filter(|(_, text)| !text.is_empty());
    for (index, (cue, text)) in cues.enumerate() {
        file.push_str(&format!("{}\n{}\n{text}\n\n", index + 1, times(&cue, SRT)));
    }
    file
}

/// Subtitles in WebVTT. A cue without text is left out.
pub fn vtt<'a>(cues: impl IntoIterator<Item = Cue<'a>>) -> String {
    let mut file = "WEBVTT\n\n".to_owned();
    let cues = cues.into_iter().map(|cue| (cue, escaped(&line(cue.text)))).filter(|(_, text)| !text.is_empty());
    for (cue, text) in cues {
        file.push_str(&format!("{}\n{text}\n\n", times(&cue, VTT)));
    }
    file
}

/// A cue that would end before it starts ends when it starts.
fn times(cue: &Cue<'_>, style: TimeStyle) -> String {
    format!("{} --> {}", timestamp(cue.start, style), timestamp(cue.end.max(cue.start), style))
}

/// The text with `->` for each longer arrow, so that no line can pass for the times of a cue.
fn short_arrows(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        while character == '>' && shown.ends_with("--") {
            shown.pop();
        }
        shown.push(visible(character));
    }
    shown
}

/// The text as WebVTT has it between tags.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            _ => shown.push(visible(character)),
        }
    }
    shown
}

/// Readers replace the character that ends strings in C.
fn visible(character: char) -> char {
    if character == '\0' { char::REPLACEMENT_CHARACTER } else { character }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const CUES: [Cue<'static>; 3] = [
        Cue { start: 0.0, end: 2.48, text: " The green key is under the table." },
        Cue { start: 2.48, end: 3.0, text: "  " },
        Cue { start: 3_600.0, end: 3_601.5, text: " Fish & chips --> <b>\n\nbold</b>" },
    ];

    #[test]
    fn srt_is_as_whisper_writes_it() {
        let expected = "1\n00:00:00,000 --> 00:00:02,480\nThe green key is under the table.\n\n\
                        2\n01:00:00,000 --> 01:00:01,500\nFish & chips -> <b> bold</b>\n\n";
        assert_eq!(srt(CUES), expected);
    }

    #[test]
    fn vtt_is_as_whisper_writes_it_and_escaped() {
        let expected = "WEBVTT\n\n00:00.000 --> 00:02.480\nThe green key is under the table.\n\n\
                        01:00:00.000 --> 01:00:01.500\nFish &amp; chips --&gt; &lt;b&gt; bold&lt;/b&gt;\n\n";
        assert_eq!(vtt(CUES), expected);
    }

    #[test]
    fn no_cues_are_a_file_all_the_same() {
        assert_eq!(srt([]), "");
        assert_eq!(vtt([]), "WEBVTT\n\n");
    }

    #[test]
    fn arrows_of_any_length_are_shortened() {
        assert_eq!(short_arrows("a --> b ----> c -> d >> e -- f"), "a -> b -> c -> d >> e -- f");
    }

    /// Texts with much of what could break a file.
    fn text() -> impl Strategy<Value = String> {
        vec(prop_oneof![Just('-'), Just('>'), Just('<'), Just('&'), Just('\n'), Just('\r'), any::<char>()], 0..40)
            .prop_map(String::from_iter)
    }

    fn cues() -> impl Strategy<Value = Vec<(f64, f64, String)>> {
        vec((-1.0..400_000.0, -1.0..400_000.0, text()), 0..6)
    }

    fn as_cues(cues: &[(f64, f64, String)]) -> impl Iterator<Item = Cue<'_>> {
        cues.iter().map(|(start, end, text)| Cue { start: *start, end: *end, text })
    }

    proptest! {
        #[test]
        fn a_reader_finds_as_many_cues_as_have_text(cues in cues()) {
            let shown = as_cues(&cues).filter(|cue| !line(cue.text).is_empty()).count();
            for file in [srt(as_cues(&cues)), vtt(as_cues(&cues))] {
                let arrows = file.lines().filter(|line| line.contains("-->")).count();
                prop_assert_eq!(arrows, shown, "{}", file);
                prop_assert_eq!(file.matches("-->").count(), shown);
            }
            // Each cue of SRT is a number, times, one line of text, and an empty line.
            let file = srt(as_cues(&cues));
            let blocks: Vec<&str> = file.split_terminator("\n\n").collect();
            prop_assert_eq!(blocks.len(), shown);
            for (index, block) in blocks.iter().enumerate() {
                let lines: Vec<&str> = block.split('\n').collect();
                prop_assert_eq!(lines.len(), 3);
                prop_assert_eq!(lines[0], (index + 1).to_string());
                prop_assert!(lines[1].contains(" --> "));
            }
        }

        #[test]
        fn vtt_text_reads_back(text in text()) {
            let file = vtt([Cue { start: 0.0, end: 1.0, text: &text }]);
            let shown = file.lines().nth(3).unwrap_or_default();
            prop_assert!(!shown.contains(['<', '>']));
            let read = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            prop_assert_eq!(read, line(&text).replace('\0', "\u{fffd}"));
        }
    }
}
