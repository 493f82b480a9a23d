//! Manifests: read by tag or digest, written under a digest or a tag.

use std::ops::Range;

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RANGE};
use speech_flow_model_types::Digest;

use super::{Exchange, Registry, Request};
use crate::artifact::MAX_MANIFEST_BYTES;
use crate::documents::{Document, sha256};
use crate::error::{Fault, OciError};
use crate::media;

/// A manifest as it came.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
}

impl Registry {
    /// Gets a manifest. One that is asked for by its digest has that digest; of a tag, the digest says what it is.
    pub(crate) async fn manifest(&self, wanted: &str) -> Result<Fetched, OciError> {
        self.retrying(|| async {
            let mut request = Request::new(Method::GET, self.url("manifests", wanted));
            let accepted = format!("{}, {}", media::MANIFEST, media::INDEX);
            request.headers.insert(ACCEPT, HeaderValue::from_str(&accepted).expect("constants"));
            let exchange = self.send(request).await?;
            if !exchange.response.status().is_success() {
                return Err(self.error_of(exchange, format!("`{}`", self.reference)).await);
            }
            let media_type = exchange.header("content-type").unwrap_or_default();
            let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
            let said = exchange.header("docker-content-digest").and_then(|text| Digest::from_prefixed(text).ok());
            let bytes = exchange.read_bounded(MAX_MANIFEST_BYTES).await?;
            let digest = sha256(&bytes);
            let expected = Digest::from_prefixed(wanted).ok().or(said);
            match expected.filter(|expected| matches!(expected, Digest::Sha256(_)) && *expected != digest) {
                Some(expected) => Err(OciError::Integrity {
                    what: format!("the manifest of `{}`", self.reference),
                    expected: expected.prefixed(),
                    actual: digest.prefixed(),
                }),
                None => Ok(Fetched { bytes, media_type, digest }),
            }
        })
        .await
    }

    /// Writes a manifest under a name.
    pub(crate) async fn put_manifest(&self, document: &Document, name: &str) -> Result<(), OciError> {
        self.retrying(|| async {
            let mut request = Request::new(Method::PUT, self.url("manifests", name));
            request.headers.insert(CONTENT_TYPE, HeaderValue::from_static(document.media_type));
            request.body = Some(document.bytes.clone().into());
            let exchange = self.send(request).await?;
            if !exchange.response.status().is_success() {
                return Err(self.error_of(exchange, format!("the manifest of `{}`", self.reference)).await);
            }
            let said = exchange.header("docker-content-digest").and_then(|text| Digest::from_prefixed(text).ok());
            match said.filter(|said| *said != document.digest) {
                Some(said) => Err(OciError::Integrity {
                    what: format!("what the registry keeps as `{}`", self.reference),
                    expected: document.digest.prefixed(),
                    actual: said.prefixed(),
                }),
                None => Ok(()),
            }
        })
        .await
    }

    /// Asks for a range of a blob. The answer is one of success: `206` with the range, or `200` with the whole blob.
    pub(crate) async fn blob(&self, digest: &Digest, size: u64, range: &Range<u64>) -> Result<Exchange, OciError> {
        let mut request = Request::new(Method::GET, self.url("blobs", &digest.prefixed()));
        if *range != (0..size) {
            let text = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
            request.headers.insert(RANGE, HeaderValue::from_str(&text).expect("digits and a dash"));
        }
        let exchange = self.send(request).await?;
        match exchange.response.status().as_u16() {
            200 | 206 => Ok(exchange),
            status if exchange.response.status().is_success() => Err(exchange.fault(Fault::Status(status))),
            _ => Err(self.error_of(exchange, format!("the blob `{}`", digest.prefixed())).await),
        }
    }
}
