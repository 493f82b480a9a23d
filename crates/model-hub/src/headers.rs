//! Parsers of the header values that a download depends on. Pure; any text is read or refused.

use std::ops::Range;

use url::Url;

/// A `Content-Range` with its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentRange {
    /// The bytes that the body holds; not empty.
    pub range: Range<u64>,
    /// Length of the whole, where the server knows it.
    pub total: Option<u64>,
}

/// Reads `bytes 0-99/1000` or `bytes 0-99/*`.
///
/// Source: RFC 9110, section 14.4. The form for a range that cannot be satisfied is no answer to use.
pub fn parse_content_range(value: &str) -> Option<ContentRange> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let total = if total == "*" { None } else { Some(number(total)?) };
    let end = last.checked_add(1)?;
    let consistent = first <= last && total.is_none_or(|total| end <= total);
    consistent.then_some(ContentRange { range: first..end, total })
}

/// The address of the next page in a `Link` header: the one whose `rel` holds `next`.
///
/// Source: RFC 8288, section 3.
pub fn parse_next_link(value: &str) -> Option<&str> {
    let mut rest = value;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (address, after) = after.split_once('>')?;
        // Parameters reach to the next `<`; a `<` inside a quoted parameter does not occur on a hub.
        let parameters = after.split('<').next().unwrap_or_default();
        if parameters.split([';', ',']).any(is_next) {
            return Some(address.trim());
        }
        rest = after;
    }
}

fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
    name.trim().eq_ignore_ascii_case("rel") && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
}

/// The next page's address, if it stands on the page's own origin; a listing leads nowhere else, and does not say
/// as whom we log in there.
pub fn next_page(page: &Url, link: &str) -> Option<Url> {
    let mut next = page.join(link).ok().filter(|next| next.origin() == page.origin())?;
    next.set_username(page.username()).ok()?;
    next.set_password(page.password()).ok()?;
    Some(next)
}

/// An ETag without the marks of weakness and quotation, as the Hub's own clients compare it.
pub fn bare_etag(value: &str) -> &str {
    let value = value.trim();
    value.strip_prefix("W/").unwrap_or(value).trim_matches('"')
}

/// The ETag as `If-Range` may repeat it: strong, and quoted.
pub(crate) fn strong_etag(value: &str) -> Option<&str> {
    let value = value.trim();
    (value.len() > 2 && value.starts_with('"') && value.ends_with('"')).then_some(value)
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn content_range_is_read_or_refused() {
        let some = |range, total| Some(ContentRange { range, total });
        for (value, expected) in [
            ("bytes 0-0/1", some(0..1, Some(1))),
            ("bytes 10-19/100", some(10..20, Some(100))),
            ("bytes 10-19/*", some(10..20, None)),
            ("bytes */100", None),
            ("bytes 19-10/100", None),
            ("bytes 0-100/100", None),
            ("bytes 0-18446744073709551615/*", None),
            ("bytes +1-2/3", None),
            ("items 0-1/2", None),
            ("", None),
        ] {
            assert_eq!(parse_content_range(value), expected, "{value:?}");
        }
    }

    #[test]
    fn the_next_link_is_found_among_others() {
        for (value, expected) in [
            ("<https://h/x?cursor=a>; rel=\"next\"", Some("https://h/x?cursor=a")),
            ("</x?a=1,2>; rel=next", Some("/x?a=1,2")),
            ("<a>; rel=\"prev\", <b>; title=\"t\"; rel=\"last next\"", Some("b")),
            ("<a>; rel=\"xet-auth\"", None),
            ("<a>; relation=next", None),
            ("next", None),
            ("<a", None),
        ] {
            assert_eq!(parse_next_link(value), expected, "{value:?}");
        }
    }

    #[test]
    fn a_next_page_stays_on_its_origin() {
        let page: Url = "https://h.example/api/models/a/b/tree/main".parse().unwrap();
        assert!(next_page(&page, "?cursor=2").is_some());
        assert!(next_page(&page, "https://h.example/other").is_some());
        for elsewhere in ["http://h.example/x", "https://evil.example/x", "//evil.example/x", "https://h.example:444/"]
        {
            assert_eq!(next_page(&page, elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_next_page_keeps_the_login_of_the_page() {
        for (page, link) in
            [("https://h.example/a", "https://x:y@h.example/b"), ("https://u:p@h.example/a", "//h.example/b")]
        {
            let page: Url = page.parse().unwrap();
            let next = next_page(&page, link).unwrap();
            assert_eq!((next.username(), next.password()), (page.username(), page.password()), "{link}");
        }
    }

    #[test]
    fn etags_lose_their_marks() {
        for value in ["abc", "\"abc\"", "W/\"abc\"", " \"abc\" "] {
            assert_eq!(bare_etag(value), "abc");
        }
        assert_eq!(strong_etag("\"abc\""), Some("\"abc\""));
        assert_eq!(strong_etag("W/\"abc\""), None);
        assert_eq!(strong_etag("abc"), None);
    }

    proptest! {
        #[test]
        fn content_ranges_round_trip(start in 0_u64..1 << 60, length in 1_u64..1 << 60, more in 0_u64..1 << 60) {
            let (end, total) = (start + length, start + length + more);
            let parsed = parse_content_range(&format!("bytes {start}-{}/{total}", end - 1));
            prop_assert_eq!(parsed, Some(ContentRange { range: start..end, total: Some(total) }));
        }

        #[test]
        fn any_text_is_read_or_refused(value in any::<String>()) {
            let _ = parse_content_range(&value);
            let _ = parse_next_link(&value);
            let _ = strong_etag(bare_etag(&value));
        }

        #[test]
        fn link_soup_ends(value in "[<>;,=\" a-z]{0,60}") {
            let _ = parse_next_link(&value);
        }
    }
}
