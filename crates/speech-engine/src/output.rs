//! Transcripts as files: plain text, SRT, WebVTT and OpenAI's verbose JSON.
//!
//! Subtitles are written as the `whisper` command writes them, and two things more: no text can end a cue or
//! start another, and WebVTT escapes what it would take for markup.

mod subtitles;
mod timestamp;
mod verbose;

pub use subtitles::{Cue, srt, vtt};
pub use verbose::{VerboseSegment, VerboseTranscript, VerboseWord};

/// The whole text, segment after segment. Segments begin with their own space, so nothing is put between them.
pub fn text<'a>(segments: impl IntoIterator<Item = &'a str>) -> String {
    let mut whole = String::new();
    segments.into_iter().for_each(|segment| whole.push_str(segment));
    whole.trim().to_owned()
}

/// One line for each segment that has text, each with its end of line.
pub fn lines<'a>(segments: impl IntoIterator<Item = &'a str>) -> String {
    let mut lines = String::new();
    for line in segments.into_iter().map(line).filter(|line| !line.is_empty()) {
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}

/// The text of one segment as one line: no space around it, and no end of line in it.
pub fn line(segment: &str) -> String {
    let mut line = String::with_capacity(segment.len());
    for part in segment.split(is_line_end).map(str::trim).filter(|part| !part.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(part);
    }
    line
}

/// Whether a reader of text takes the character for the end of a line.
fn is_line_end(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_whole_text_keeps_the_spaces_between_segments() {
        assert_eq!(text([" One.", " Two.", "Three."]), "One. Two.Three.");
        assert_eq!(text([]), "");
    }

    #[test]
    fn segments_without_text_get_no_line() {
        assert_eq!(lines([" One. ", "  ", " Two\r\n\nand three."]), "One.\nTwo and three.\n");
    }

    proptest! {
        #[test]
        fn a_segment_is_one_line_whatever_is_in_it(text in any::<String>()) {
            let line = line(&text);
            prop_assert!(!line.contains(is_line_end));
            prop_assert_eq!(line.trim(), &line);
            let kept = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(kept(&line), kept(&text));
        }
    }
}
