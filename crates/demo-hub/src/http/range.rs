//! The `Range` header.

use std::ops::Range;

/// What a `Range` header asks for of a body of a known size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestedRange {
    /// The whole body: no header, one that cannot be read, or several ranges, which a server may ignore.
    Whole,
    /// This part.
    Part(Range<u64>),
    /// Nothing that the body has.
    Unsatisfiable,
}

/// Reads a `Range` header for a body of `size` bytes.
pub(crate) fn requested_range(header: Option<&str>, size: u64) -> RequestedRange {
    let Some((first, last)) = header.and_then(|header| header.strip_prefix("bytes=")?.split_once('-')) else {
        return RequestedRange::Whole;
    };
    let part = match (first.trim().parse::<u64>(), last.trim()) {
        (Ok(first), "") => first..size,
        (Ok(first), last) => match last.parse::<u64>() {
            Ok(last) if last >= first => first..last.saturating_add(1).min(size),
            _ => return RequestedRange::Whole,
        },
        (Err(_), last) if first.trim().is_empty() => match last.parse::<u64>() {
            Ok(0) => return RequestedRange::Unsatisfiable,
            Ok(len) => size.saturating_sub(len)..size,
            Err(_) => return RequestedRange::Whole,
        },
        (Err(_), _) => return RequestedRange::Whole,
    };
    if part.is_empty() { RequestedRange::Unsatisfiable } else { RequestedRange::Part(part) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(header: &str, size: u64, expected: RequestedRange) {
        assert_eq!(requested_range(Some(header), size), expected, "{header} of {size}");
    }

    #[test]
    fn reads_the_three_forms() {
        check("bytes=0-0", 10, RequestedRange::Part(0..1));
        check("bytes=2-5", 10, RequestedRange::Part(2..6));
        check("bytes=2-", 10, RequestedRange::Part(2..10));
        check("bytes=-3", 10, RequestedRange::Part(7..10));
        check("bytes=-30", 10, RequestedRange::Part(0..10));
        check("bytes=2-99", 10, RequestedRange::Part(2..10));
    }

    #[test]
    fn a_range_beyond_the_end_cannot_be_met() {
        check("bytes=10-", 10, RequestedRange::Unsatisfiable);
        check("bytes=0-0", 0, RequestedRange::Unsatisfiable);
        check("bytes=-0", 10, RequestedRange::Unsatisfiable);
    }

    #[test]
    fn what_cannot_be_read_is_ignored() {
        for header in ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "items=0-1", "bytes=0-1,4-5"] {
            check(header, 10, RequestedRange::Whole);
        }
        assert_eq!(requested_range(None, 10), RequestedRange::Whole);
    }

    proptest! {
        #[test]
        fn a_part_always_lies_inside_the_body(header in "bytes=[0-9]{0,20}-[0-9]{0,20}", size in any::<u64>()) {
            if let RequestedRange::Part(part) = requested_range(Some(&header), size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }
    }
}
