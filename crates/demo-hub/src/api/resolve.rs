//! Files at the hub: small ones are sent, large ones are at the second port.

use std::sync::Arc;

use super::{cdn, commit_at, no_entry};
use crate::catalog::Want;
use crate::http::{Body, Request, RequestedRange, Response, requested_range};
use crate::hub::Shared;
use crate::repository::{Commit, Entry};

/// The file that is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) repo: &'a str,
    pub(super) revision: &'a str,
    pub(super) path: &'a str,
    /// The request followed the hub's redirect to itself.
    pub(super) is_cached: bool,
}

/// `/{repo}/resolve/{revision}/{path}`.
pub(super) fn resolve(shared: &Shared, request: &Request, asked: Asked<'_>) -> Result<Response, Response> {
    let hosted = shared.catalog.open(request, asked.repo, Want::Files)?;
    let commit = commit_at(&hosted, asked.revision)?;
    let entry = commit.files.get(asked.path).ok_or_else(|| no_entry(commit, asked.path))?;
    let location = if entry.pointer.is_some() {
        cdn::location(shared, request, asked.repo, asked.path, entry).map(|location| (302, location))
    } else {
        (shared.relative_redirects && !asked.is_cached).then(|| (307, cached_location(asked, commit)))
    };
    let mut response = match location {
        Some((status, location)) => {
            Response::text(status, "text/plain; charset=utf-8", format!("Redirecting to {location}"))
                .with("Location", location)
        }
        None => send(request, entry),
    };
    describe(&mut response, commit, entry);
    Ok(response)
}

/// What the client must know of a file before it fetches it, on a redirect too.
fn describe(response: &mut Response, commit: &Commit, entry: &Entry) {
    let is_redirect = response.header("Location").is_some();
    response.set("X-Repo-Commit", commit.hash.as_str());
    response.set("Accept-Ranges", "bytes");
    if entry.pointer.is_some() || is_redirect {
        response.set("X-Linked-Size", entry.size.to_string());
        response.set("X-Linked-ETag", format!("\"{}\"", entry.digest));
    } else {
        response.set("ETag", format!("\"{}\"", entry.digest));
    }
}

/// The hub's own address of a small file that never changes, relative to the hub.
fn cached_location(asked: Asked<'_>, commit: &Commit) -> String {
    let path = cdn::quoted(asked.path);
    format!("/api/resolve-cache/models/{}/{}/{path}", asked.repo, commit.hash)
}

/// Sends a file or the part of it that is asked for.
pub(super) fn send(request: &Request, entry: &Entry) -> Response {
    let etag = format!("\"{}\"", entry.digest);
    let names_etag =
        |value: &str| value.split(',').any(|one| one.trim().trim_start_matches("W/") == etag || one.trim() == "*");
    if request.header("if-none-match").is_some_and(names_etag) {
        return Response::new(304).with("ETag", etag);
    }
    // A part is of use only beside other parts of the same content.
    let is_same = request.header("if-range").is_none_or(|value| value.trim() == etag);
    let range = request.header("range").filter(|_| is_same);
    let mut response = Response::new(200).with("Content-Type", "application/octet-stream");
    let part = match requested_range(range, entry.size) {
        RequestedRange::Whole => 0..entry.size,
        RequestedRange::Part(part) => {
            response.status = 206;
            response.set("Content-Range", format!("bytes {}-{}/{}", part.start, part.end - 1, entry.size));
            part
        }
        RequestedRange::Unsatisfiable => {
            return Response::error(416, None, "the range lies outside the file")
                .with("Content-Range", format!("bytes */{}", entry.size));
        }
    };
    response.body = Body::Content(Arc::clone(&entry.content), part);
    response.with("ETag", etag).with("Accept-Ranges", "bytes")
}
