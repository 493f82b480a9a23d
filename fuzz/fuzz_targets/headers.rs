//! Header values that steer a download: `Link`, `Content-Range`, `ETag`, `Retry-After`, `RateLimit`.

#![no_main]

use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::bounded;
use speech_flow_model_hub::headers::{bare_etag, next_page, parse_content_range, parse_next_link};
use speech_flow_model_types::retry_after::{parse_rate_limit, parse_retry_after, server_delay};
use speech_flow_model_types::{Backoff, Failure, Retry, RetryPolicy};
use url::Url;

fuzz_target!(|text: &str| {
    // Two headers of one answer.
    let (first, second) = text.split_once('\n').unwrap_or((text, text));
    bounded(text.len(), 64, || {
        check_content_range(first);
        check_link(first);
        check_etag(first);
        check_delays(first, second);
    });
});

fn check_content_range(value: &str) {
    let Some(parsed) = parse_content_range(value) else { return };
    let range = parsed.range.clone();
    assert!(range.start < range.end);
    assert!(parsed.total.is_none_or(|total| range.end <= total));
    let total = parsed.total.map_or("*".to_owned(), |total| total.to_string());
    assert_eq!(parse_content_range(&format!("bytes {}-{}/{total}", range.start, range.end - 1)), Some(parsed));
}

fn check_link(value: &str) {
    let Some(link) = parse_next_link(value) else { return };
    assert!(value.contains(link) && !link.contains('>'));
    assert_eq!(parse_next_link(&format!("<{link}>; rel=\"next\"")), Some(link));
    for page in ["https://hub.example/api/models/a/b/tree/main", "http://127.0.0.1:8080/hub/api/models/a/tree/x?y=z"] {
        let page: Url = page.parse().expect("an address");
        if let Some(next) = next_page(&page, link) {
            assert_eq!(next.origin(), page.origin());
            assert!(next.username().is_empty() && next.password().is_none(), "{next} logs in");
        }
    }
}

fn check_etag(value: &str) {
    let bare = bare_etag(value);
    assert!(value.contains(bare));
    assert!(!bare.starts_with('"') && !bare.ends_with('"'));
    if !bare.starts_with("W/") && bare.trim() == bare {
        assert_eq!(bare_etag(&format!("W/\"{bare}\"")), bare);
    }
}

fn check_delays(retry_after: &str, rate_limit: &str) {
    // A second inside the range of dates.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480);
    let asked = parse_retry_after(retry_after, now);
    if let Some(delay) = asked {
        assert_eq!(parse_retry_after(&delay.as_secs().to_string(), now), Some(delay));
    }
    let limits = parse_rate_limit(rate_limit);
    for limit in &limits {
        let text = format!("\"{}\";r={};t={}", limit.name, limit.remaining, limit.reset.as_secs());
        assert_eq!(parse_rate_limit(&text), std::slice::from_ref(limit));
    }
    let delay = server_delay(Some(retry_after), Some(rate_limit), now);
    assert!(delay >= asked);
    // No header makes a client wait for longer than it is willing to.
    let policy = RetryPolicy::default();
    if let Retry::After(wait) = Backoff::new(policy).failed(Failure::Transient(delay), 1.0) {
        assert!(wait <= policy.server_cap + policy.base_delay);
        assert!(wait >= delay.unwrap_or_default());
    }
}
