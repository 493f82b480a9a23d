//! What is counted of the object store.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry, Result};

use crate::metrics::{Registering, encode};

/// What came of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// The store had the blob. Its bytes may still fail to come, which is counted as well.
    Hit,
    /// It does not have it.
    Miss,
    /// It failed.
    Error,
    /// It was too slow.
    Slow,
    /// It has something of another size.
    Damaged,
    /// It was not asked, because of what happened before.
    Skipped,
}

/// What came of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uploaded {
    /// The store has it now.
    Stored,
    /// It had it already.
    Present,
    /// Another server is uploading it.
    LeftToAnother,
    /// Not everybody may read it.
    Private,
    /// It is no longer in the cache.
    Gone,
    /// Too many wait.
    Crowded,
    /// The store failed.
    Failed,
    /// The server stopped.
    Stopped,
}

const READS: [Read; 6] = [Read::Hit, Read::Miss, Read::Error, Read::Slow, Read::Damaged, Read::Skipped];

const UPLOADS: [Uploaded; 8] = [
    Uploaded::Stored,
    Uploaded::Present,
    Uploaded::LeftToAnother,
    Uploaded::Private,
    Uploaded::Gone,
    Uploaded::Crowded,
    Uploaded::Failed,
    Uploaded::Stopped,
];

impl Read {
    fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Damaged => "damaged",
            Self::Skipped => "skipped",
        }
    }
}

impl Uploaded {
    fn label(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Present => "present",
            Self::LeftToAnother => "left-to-another",
            Self::Private => "private",
            Self::Gone => "gone",
            Self::Crowded => "crowded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub(super) struct Counts {
    registry: Registry,
    reads: IntCounterVec,
    uploads: IntCounterVec,
    pub(super) read_bytes: IntCounter,
    pub(super) uploaded_bytes: IntCounter,
    /// Objects whose bytes were wrong.
    pub(super) damaged: IntCounter,
    pub(super) uploading: IntGauge,
}

impl Counts {
    /// Counts that are all zero.
    ///
    /// # Errors
    /// For a name or label that makes no metric; a test makes them all.
    pub(super) fn new() -> Result<Self> {
        let registry = Registry::new_custom(Some("speech_flow_server_store".to_owned()), None)?;
        let register = Registering(&registry);
        let counts = Self {
            reads: register.counters("requests_total", "Ranges of files asked of the object store.", &["outcome"])?,
            uploads: register.counters("uploads_total", "Files put into the object store.", &["outcome"])?,
            read_bytes: register.counter("read_bytes_total", "Bytes read from the object store.")?,
            uploaded_bytes: register.counter("uploaded_bytes_total", "Bytes sent to the object store.")?,
            damaged: register.counter("damaged_total", "Objects whose bytes were wrong.")?,
            uploading: register.gauge("uploads_in_flight", "Uploads that run or wait.")?,
            registry,
        };
        // An outcome that did not happen yet is a zero, not a gap.
        for outcome in READS {
            counts.reads.with_label_values(&[outcome.label()]);
        }
        for outcome in UPLOADS {
            counts.uploads.with_label_values(&[outcome.label()]);
        }
        Ok(counts)
    }

    pub(super) fn read(&self, outcome: Read) {
        self.reads.with_label_values(&[outcome.label()]).inc();
    }

    pub(super) fn upload(&self, outcome: Uploaded) {
        self.uploads.with_label_values(&[outcome.label()]).inc();
    }

    /// The text for Prometheus.
    ///
    /// # Errors
    /// For a value that has no text.
    pub(super) fn render(&self) -> Result<String> {
        encode(&self.registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_told_apart() {
        let counts = Counts::new().expect("names and labels are sound");
        counts.read(Read::Slow);
        counts.upload(Uploaded::LeftToAnother);
        counts.read_bytes.inc_by(7);
        let text = counts.render().expect("text");
        for line in [
            "speech_flow_server_store_requests_total{outcome=\"slow\"} 1",
            "speech_flow_server_store_requests_total{outcome=\"hit\"} 0",
            "speech_flow_server_store_uploads_total{outcome=\"left-to-another\"} 1",
            "speech_flow_server_store_read_bytes_total 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
