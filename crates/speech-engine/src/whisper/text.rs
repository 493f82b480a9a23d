//! Measures of text that decide what happens to a window, equal to Python's to the bit.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// A text without the white space at its ends, with what Python takes for white space.
///
/// That is Unicode's, and the four separators of ASCII.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character))
}

/// How many times smaller zlib makes a text; 0 for an empty one.
///
/// The number is compared with a threshold and reported, so it has to be zlib's own: other libraries write the same
/// format a few bytes shorter or longer.
pub(crate) fn compression_ratio(text: &str) -> f64 {
    let mut encoder = ZlibEncoder::new(Counter(0), Compression::new(6));
    // A counter takes every write.
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).map_or(usize::MAX, |end| end.0);
    text.len() as f64 / compressed as f64
}

/// Counts the bytes written to it.
struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_of_ascii_are_white_space() {
        assert_eq!(trim("\u{1c} a\u{a0}b \u{3000}\n"), "a\u{a0}b");
    }

    /// `len(zlib.compress(text.encode()))` of CPython with zlib 1.2.13, in `tests/goldens/zlib.json`.
    #[test]
    fn compressed_lengths_are_those_of_zlib() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/zlib.json");
        let cases: Vec<(String, usize)> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for (text, compressed) in cases {
            assert_eq!(compression_ratio(&text), text.len() as f64 / compressed as f64, "{text}");
        }
    }
}
