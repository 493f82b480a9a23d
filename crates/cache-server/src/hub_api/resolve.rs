//! Files: what they are from metadata alone, and their bytes from the cache or on their way into it.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use speech_flow_http_listener::Pieces;
use speech_flow_model_cache::Lease;
use speech_flow_model_types::{CommitHash, Digest, RelPath, RemoteFile, RepoId, Revision};
use tokio::time::Instant;

use super::Asked;
use crate::answer::{REPO_COMMIT, Refusal};
use crate::body::{self, Sending};
use crate::metadata::{Settled, Want};
use crate::metrics::Lookup;
use crate::range::{self, Wanted};
use crate::server::Server;
use crate::store::StoredBlob;
use crate::taint;

const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");
const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
/// What says whether a file was there, for people who look.
const CACHE: HeaderName = HeaderName::from_static("x-cache");
/// Smaller files are sent before a clean-up could come between.
const LEASED_FROM: u64 = 1 << 20;

/// `/{repo}/resolve/{revision}/{path}`.
pub(super) async fn resolve(
    server: &Server,
    asked: &Asked<'_>,
    repo: &RepoId,
    revision: &Revision,
    path: &RelPath,
) -> Result<Response, Refusal> {
    let since = Instant::now();
    let settled = server.settle(repo, revision, &asked.caller, Want::Files).await?;
    let commit = settled.document.commit.clone();
    let files = server.files(&settled).await?;
    let Ok(at) = files.binary_search_by(|file| file.path.cmp(path)) else {
        return Err(Refusal::no_entry(path.as_str(), &commit));
    };
    let file = &files[at];
    let etag = file.digest.to_string();
    if asked.header(IF_NONE_MATCH).is_some_and(|value| range::names_etag(value, &etag)) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        describe(response.headers_mut(), &commit, file);
        return Ok(response);
    }
    let range = asked.header(RANGE).filter(|_| range::is_same(asked.header(IF_RANGE), &etag));
    let wanted = range::wanted(range, file.size);
    if let Wanted::Unsatisfiable = wanted {
        let mut refusal =
            Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "the range lies outside the file").into_response();
        if let Ok(size) = HeaderValue::from_str(&format!("bytes */{}", file.size)) {
            refusal.headers_mut().insert(CONTENT_RANGE, size);
        }
        return Ok(refusal);
    }
    if *asked.method == Method::HEAD {
        return Ok(head(&commit, file, &wanted));
    }
    if file.size == 0 {
        return Ok(head(&commit, file, &Wanted::Whole));
    }
    send(server, &settled, file, wanted, since, asked.pieces.clone()).await
}

async fn send(
    server: &Server,
    settled: &Settled,
    file: &RemoteFile,
    wanted: Wanted,
    since: Instant,
    pieces: Option<Pieces>,
) -> Result<Response, Refusal> {
    let Settled { repo, document, hub, .. } = settled;
    let commit = &document.commit;
    let looked = {
        let (server, repo, commit, file) = (server.clone(), repo.clone(), commit.clone(), file.clone());
        tokio::task::spawn_blocking(move || look(&server, &repo, &commit, &file, wanted))
    };
    let (wanted, found) = looked.await.map_err(|_| Refusal::internal("a look at the cache ended early"))??;
    let range = part_of(&wanted, file.size);
    let (lookup, body) = match found {
        Some(Found { blob, lease, read }) => {
            let sending = Sending::new(server, repo.to_string(), "cache", lease);
            let body = match read {
                Some(bytes) => body::read_already(bytes, sending),
                None => body::stored(Arc::new(blob.file), range, sending, pieces),
            };
            (Lookup::Hit, body)
        }
        None => {
            let (flight, lookup) = server.fly(repo, commit, file, hub);
            flight.first_byte(range.start, server.inner.settings.first_byte_patience).await?;
            let source = if lookup == Lookup::Miss { "hub" } else { "cache" };
            let sending = Sending::new(server, repo.to_string(), source, None);
            (lookup, body::following(server, flight, range, sending))
        }
    };
    server.inner.metrics.lookup(lookup);
    server.inner.metrics.first_byte(lookup, since.elapsed());
    let mut response = head(commit, file, &wanted);
    response.headers_mut().insert(CACHE, HeaderValue::from_static(lookup.label()));
    *response.body_mut() = body;
    Ok(response)
}

/// A file that is in a cache.
struct Found {
    blob: StoredBlob,
    lease: Option<Arc<Lease>>,
    /// What is to be sent, where that is little.
    read: Option<Bytes>,
}

/// Looks for the file, and for what of it is to be sent. Blocks.
fn look(
    server: &Server,
    repo: &RepoId,
    commit: &CommitHash,
    file: &RemoteFile,
    wanted: Wanted,
) -> Result<(Wanted, Option<Found>), Refusal> {
    let is_coming = server.inner.flights.is_coming(repo, &file.digest);
    let is_later_part = matches!(&wanted, Wanted::Part(part) if part.start > 0);
    // The client may hold the start of other bytes: it gets the whole, and starts over.
    let is_suspect = is_later_part && taint::is_suspect(server, &file.digest, is_coming);
    let wanted = if is_suspect { Wanted::Whole } else { wanted };
    let opened = server.open_blob(repo, commit, file).map_err(|error| server.disk_error(&error))?;
    let Some(blob) = opened else { return Ok((wanted, None)) };
    let lease = if file.size >= LEASED_FROM {
        server.lease(&blob.cache, repo, commit)
    } else {
        blob.cache.record_use(repo, commit);
        None
    };
    let read = body::small(&blob.file, &part_of(&wanted, file.size));
    let read = read.map_err(|error| Refusal::internal(format!("`{}` could not be read: {error}", file.path)))?;
    Ok((wanted, Some(Found { blob, lease, read })))
}

fn part_of(wanted: &Wanted, size: u64) -> Range<u64> {
    match wanted {
        Wanted::Part(part) => part.clone(),
        Wanted::Whole | Wanted::Unsatisfiable => 0..size,
    }
}

/// The head of an answer with a file.
fn head(commit: &CommitHash, file: &RemoteFile, wanted: &Wanted) -> Response {
    let mut response = Response::new(Body::empty());
    let part = part_of(wanted, file.size);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, (part.end - part.start).into());
    describe(headers, commit, file);
    if let Wanted::Part(part) = wanted {
        if let Ok(range) = HeaderValue::from_str(&format!("bytes {}-{}/{}", part.start, part.end - 1, file.size)) {
            headers.insert(CONTENT_RANGE, range);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

/// What a client must know of a file before it fetches it.
fn describe(headers: &mut HeaderMap, commit: &CommitHash, file: &RemoteFile) {
    let etag = HeaderValue::from_str(&format!("\"{}\"", file.digest));
    if let (Ok(commit), Ok(etag)) = (HeaderValue::from_str(commit.as_str()), etag) {
        headers.insert(REPO_COMMIT, commit);
        headers.insert(ETAG, etag.clone());
        if let Digest::Sha256(_) = file.digest {
            headers.insert(LINKED_ETAG, etag);
            headers.insert(LINKED_SIZE, file.size.into());
        }
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(VARY, HeaderValue::from_static("authorization"));
}
