//! What a file really is, from its first bytes.

use std::io::{self, Read, Seek, SeekFrom};

/// Something that stands under a model file's name and is no model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Lookalike {
    /// No byte at all.
    #[error("empty")]
    Empty,
    /// A page, as a proxy or a login form answers.
    #[error("an HTML or XML page, not a model file")]
    Html,
    /// Git LFS's stand-in for a file.
    #[error("a Git LFS pointer, not the file that it points to")]
    LfsPointer,
    /// An answer in JSON where weights should be.
    #[error("a JSON message, not weights")]
    JsonMessage,
    /// Python's pickle, bare or in PyTorch's ZIP; loading it runs its code.
    #[error("a Python pickle; pickled weights are never loaded")]
    Pickle,
}

/// How many first bytes are looked at.
pub const SNIFFED_BYTES: usize = 512;
/// Longer files are no answers of a proxy: a model's file may begin with any bytes.
const LONGEST_PAGE: u64 = 4 << 20;
/// Longest LFS pointer. Source: git-lfs `docs/spec.md`, "less than 1024 bytes".
const LONGEST_POINTER: u64 = 1024;

/// Names what the bytes are, when they are no model file of any format that we load.
///
/// `len` is the whole file's length. JSON is no lookalike here, since some model files are JSON;
/// [`is_json_message`] tells it apart where weights are expected.
pub fn sniff(head: &[u8], len: u64) -> Option<Lookalike> {
    if len == 0 {
        return Some(Lookalike::Empty);
    }
    if len < LONGEST_POINTER && head.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Some(Lookalike::LfsPointer);
    }
    if is_pickle(head) {
        return Some(Lookalike::Pickle);
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let is_page = ["<!doctype", "<html", "<?xml", "<head", "<body"]
        .iter()
        .any(|tag| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes())));
    (is_page && len <= LONGEST_PAGE).then_some(Lookalike::Html)
}

/// Whether a file that should hold weights holds a JSON text instead.
pub fn is_json_message(head: &[u8], len: u64) -> bool {
    // The cut may go through a character; only bytes that no text has are a sign of weights.
    let is_text = |start: &[u8]| std::str::from_utf8(start).map_or_else(|error| error.error_len().is_none(), |_| true);
    len <= LONGEST_PAGE && head.trim_ascii_start().starts_with(b"{") && is_text(&head[..head.len().min(64)])
}

/// PyTorch writes a ZIP (`PK\3\4`); older ones a bare pickle of protocol 2 to 5 (`\x80` and the number).
///
/// A CTranslate2 model begins with a small number in four bytes and a safetensors file with a length whose
/// second byte is seldom 2 to 5 and whose first is seldom `\x80`; for those, the opcode after it decides.
fn is_pickle(head: &[u8]) -> bool {
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return true;
    }
    // Opcodes that begin a pickle: FRAME, EMPTY_DICT, EMPTY_LIST, EMPTY_TUPLE, MARK, GLOBAL, BINUNICODE,
    // SHORT_BINUNICODE, LONG1 (PyTorch's magic number), BINPUT. Source: Python's `pickletools`.
    matches!(head, [0x80, 2..=5, opcode, ..] if b"\x95}])(cX\x8c\x8aq".contains(opcode))
        // A safetensors header's length has zeros here, and `{` at the ninth byte.
        && !matches!(head, [_, _, _, _, _, 0, 0, 0, b'{', ..])
}

/// [`sniff`] on a file, which is then at its start again.
///
/// # Errors
/// The file's own errors.
pub fn sniff_file(file: &mut (impl Read + Seek), len: u64) -> io::Result<Option<Lookalike>> {
    let head = read_head(file)?;
    Ok(sniff(&head, len))
}

/// The first bytes of a file, which is then at its start again.
///
/// # Errors
/// The file's own errors.
pub fn read_head(file: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(SNIFFED_BYTES);
    file.by_ref().take(SNIFFED_BYTES as u64).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Option<Lookalike>) {
        assert_eq!(sniff(bytes, bytes.len() as u64), expected, "{}", bytes.escape_ascii());
    }

    #[test]
    fn names_what_stands_under_a_models_name() {
        check(b"", Some(Lookalike::Empty));
        check(b"<!DOCTYPE html><html>", Some(Lookalike::Html));
        check(b"\n  <HTML><body>Sign in", Some(Lookalike::Html));
        check(b"<?xml version='1.0'?><Error><Code>AccessDenied", Some(Lookalike::Html));
        check(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", Some(Lookalike::LfsPointer));
        check(b"PK\x03\x04\0\0archive/data.pkl", Some(Lookalike::Pickle));
        check(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", Some(Lookalike::Pickle));
        check(b"\x80\x04\x95\x10\0\0\0\0\0\0\0}", Some(Lookalike::Pickle));
    }

    #[test]
    fn a_message_may_be_in_any_language() {
        for padding in 0..8 {
            let message = format!("{{\"error\": \"{}{}\"}}", " ".repeat(padding), "\u{e9}".repeat(40));
            assert!(is_json_message(message.as_bytes(), message.len() as u64), "{message}");
        }
        assert!(!is_json_message(b"{\"a\xff\xfe", 5));
    }

    #[test]
    fn leaves_model_files_alone() {
        check(b"\x06\0\0\0\x0c\0WhisperSpec\0", None);
        check(b"\x80\x02\x28\0\0\0\0\0{\"a\":1}", None);
        check(b"P(\0\0\0\0\0\0{\"__metadata__\":{}}", None);
        check(b"{\"model_type\":\"wav2vec2\"}", None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), len in any::<u64>()) {
            let _ = sniff(&bytes, len);
            let _ = is_json_message(&bytes, len);
        }
    }
}
