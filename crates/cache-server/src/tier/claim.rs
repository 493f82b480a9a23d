//! Who uploads a large blob: the server whose claim is in the store.
//!
//! A claim is a small object, `PREFIX/claims/<algorithm>-<hex>`, created only where there is none. Its owner
//! writes it anew while the upload runs and removes it at the end; one that has not been written for a while is
//! of a server that died. Claims save work only: two uploads of one blob write the same bytes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use object_store::path::Path;
use object_store::{Error, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use speech_flow_model_types::Digest;

use super::{Tier, algorithm};

/// How often a claim is written anew.
const RENEWED_EVERY: Duration = Duration::from_secs(60);
/// One that has not been written for so long is void.
const VOID_AFTER: Duration = Duration::from_secs(300);
/// How long its removal may take.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(3);

/// The right to upload a blob.
pub(super) struct Claim {
    tier: Arc<Tier>,
    place: Path,
}

impl Claim {
    /// Takes the claim to a blob; `None` where another server has it.
    pub(super) async fn take(tier: &Arc<Tier>, digest: &Digest) -> Result<Option<Self>, Error> {
        let name = format!("{}-{digest}", algorithm(digest));
        let claim = Self { tier: Arc::clone(tier), place: tier.prefix.clone().join("claims").join(name) };
        for _ in 0..2 {
            match claim.write(PutMode::Create).await {
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
                // A store that cannot create only what is missing takes an upload of each server.
                Ok(()) | Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => return Ok(Some(claim)),
                Err(error) => return Err(error),
            }
            match tier.uploads.head(&claim.place).await {
                Ok(found) if is_void(found.last_modified.into()) => claim.remove().await,
                Ok(_) => return Ok(None),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Keeps the claim until it is dropped.
    pub(super) async fn keep(&self) {
        loop {
            tokio::time::sleep(RENEWED_EVERY).await;
            if let Err(error) = self.write(PutMode::Overwrite).await {
                tracing::debug!(%error, "a claim could not be written anew");
            }
        }
    }

    /// Gives the claim up. One that stays becomes void.
    pub(super) async fn remove(&self) {
        let removed = tokio::time::timeout(REMOVAL_PATIENCE, self.tier.uploads.delete(&self.place)).await;
        if !matches!(removed, Ok(Ok(()) | Err(Error::NotFound { .. }))) {
            tracing::debug!(claim = %self.place, "a claim could not be removed");
        }
    }

    async fn write(&self, mode: PutMode) -> Result<(), Error> {
        let options = PutOptions { mode, ..PutOptions::default() };
        self.tier.uploads.put_opts(&self.place, PutPayload::from_static(b"uploading\n"), options).await.map(|_| ())
    }
}

/// Whether a claim's owner has been silent for too long. The store's clock may be ahead of ours.
fn is_void(written: SystemTime) -> bool {
    SystemTime::now().duration_since(written).is_ok_and(|age| age > VOID_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_void_when_its_owner_is_silent() {
        let now = SystemTime::now();
        assert!(is_void(now - VOID_AFTER - Duration::from_secs(1)));
        assert!(!is_void(now - RENEWED_EVERY) && !is_void(now + VOID_AFTER));
    }
}
