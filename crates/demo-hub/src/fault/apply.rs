//! What an action changes in a request, an answer and its way over the wire.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use super::{Action, RetryAfter};
use crate::http::{Body, Request, Response, Wire};

const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in to the network</title></head>\
                          <body><h1>Sign in to the network</h1></body></html>\n";

/// Changes what is asked for; `false` when the action leaves the request as it is.
pub(crate) fn change_request(action: &Action, request: &mut Request) -> bool {
    let ignores_range = matches!(action, Action::IgnoreRange);
    if ignores_range {
        request.headers.retain(|(name, _)| name != "range");
    }
    ignores_range
}

/// Changes the true answer and how it is sent. `pointer` is the LFS pointer of the file asked for, when it has one.
pub(crate) fn change_response(
    action: Action,
    request: &Request,
    mut response: Response,
    pointer: Option<&str>,
) -> (Response, Wire) {
    let mut wire = Wire::default();
    match action {
        Action::Status { status, retry_after, headers, error_code, message } => {
            response = refusal(status, retry_after, headers, error_code.as_deref(), message.as_deref());
        }
        Action::CutAfter { bytes } => wire.cut_after = Some(bytes),
        Action::FlipByte { offset } => wire.flip = Some(offset),
        Action::StallAfter { bytes, resume_after_ms } => {
            wire.stall_after = Some((bytes, resume_after_ms.map(Duration::from_millis)));
        }
        Action::Slow { bytes_per_second } => wire.bytes_per_second = Some(bytes_per_second.max(1)),
        Action::Delay { ms } => wire.delay = Some(Duration::from_millis(ms)),
        Action::Drop => wire.drop = true,
        Action::WrongLength { by } => {
            wire.declared_length = Some(response.body.len().saturating_add_signed(by));
        }
        Action::ChangedEtag { etag } => change_etag(&mut response, etag.as_deref()),
        Action::IgnoreRange => {}
        Action::WrongRange { shift } => shift_range(&mut response, shift),
        Action::Redirect { to } => {
            let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
            let location = format!("{}{}{query}", to.trim_end_matches('/'), request.path);
            response = Response::text(302, "text/plain; charset=utf-8", format!("Found. Redirecting to {location}"))
                .with("Location", location);
        }
        Action::HtmlPage => response = Response::text(200, "text/html; charset=utf-8", LOGIN_PAGE),
        Action::LfsPointer => {
            if let Some(pointer) = pointer {
                replace_body(&mut response, pointer.to_owned());
            }
        }
        Action::EmptyBody => replace_body(&mut response, String::new()),
        Action::Body { content_type, body } => {
            replace_body(&mut response, body);
            response.set("Content-Type", content_type);
        }
        Action::Headers { set, remove } => {
            for name in remove {
                response.remove(&name);
            }
            for (name, value) in set {
                response.set(&name, value);
            }
        }
    }
    (response, wire)
}

fn refusal(
    status: u16,
    retry_after: Option<RetryAfter>,
    headers: Vec<(String, String)>,
    error_code: Option<&str>,
    message: Option<&str>,
) -> Response {
    let message = message.map_or_else(|| format!("injected status {status}"), str::to_owned);
    let mut response = Response::error(status, error_code, &message);
    match retry_after {
        Some(RetryAfter::Seconds(seconds)) => response.set("Retry-After", seconds.to_string()),
        Some(RetryAfter::DateIn(seconds)) => {
            let date = SystemTime::now() + Duration::from_secs(seconds);
            response.set("Retry-After", httpdate::fmt_http_date(date));
        }
        None => {}
    }
    for (name, value) in headers {
        response.set(&name, value);
    }
    response
}

/// Gives another body of full length; what was said of a range no longer holds.
fn replace_body(response: &mut Response, body: String) {
    response.status = 200;
    response.remove("Content-Range");
    response.body = Body::Bytes(body.into());
}

fn change_etag(response: &mut Response, etag: Option<&str>) {
    for name in ["ETag", "X-Linked-ETag"] {
        if let Some(true_etag) = response.header(name) {
            let zeros = "0".repeat(true_etag.trim_matches('"').len());
            response.set(name, format!("\"{}\"", etag.unwrap_or(&zeros)));
        }
    }
}

/// Moves the range of a `206` and says so in `Content-Range`, as far as the file allows.
fn shift_range(response: &mut Response, shift: i64) {
    let Body::Content(content, range) = &response.body else { return };
    if response.status != 206 {
        return;
    }
    let size = content.size();
    let moved = shifted(range, shift, size);
    let value = format!("bytes {}-{}/{size}", moved.start, moved.end.saturating_sub(1));
    response.body = Body::Content(content.clone(), moved);
    response.set("Content-Range", value);
}

fn shifted(range: &Range<u64>, shift: i64, size: u64) -> Range<u64> {
    let start = range.start.saturating_add_signed(shift).min(size.saturating_sub(1));
    start..range.end.saturating_add_signed(shift).clamp(start + 1, size.max(start + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shifted_range_stays_inside_the_file_and_is_never_empty() {
        assert_eq!(shifted(&(0..10), 5, 100), 5..15);
        assert_eq!(shifted(&(90..100), 5, 100), 95..100);
        assert_eq!(shifted(&(90..100), 500, 100), 99..100);
        assert_eq!(shifted(&(0..10), -5, 100), 0..5);
        assert_eq!(shifted(&(0..3), -5, 100), 0..1);
    }
}
