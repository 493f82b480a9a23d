//! Keeps the caches below their size: what was used longest ago goes first.
//!
//! What is leased (also by the streams of this server), pinned or being downloaded stays.

use std::time::Duration;

use speech_flow_model_cache::{Cache, GcPolicy, GcReport, space};
use speech_flow_model_types::ByteSize;

use crate::server::Server;

/// Above this share of the volume it is cleaned, in tenths.
const HIGH_TENTHS: u64 = 9;
/// What was used within this time stays, whatever the volume says.
const GRACE: Duration = Duration::from_secs(300);

impl Server {
    /// Looks at the caches again and again until the server stops.
    pub(crate) async fn keep_clean(&self, every: Duration) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = self.inner.stop.cancelled() => return,
            }
            self.make_room(0).await;
        }
    }

    /// Cleans so that `coming` bytes fit below the limit.
    pub(crate) async fn make_room(&self, coming: u64) {
        let server = self.clone();
        let cleaned = tokio::task::spawn_blocking(move || {
            for cache in server.caches() {
                match clean(cache, server.inner.settings.max_size, coming) {
                    Ok(Some(report)) => {
                        server.inner.metrics.evicted_bytes.inc_by(report.freed_bytes);
                        let (freed, removed) = (report.freed_bytes, report.removed.len());
                        tracing::info!(freed, removed, cache = %cache.layout().root().display(), "room was made");
                    }
                    Ok(None) => {}
                    Err(error) => server.inner.log.problem("the cache could not be cleaned", &error, error.hint()),
                }
            }
        });
        let _ = cleaned.await;
    }
}

/// Cleans one cache if it is too large.
fn clean(
    cache: &Cache,
    max_size: Option<u64>,
    coming: u64,
) -> Result<Option<GcReport>, speech_flow_model_cache::CacheError> {
    if !cache.layout().root().is_dir() {
        return Ok(None);
    }
    let excess = match max_size {
        // The size is known after a scan only.
        Some(most) => {
            let size = cache.scan()?.size_on_disk;
            excess_of(size, most, coming).map(|excess| (size, excess))
        }
        None => match space(cache.layout().root()).ok().flatten() {
            None => None,
            Some(volume) => {
                let used = volume.total.saturating_sub(volume.free);
                match excess_of(used, volume.total / 10 * HIGH_TENTHS, coming) {
                    None => None,
                    Some(excess) => Some((cache.scan()?.size_on_disk, excess)),
                }
            }
        },
    };
    let Some((size, excess)) = excess else { return Ok(None) };
    let policy =
        GcPolicy { max_size: Some(ByteSize(size.saturating_sub(excess))), grace_period: GRACE, ..GcPolicy::default() };
    cache.gc(&policy).map(Some)
}

/// How much has to go, so that a tenth below the limit is free again; `None` below the limit.
fn excess_of(used: u64, most: u64, coming: u64) -> Option<u64> {
    let wanted = used.saturating_add(coming);
    (wanted > most).then(|| wanted - most / 10 * 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_begins_above_the_limit_and_ends_well_below_it() {
        assert_eq!(excess_of(90, 100, 10), None);
        assert_eq!(excess_of(91, 100, 10), Some(11));
        assert_eq!(excess_of(u64::MAX, 100, 10), Some(u64::MAX - 90));
    }
}
