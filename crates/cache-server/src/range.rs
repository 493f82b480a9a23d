//! `Range`, `If-Range` and `If-None-Match`. Pure; any text is read or refused.

use std::ops::Range;

/// What a request wants of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    Whole,
    /// A part of it, not empty and inside it.
    Part(Range<u64>),
    /// Nothing that the file has.
    Unsatisfiable,
}

/// Reads `Range: bytes=…` for a file of this size. More than one range, another unit and what cannot be read
/// count as no range, which RFC 9110, section 14.2, allows.
pub(crate) fn wanted(value: Option<&str>, size: u64) -> Wanted {
    let Some((first, last)) = value.and_then(parse) else { return Wanted::Whole };
    let part = match (first, last) {
        (None, Some(suffix)) => size.saturating_sub(suffix)..if suffix == 0 { 0 } else { size },
        (Some(first), last) => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
        (None, None) => return Wanted::Whole,
    };
    if part.start < part.end { Wanted::Part(part) } else { Wanted::Unsatisfiable }
}

fn parse(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| match text.trim() {
        "" => Some(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(Some(digits.parse().unwrap_or(u64::MAX))),
        _ => None,
    };
    let (first, last) = (number(first)?, number(last)?);
    match (first, last) {
        (None, None) => None,
        (Some(first), Some(last)) if first > last => None,
        both => Some(both),
    }
}

/// Whether a list of ETags has this one, or any.
pub(crate) fn names_etag(value: &str, etag: &str) -> bool {
    value.split(',').map(str::trim).any(|one| one == "*" || bare(one) == etag)
}

/// Whether the range counts: the client's other parts are of this content.
pub(crate) fn is_same(if_range: Option<&str>, etag: &str) -> bool {
    if_range.is_none_or(|value| value.trim() == format!("\"{etag}\""))
}

fn bare(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Wanted) {
        assert_eq!(wanted(Some(value), 100), expected, "{value}");
    }

    #[test]
    fn ranges_are_read_as_clients_write_them() {
        check("bytes=0-0", Wanted::Part(0..1));
        check("bytes=10-", Wanted::Part(10..100));
        check("bytes=10-1000", Wanted::Part(10..100));
        check("bytes=-10", Wanted::Part(90..100));
        check("bytes=-1000", Wanted::Part(0..100));
        check("bytes=100-", Wanted::Unsatisfiable);
        check("bytes=-0", Wanted::Unsatisfiable);
        check("bytes=99999999999999999999999-", Wanted::Unsatisfiable);
        check("bytes=0-1,5-6", Wanted::Whole);
        check("bytes=9-5", Wanted::Whole);
        check("items=0-1", Wanted::Whole);
        check("bytes=-", Wanted::Whole);
        assert_eq!(wanted(None, 100), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn etags_are_found_in_any_form() {
        for value in ["\"abc\"", "W/\"abc\"", "abc", "\"x\", \"abc\"", "*"] {
            assert!(names_etag(value, "abc"), "{value}");
        }
        assert!(!names_etag("\"abcd\"", "abc"));
        assert!(is_same(Some("\"abc\""), "abc") && is_same(None, "abc") && !is_same(Some("W/\"abc\""), "abc"));
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_always_inside(value in "(bytes=)?[0-9,-]{0,12}", size in 0_u64..1000) {
            if let Wanted::Part(part) = wanted(Some(&value), size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }
    }
}
