//! What is counted, and its text for Prometheus.

use std::fmt::Write as _;

use crate::metrics::{Counter, Gauge};

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

const READS: [(Read, &str); 6] = [
    (Read::Hit, "hit"),
    (Read::Miss, "miss"),
    (Read::Error, "error"),
    (Read::Slow, "slow"),
    (Read::Damaged, "damaged"),
    (Read::Skipped, "skipped"),
];

const UPLOADS: [(Uploaded, &str); 8] = [
    (Uploaded::Stored, "stored"),
    (Uploaded::Present, "present"),
    (Uploaded::LeftToAnother, "left-to-another"),
    (Uploaded::Private, "private"),
    (Uploaded::Gone, "gone"),
    (Uploaded::Crowded, "crowded"),
    (Uploaded::Failed, "failed"),
    (Uploaded::Stopped, "stopped"),
];

/// Everything that is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    reads: [Counter; READS.len()],
    uploads: [Counter; UPLOADS.len()],
    pub(super) read_bytes: Counter,
    pub(super) uploaded_bytes: Counter,
    /// Objects whose bytes were wrong.
    pub(super) damaged: Counter,
    pub(super) uploading: Gauge,
}

impl Counts {
    pub(super) fn read(&self, outcome: Read) {
        for ((known, _), counter) in READS.iter().zip(&self.reads) {
            counter.add(u64::from(*known == outcome));
        }
    }

    pub(super) fn upload(&self, outcome: Uploaded) {
        for ((known, _), counter) in UPLOADS.iter().zip(&self.uploads) {
            counter.add(u64::from(*known == outcome));
        }
    }

    /// Source: Prometheus text exposition format, version 0.0.4.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        let reads = READS.iter().zip(&self.reads).map(|((_, label), counter)| (*label, counter));
        let uploads = UPLOADS.iter().zip(&self.uploads).map(|((_, label), counter)| (*label, counter));
        family(&mut text, "requests_total", "Ranges of files asked of the object store.", reads);
        family(&mut text, "uploads_total", "Files put into the object store.", uploads);
        for (name, kind, help, value) in [
            ("read_bytes_total", "counter", "Bytes read from the object store.", self.read_bytes.get() as i64),
            ("uploaded_bytes_total", "counter", "Bytes sent to the object store.", self.uploaded_bytes.get() as i64),
            ("damaged_total", "counter", "Objects whose bytes were wrong.", self.damaged.get() as i64),
            ("uploads_in_flight", "gauge", "Uploads that run or wait.", self.uploading.get()),
        ] {
            head(&mut text, name, kind, help);
            // Writing to a `String` cannot fail, here and below.
            let _ = writeln!(text, "speech_flow_server_store_{name} {value}");
        }
        text
    }
}

fn family<'a>(text: &mut String, name: &str, help: &str, counts: impl Iterator<Item = (&'a str, &'a Counter)>) {
    head(text, name, "counter", help);
    for (outcome, counter) in counts {
        let _ = writeln!(text, "speech_flow_server_store_{name}{{outcome=\"{outcome}\"}} {}", counter.get());
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ =
        writeln!(text, "# HELP speech_flow_server_store_{name} {help}\n# TYPE speech_flow_server_store_{name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_told_apart() {
        let counts = Counts::default();
        counts.read(Read::Slow);
        counts.upload(Uploaded::LeftToAnother);
        counts.read_bytes.add(7);
        let text = counts.render();
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
