//! Sends an artifact: blobs first, then what names them, the tag last.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use speech_flow_model_hub::Progress;
use speech_flow_model_types::Digest;
use tokio_util::sync::CancellationToken;

use crate::error::OciError;
use crate::pack::Pack;
use crate::reference::Reference;
use crate::registry::Registry;

/// Blobs that are sent at once; each has a chunk in memory.
const BLOBS_AT_ONCE: usize = 4;

/// What came of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest by which the artifact is named.
    pub digest: Digest,
    /// The artifact with that digest.
    pub pinned: Reference,
    /// Bytes that were sent.
    pub bytes_sent: u64,
    /// Bytes of all layers and configurations.
    pub bytes_total: u64,
}

/// Sends an artifact under the tag of the registry's reference. What the registry has is not sent again, so a push
/// that was ended goes on when it is repeated.
///
/// # Errors
/// [`OciError`] after the retries are used up, and [`OciError::Cancelled`].
pub async fn push(
    registry: &Registry,
    pack: &Pack,
    progress: Arc<dyn Progress>,
    cancel: &CancellationToken,
) -> Result<Pushed, OciError> {
    let Some(tag) = registry.reference().tag() else {
        return Err(OciError::Plan("an artifact is pushed under a tag"));
    };
    let sends = pack.blobs.iter().map(|blob| {
        let progress = Arc::clone(&progress);
        async move {
            if registry.has_blob(&blob.digest, blob.size).await? {
                progress.received(blob.size);
                return Ok(0);
            }
            registry.upload(blob, &*progress, cancel).await?;
            Ok::<u64, OciError>(blob.size)
        }
    });
    let sent: Vec<u64> = stream::iter(sends).buffer_unordered(BLOBS_AT_ONCE).try_collect().await?;
    if cancel.is_cancelled() {
        return Err(OciError::Cancelled);
    }
    let (root, parts) = pack.manifests.split_last().expect("a pack ends with its root");
    for part in parts {
        registry.put_manifest(part, &part.digest.prefixed()).await?;
    }
    registry.put_manifest(root, tag).await?;
    Ok(Pushed {
        digest: root.digest,
        pinned: registry.reference().pinned(root.digest),
        bytes_sent: sent.iter().sum(),
        bytes_total: pack.bytes_total(),
    })
}
