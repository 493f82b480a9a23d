//! Uploads: what is there is not sent; the rest goes in chunks, and after a failure from where the registry is.

use reqwest::Method;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION};
use speech_flow_model_hub::Progress;
use speech_flow_model_types::Digest;
use speech_flow_model_types::retry::{Backoff, Failure};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Exchange, Registry, Request};
use crate::error::{Fault, OciError};
use crate::pack::Blob;

/// Bytes of one request; so many are in memory for each upload.
const CHUNK_BYTES: u64 = 8 << 20;
/// Largest chunk that a registry may ask for.
const MAX_CHUNK_BYTES: u64 = 64 << 20;

/// How an upload stands.
#[derive(Debug)]
struct Upload {
    /// Where the next chunk goes.
    url: Url,
    /// Bytes that the registry has.
    at: u64,
    /// Bytes of one chunk.
    chunk: u64,
}

impl Registry {
    /// Whether the registry has the blob already.
    pub(crate) async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, OciError> {
        self.retrying(|| async {
            let exchange = self.send(Request::new(Method::HEAD, self.url("blobs", &digest.prefixed()))).await?;
            match exchange.response.status().as_u16() {
                200 => Ok(exchange.header("content-length").and_then(|length| length.parse().ok()) == Some(size)),
                404 => Ok(false),
                // A storage that signs addresses for GET only says nothing about the blob.
                400..=499 if !self.is_own(&exchange.url) => Ok(false),
                _ => Err(self.error_of(exchange, format!("`{}`", self.reference)).await),
            }
        })
        .await
    }

    /// Sends a blob. `progress` hears of bytes that the registry took, and of all of them again when it lost them.
    pub(crate) async fn upload(
        &self,
        blob: &Blob,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<(), OciError> {
        let mut backoff = Backoff::new(self.config.http.retry);
        let mut upload = None;
        let mut most = 0;
        loop {
            if cancel.is_cancelled() {
                return Err(OciError::Cancelled);
            }
            let step = self.step(blob, &mut upload);
            let ended = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(OciError::Cancelled),
                ended = step => ended,
            };
            let at = upload.as_ref().map_or(0, |upload: &Upload| upload.at);
            match ended {
                Ok(true) => {
                    progress.received(blob.size.saturating_sub(most));
                    return Ok(());
                }
                Ok(false) => {
                    if at > most {
                        progress.received(at - most);
                        most = at;
                        backoff.progressed();
                    }
                }
                Err(error) => {
                    let was_forgotten = at > 0 && is_forgotten(&error);
                    let failure = if was_forgotten { Failure::Transient(None) } else { error.failure() };
                    self.wait_or_give_up(error, failure, &mut backoff).await?;
                    upload = match upload.filter(|_| !was_forgotten) {
                        Some(stopped) => self.stand(stopped).await,
                        None => None,
                    };
                }
            }
        }
    }

    /// One request of an upload; says whether it was the last.
    async fn step(&self, blob: &Blob, upload: &mut Option<Upload>) -> Result<bool, OciError> {
        let Some(present) = upload else {
            *upload = Some(self.begin().await?);
            return Ok(false);
        };
        let length = (blob.size - present.at).min(present.chunk);
        let (reading, at) = (blob.clone(), present.at);
        let bytes = tokio::task::spawn_blocking(move || reading.read(at, length as usize)).await??;
        let is_last = present.at + length == blob.size;
        let mut request = Request::new(Method::PATCH, present.url.clone());
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        if is_last {
            request.method = Method::PUT;
            request.url.query_pairs_mut().append_pair("digest", &blob.digest.prefixed());
        }
        if length > 0 && !(is_last && present.at == 0) {
            let range = format!("{}-{}", present.at, present.at + length - 1);
            request.headers.insert(CONTENT_RANGE, HeaderValue::from_str(&range).expect("digits and a dash"));
        }
        request.body = Some(bytes);
        let exchange = self.send(request).await?;
        if !exchange.response.status().is_success() {
            return Err(self.error_of(exchange, format!("the blob `{}`", blob.digest.prefixed())).await);
        }
        if is_last {
            return Ok(true);
        }
        let at = end_of(&exchange).unwrap_or(present.at + length);
        if at > blob.size {
            return Err(exchange.fault(Fault::Upload));
        }
        *present = Upload { url: self.next(&exchange)?, at, chunk: present.chunk };
        Ok(false)
    }

    async fn begin(&self) -> Result<Upload, OciError> {
        let exchange = self.send(Request::new(Method::POST, self.url("blobs", "uploads/"))).await?;
        if exchange.response.status().as_u16() != 202 {
            return Err(match exchange.response.status().is_success() {
                true => exchange.fault(Fault::Status(exchange.response.status().as_u16())),
                false => self.error_of(exchange, format!("uploads to `{}`", self.reference)).await,
            });
        }
        let least = exchange.header("oci-chunk-min-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        Ok(Upload { url: self.next(&exchange)?, at: 0, chunk: CHUNK_BYTES.max(least).min(MAX_CHUNK_BYTES) })
    }

    /// Asks where a broken upload stands; `None` when it starts over.
    async fn stand(&self, stopped: Upload) -> Option<Upload> {
        let exchange = self.send(Request::new(Method::GET, stopped.url)).await.ok()?;
        let is_known = exchange.response.status().as_u16() == 204;
        let at = end_of(&exchange).filter(|_| is_known)?;
        let url = self.next(&exchange).ok()?;
        tracing::debug!(offset = at, "an upload goes on");
        Some(Upload { url, at, chunk: stopped.chunk })
    }

    /// Where the upload goes on: on the registry itself. One that believes to be without TLS, behind a proxy that has
    /// it, is not left for that.
    fn next(&self, exchange: &Exchange) -> Result<Url, OciError> {
        let lost = || exchange.fault(Fault::Upload);
        let location = exchange.response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let mut url = exchange.url.join(location.ok_or_else(lost)?).map_err(|_| lost())?;
        if url.scheme() == "http" && self.root.scheme() == "https" && url.host() == self.root.host() {
            url.set_scheme("https").map_err(|()| lost())?;
        }
        if self.is_own(&url) { Ok(url) } else { Err(exchange.fault(Fault::Redirect)) }
    }
}

/// Whether the registry no longer knows the upload as it was: it is started over.
fn is_forgotten(error: &OciError) -> bool {
    match error {
        OciError::NotFound { .. } => true,
        OciError::Refused { source, .. } => source.status == 416,
        _ => false,
    }
}

/// Bytes that the registry says it has: `Range: 0-99`, `bytes=0-99`; an upload without any says `0-0` too.
fn end_of(exchange: &Exchange) -> Option<u64> {
    let range = exchange.header("range")?;
    let (start, last) = range.trim_start_matches("bytes=").split_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    (start.trim() == "0").then(|| if last == 0 { 0 } else { last.saturating_add(1) })
}
