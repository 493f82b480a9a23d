//! The second port: large files by signed address, without the hub's headers and without its tokens.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::resolve;
use crate::git::hex;
use crate::http::{Request, Response};
use crate::hub::Shared;
use crate::repository::Entry;

/// What stands for itself in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Hubs of one process share it, so that one may redirect to another.
static SECRET: LazyLock<[u8; 16]> = LazyLock::new(|| {
    let mut secret = [0; 16];
    for half in secret.chunks_exact_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(0).to_le_bytes());
    }
    secret
});

/// The signed address of a file at the second port; `None` when the hub has no such port.
pub(super) fn location(shared: &Shared, request: &Request, repo: &str, path: &str, entry: &Entry) -> Option<String> {
    let port = shared.cdn_address?.port();
    let host = request.header("host").map_or("127.0.0.1", |host| host.rsplit_once(':').map_or(host, |(host, _)| host));
    let path = format!("/repos/{repo}/{}/{}", entry.digest, quoted(path));
    let expires = now() + shared.cdn_lifetime.as_secs();
    let signature = sign(&path, expires);
    Some(format!("http://{host}:{port}{path}?Expires={expires}&Signature={signature}&Key-Pair-Id=demo"))
}

/// Answers at the second port.
pub(super) fn serve(
    shared: &Shared,
    request: &Request,
    repo: &str,
    digest: &str,
    path: &str,
) -> Result<Response, Response> {
    if request.header("authorization").is_some() {
        return Err(refusal(400, "InvalidArgument", "Only one auth mechanism allowed"));
    }
    let expires = request.parameter("Expires").and_then(|value| value.parse().ok()).unwrap_or(0);
    if request.parameter("Signature").is_none_or(|signature| *signature != sign(&request.path, expires)) {
        return Err(refusal(403, "SignatureDoesNotMatch", "The signature does not fit the request"));
    }
    if expires <= now() {
        return Err(refusal(403, "AccessDenied", "Request has expired"));
    }
    let hosted = shared.catalog.get(repo);
    let entry = hosted.as_ref().and_then(|hosted| hosted.repository.entry(path, digest));
    let entry = entry.ok_or_else(|| refusal(404, "NoSuchKey", "The specified key does not exist"))?;
    Ok(resolve::send(request, entry))
}

/// A path with all quoted that could mean something else in a URL.
pub(super) fn quoted(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

fn sign(path: &str, expires: u64) -> String {
    let hasher = Sha256::new().chain_update(*SECRET).chain_update(path).chain_update(expires.to_le_bytes());
    hex(&hasher.finalize())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// An error as object stores give it.
fn refusal(status: u16, code: &str, message: &str) -> Response {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>\n"
    );
    Response::text(status, "application/xml", text)
}
