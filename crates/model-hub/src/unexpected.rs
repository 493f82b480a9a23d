//! What stands in a file's place when something between here and the hub answers instead of it.

use std::fmt;

use speech_flow_model_types::{Digest, RemoteFile};

/// Content that is surely not the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unexpected {
    /// A page for people: a login, a proxy's error.
    HtmlPage,
    /// The small text that git keeps in place of a large file.
    LfsPointer,
    /// Nothing.
    EmptyBody,
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HtmlPage => "an HTML page",
            Self::LfsPointer => "a Git LFS pointer",
            Self::EmptyBody => "an empty body",
        })
    }
}

impl Unexpected {
    /// Judges the first bytes of a file that is not empty by its listing.
    pub fn judge(file: &RemoteFile, first: &[u8]) -> Option<Self> {
        if first.is_empty() {
            return Some(Self::EmptyBody);
        }
        // A repository may hold a pointer as a small file of its own, but never where the listing promises more.
        if first.starts_with(LFS_POINTER) && matches!(file.digest, Digest::Sha256(_)) {
            return Some(Self::LfsPointer);
        }
        let name = file.path.file_name().to_ascii_lowercase();
        if looks_like_html(first) && !HTML_NAMES.iter().any(|ending| name.ends_with(ending)) {
            return Some(Self::HtmlPage);
        }
        None
    }

    /// One thing to do about it.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::HtmlPage => "a proxy or a login page answers in place of the hub: check the proxy variables",
            Self::LfsPointer => "the mirror behind `HF_ENDPOINT` does not serve large files: use another one",
            Self::EmptyBody => "check the mirror behind `HF_ENDPOINT`",
        }
    }
}

/// First line of every LFS pointer.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// How HTML pages begin, in lower case.
const HTML_STARTS: [&[u8]; 2] = [b"<!doctype html", b"<html"];
/// Files that may be HTML, or begin as such.
const HTML_NAMES: [&str; 4] = [".html", ".htm", ".md", ".svg"];

/// Whether bytes begin as an HTML page does.
pub(crate) fn looks_like_html(first: &[u8]) -> bool {
    let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first).trim_ascii_start();
    HTML_STARTS.iter().any(|start| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, digest: Digest, first: &[u8], expected: Option<Unexpected>) {
        let file =
            RemoteFile { path: path.parse().unwrap(), size: 1000, digest, blob_id: "0".repeat(40), xet_hash: None };
        assert_eq!(Unexpected::judge(&file, first), expected, "{path}");
    }

    #[test]
    fn what_is_no_weight_is_named() {
        let (large, small) = (Digest::Sha256([0; 32]), Digest::GitSha1([0; 20]));
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:";
        check("model.bin", large, pointer, Some(Unexpected::LfsPointer));
        check("pointer.txt", small, pointer, None);
        check("model.bin", large, b"", Some(Unexpected::EmptyBody));
        check("model.safetensors", large, b"\n<!DOCTYPE html><p>Sign in", Some(Unexpected::HtmlPage));
        check("config.json", small, b"\xef\xbb\xbf<HTML>", Some(Unexpected::HtmlPage));
        check("README.md", small, b"<html>", None);
        check("config.json", small, b"{\"a\": \"<html>\"}", None);
        check("model.bin", large, b"<", None);
    }
}
