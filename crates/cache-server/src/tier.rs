//! An object store that the cache servers of all clusters share: they read it before they ask the hub, and fill it.
//!
//! An object is a blob under its digest: `PREFIX/blobs/sha256/<hex>`, and `PREFIX/blobs/git-sha1/<hex>` for what
//! the hub names so. `source` reads, `upload` writes, `knowledge` remembers what has gone wrong lately, `connect`
//! and `http` reach the provider.
//!
//! **Invariant:** the store only saves work. What it does not have, does not give in time or gives broken comes
//! from the hub, and its bytes are verified on their way into the cache like all others.
//!
//! **Invariant:** an object is written in one step, from a verified blob, and never shows up in part.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use speech_flow_model_hub::http_client;
use speech_flow_model_manager::{Config, hub_config};
use speech_flow_model_types::{Digest, RemoteFile};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::error::Error;
use crate::server::Server;

mod claim;
mod connect;
mod counts;
mod http;
mod knowledge;
mod source;
mod upload;

use counts::Counts;
use knowledge::Knowledge;
pub(crate) use source::TieredSource;

/// Retries of one request while a client waits.
const READ_RETRIES: usize = 1;
/// Retries of one request of an upload.
const UPLOAD_RETRIES: usize = 4;
/// Uploads at once.
const UPLOADS_AT_ONCE: usize = 2;
/// Uploads that run and wait.
const MOST_UPLOADS: usize = 1024;
/// How long the removal of a damaged object may take; the file waits for it.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(2);

/// The store, as this server sees it.
pub(crate) struct Tier {
    /// For reads: it gives up early.
    objects: Arc<dyn ObjectStore>,
    /// For uploads: it tries again.
    uploads: Arc<dyn ObjectStore>,
    prefix: Path,
    /// How long it may bring no byte.
    patience: Duration,
    fills: bool,
    takes_private: bool,
    knowledge: Knowledge,
    counts: Counts,
    upload_turns: Semaphore,
    upload_places: Arc<Semaphore>,
}

/// A store's own text may hold the name of its key.
impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tier").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Tier {
    /// The store that the configuration names, if it names one. Nothing is asked yet.
    pub(crate) fn new(config: &Config) -> Result<Option<Arc<Self>>, Error> {
        let settings = &config.server.store;
        let Some(url) = &settings.url.value else { return Ok(None) };
        let client = http_client(&hub_config(config)).map_err(Error::Hub)?;
        let connect = |retries| connect::connect(url, &settings.variables, client.clone(), retries);
        let (objects, prefix) = connect(READ_RETRIES).map_err(Error::Store)?;
        let (uploads, _) = connect(UPLOAD_RETRIES).map_err(Error::Store)?;
        Ok(Some(Arc::new(Self {
            objects,
            uploads,
            prefix,
            patience: settings.patience.value,
            fills: settings.uploads.value,
            takes_private: settings.private.value,
            knowledge: Knowledge::default(),
            counts: Counts::new().map_err(Error::Metrics)?,
            upload_turns: Semaphore::new(UPLOADS_AT_ONCE),
            upload_places: Arc::new(Semaphore::new(MOST_UPLOADS)),
        })))
    }

    /// What was counted, for Prometheus.
    pub(crate) fn render(&self) -> prometheus::Result<String> {
        self.counts.render()
    }

    /// Where a blob's object is.
    fn place(&self, digest: &Digest) -> Path {
        self.prefix.clone().join("blobs").join(algorithm(digest)).join(digest.to_string())
    }
}

fn algorithm(digest: &Digest) -> &'static str {
    match digest {
        Digest::Sha256(_) => "sha256",
        Digest::GitSha1(_) => "git-sha1",
    }
}

impl Server {
    /// A file's bytes were wrong. If some came from the store, its object is removed, and the next attempt goes
    /// to the hub even where it cannot be.
    pub(crate) async fn distrust_object(&self, file: &RemoteFile) {
        let Some(tier) = &self.inner.tier else { return };
        if !tier.knowledge.distrust(&file.digest, Instant::now()) {
            return;
        }
        tier.counts.damaged.inc_by(1);
        let removed = tokio::time::timeout(REMOVAL_PATIENCE, tier.objects.delete(&tier.place(&file.digest))).await;
        let (outcome, hint) = match removed {
            Ok(Ok(()) | Err(object_store::Error::NotFound { .. })) => ("it was removed", None),
            _ => ("it could not be removed", Some("remove it, or let the server do so".to_owned())),
        };
        let digest = file.digest.prefixed();
        self.inner.log.note(format!("the object store held a damaged `{digest}`: {outcome}"), hint);
    }
}
