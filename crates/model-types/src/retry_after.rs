//! What a server says about when to come back: `Retry-After` in both its forms and the Hub's `RateLimit`.

use std::time::{Duration, SystemTime};

/// One limit of a `RateLimit` header, such as `"api";r=0;t=55`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Name of the limit, e.g. `api` or `resolvers`.
    pub name: String,
    /// Requests left in the running window.
    pub remaining: u64,
    /// Time until the window ends.
    pub reset: Duration,
}

/// Reads a `Retry-After` value, as seconds or as an HTTP date. A date that has passed means now.
///
/// Source: RFC 9110, section 10.2.3.
pub fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Some(seconds) = whole_number(value) {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

/// Reads a `RateLimit` value: one or more limits, each a name with the parameters `r` and `t`.
/// Limits that lack one of them, or that are not understood, are left out.
///
/// Source: `draft-ietf-httpapi-ratelimit-headers`, as huggingface.co sends it.
pub fn parse_rate_limit(value: &str) -> Vec<RateLimit> {
    value.split(',').filter_map(parse_limit).collect()
}

/// How long the server wants us to stay away: the longer of `Retry-After` and of the limits that are used up.
pub fn server_delay(retry_after: Option<&str>, rate_limit: Option<&str>, now: SystemTime) -> Option<Duration> {
    let by_date = retry_after.and_then(|value| parse_retry_after(value, now));
    let limits = rate_limit.map(parse_rate_limit).unwrap_or_default();
    let by_limit = limits.into_iter().filter(|limit| limit.remaining == 0).map(|limit| limit.reset).max();
    by_date.max(by_limit)
}

fn parse_limit(item: &str) -> Option<RateLimit> {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next()?.trim_matches('"').to_owned();
    let (mut remaining, mut reset) = (None, None);
    for part in parts {
        match part.split_once('=') {
            Some(("r", number)) => remaining = whole_number(number),
            Some(("t", number)) => reset = whole_number(number),
            _ => {}
        }
    }
    Some(RateLimit { name, remaining: remaining?, reset: Duration::from_secs(reset?) })
}

/// Digits only: no sign, no fraction. A number too large for the type counts as the largest.
fn whole_number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 21 October 2015, 07:28 UTC.
    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480)
    }

    #[track_caller]
    fn check(value: &str, expected: Option<u64>) {
        assert_eq!(parse_retry_after(value, noon()), expected.map(Duration::from_secs), "{value:?}");
    }

    #[test]
    fn retry_after_takes_seconds_and_dates() {
        check("0", Some(0));
        check(" 120 ", Some(120));
        check("Wed, 21 Oct 2015 07:28:12 GMT", Some(12));
        check("Wed, 21 Oct 2015 07:27:00 GMT", Some(0));
        check("99999999999999999999999", Some(u64::MAX));
        for nonsense in ["", "-1", "+5", "1.5", "soon", "Wed, 99 Oct 2015 07:28:12 GMT"] {
            check(nonsense, None);
        }
    }

    #[test]
    fn rate_limit_is_read_as_the_hub_sends_it() {
        let limits = parse_rate_limit("\"api\";r=0;t=55, \"resolvers\";r=12;t=300");
        let names: Vec<_> = limits.iter().map(|limit| (&*limit.name, limit.remaining, limit.reset.as_secs())).collect();
        assert_eq!(names, [("api", 0, 55), ("resolvers", 12, 300)]);
        assert_eq!(parse_rate_limit("\"api\";r=0"), []);
        assert_eq!(parse_rate_limit(""), []);
    }

    #[test]
    fn the_longer_of_both_headers_counts() {
        let delay =
            |retry_after, rate_limit| server_delay(retry_after, rate_limit, noon()).map(|delay| delay.as_secs());
        assert_eq!(delay(Some("3"), Some("\"api\";r=0;t=55")), Some(55));
        assert_eq!(delay(Some("90"), Some("\"api\";r=0;t=55")), Some(90));
        assert_eq!(delay(Some("3"), Some("\"api\";r=7;t=55")), Some(3), "requests are left");
        assert_eq!(delay(None, Some("\"api\";r=7;t=55")), None);
        assert_eq!(delay(None, None), None);
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_ignored(value in any::<String>()) {
            let _ = server_delay(Some(&value), Some(&value), noon());
        }

        #[test]
        fn every_date_gives_its_distance(seconds in 0_u64..4_000_000_000) {
            let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            let distance = seconds.saturating_sub(1_445_412_480);
            prop_assert_eq!(parse_retry_after(&date, noon()), Some(Duration::from_secs(distance)));
        }

        #[test]
        fn every_limit_round_trips(remaining: u32, reset: u32) {
            let limits = parse_rate_limit(&format!("\"api\";r={remaining};t={reset}"));
            prop_assert_eq!(limits.len(), 1);
            prop_assert_eq!(limits[0].remaining, u64::from(remaining));
            prop_assert_eq!(limits[0].reset, Duration::from_secs(reset.into()));
        }
    }
}
