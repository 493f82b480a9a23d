//! Counters, gauges and histograms, and their text for Prometheus.
//!
//! Labels come from closed sets: endpoints, statuses, outcomes, and the models that the configuration or the
//! lockfile names. No path, address or token is ever one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use speech_flow_model_hub::HubError;

/// Upper bounds of the duration histograms, in seconds.
const BOUNDS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];

/// Only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Goes up and down.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    pub(crate) fn add(&self, more: i64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters by labels.
#[derive(Debug, Default)]
struct Family<const N: usize>(Mutex<BTreeMap<[String; N], u64>>);

impl<const N: usize> Family<N> {
    fn add(&self, labels: [&str; N], more: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(labels.map(str::to_owned)).or_default() += more;
    }

    fn sum(&self, is_meant: impl Fn(&[String; N]) -> bool) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().filter(|(labels, _)| is_meant(labels)).map(|(_, count)| count).sum()
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

/// Everything that is measured.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    known_models: Vec<String>,
    requests: Family<2>,
    lookups: Family<1>,
    upstream_requests: Family<2>,
    model_bytes: Family<2>,
    durations: Mutex<BTreeMap<String, Histogram>>,
    first_bytes: Mutex<BTreeMap<String, Histogram>>,
    pub(crate) bytes_from_cache: Counter,
    pub(crate) bytes_from_hub: Counter,
    pub(crate) upstream_bytes: Counter,
    pub(crate) verification_failures: Counter,
    pub(crate) quarantined: Counter,
    pub(crate) retries: Counter,
    pub(crate) stale: Counter,
    pub(crate) cut_off: Counter,
    pub(crate) evicted_bytes: Counter,
    pub(crate) in_flight: Gauge,
    pub(crate) streaming: Gauge,
    pub(crate) fetching: Gauge,
    pub(crate) waiting_fetches: Gauge,
    pub(crate) connections: Gauge,
}

/// Whether a file was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// It was.
    Hit,
    /// This request began its download.
    Miss,
    /// Another request had begun it.
    Follow,
}

impl Lookup {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Follow => "follow",
        }
    }
}

/// One volume's numbers, taken when the metrics are read.
#[derive(Debug, Clone)]
pub(crate) struct VolumeNumbers {
    pub(crate) cache: &'static str,
    pub(crate) free: u64,
    pub(crate) total: u64,
}

impl Metrics {
    pub(crate) fn new(known_models: Vec<String>) -> Self {
        Self { known_models, ..Self::default() }
    }

    pub(crate) fn request(&self, endpoint: &str, status: u16, took: Duration) {
        self.requests.add([endpoint, &status.to_string()], 1);
        observe(&self.durations, endpoint, took);
    }

    pub(crate) fn lookup(&self, lookup: Lookup) {
        self.lookups.add([lookup.label()], 1);
    }

    pub(crate) fn first_byte(&self, lookup: Lookup, took: Duration) {
        observe(&self.first_bytes, lookup.label(), took);
    }

    pub(crate) fn model_bytes(&self, repo: &str, source: &str, bytes: u64) {
        let known = self.known_models.iter().find(|known| *known == repo);
        self.model_bytes.add([known.map_or("other", String::as_str), source], bytes);
    }

    pub(crate) fn upstream_request(&self, kind: &str, error: Option<&HubError>) {
        let outcome = match error {
            None => "ok",
            Some(HubError::RateLimited { .. }) => "rate-limited",
            Some(HubError::Server { .. }) => "server-error",
            Some(HubError::Timeout { .. }) => "timeout",
            Some(HubError::Network { .. } | HubError::Untrusted { .. } | HubError::Truncated { .. }) => "network",
            Some(HubError::RepoNotFound { .. } | HubError::RevisionNotFound { .. } | HubError::FileNotFound { .. }) => {
                "not-found"
            }
            Some(HubError::Unauthorized { .. } | HubError::Gated { .. } | HubError::Disabled { .. }) => "refused",
            Some(_) => "unusable",
        };
        self.upstream_requests.add([kind, outcome], 1);
    }

    /// Range requests that the fetcher made; what failed of them was repeated.
    pub(crate) fn upstream_ranges(&self, requests: u64, retries: u64) {
        self.upstream_requests.add(["range", "ok"], requests.saturating_sub(retries));
        self.upstream_requests.add(["range", "repeated"], retries);
        self.retries.add(retries);
    }

    /// Hits among all lookups.
    pub(crate) fn hit_ratio(&self) -> Option<f64> {
        let all = self.lookups.sum(|_| true);
        let hits = self.lookups.sum(|[lookup]| lookup == Lookup::Hit.label());
        (all > 0).then(|| hits as f64 / all as f64)
    }

    /// The text for Prometheus.
    pub(crate) fn render(&self, volumes: &[VolumeNumbers], leases: usize) -> String {
        let mut text = Text::default();
        let family = |text: &mut Text, name, help, labels: &[&str], counts: Vec<(Vec<String>, u64)>| {
            text.head(name, "counter", help);
            for (values, count) in counts {
                text.sample(name, labels, &values, count as f64);
            }
        };
        family(&mut text, "requests_total", "Requests answered.", &["endpoint", "status"], listed(&self.requests));
        family(
            &mut text,
            "lookups_total",
            "Files asked for, by whether they were in the cache.",
            &["outcome"],
            listed(&self.lookups),
        );
        family(
            &mut text,
            "upstream_requests_total",
            "Requests to the hub.",
            &["kind", "outcome"],
            listed(&self.upstream_requests),
        );
        family(
            &mut text,
            "model_bytes_total",
            "Bytes of files sent to clients, by model and source.",
            &["model", "source"],
            listed(&self.model_bytes),
        );
        let by_source = vec![
            (vec!["cache".to_owned()], self.bytes_from_cache.get()),
            (vec!["hub".to_owned()], self.bytes_from_hub.get()),
        ];
        family(&mut text, "sent_bytes_total", "Bytes of files sent to clients, by source.", &["source"], by_source);
        for (name, help, counter) in [
            ("upstream_bytes_total", "Bytes of files received from the hub.", &self.upstream_bytes),
            ("verification_failures_total", "Files whose bytes were wrong.", &self.verification_failures),
            ("quarantined_total", "Files put away because their bytes were wrong.", &self.quarantined),
            ("retries_total", "Requests for parts of files that were repeated.", &self.retries),
            ("stale_total", "Answers given from old metadata.", &self.stale),
            ("cut_off_total", "Answers cut off because their bytes turned out wrong or did not come.", &self.cut_off),
            ("evicted_bytes_total", "Bytes removed to make room.", &self.evicted_bytes),
        ] {
            family(&mut text, name, help, &[], vec![(Vec::new(), counter.get())]);
        }
        for (name, help, gauge) in [
            ("requests_in_flight", "Requests being answered.", self.in_flight.get()),
            ("streams_in_flight", "Files being sent.", self.streaming.get()),
            ("fetches_in_flight", "Files being fetched from the hub.", self.fetching.get()),
            ("fetches_waiting", "Files waiting for their turn to be fetched.", self.waiting_fetches.get()),
            ("connections", "Open connections of clients.", self.connections.get()),
            ("leases", "Leases that this server holds.", i64::try_from(leases).unwrap_or(i64::MAX)),
        ] {
            text.head(name, "gauge", help);
            text.sample(name, &[], &[], gauge as f64);
        }
        for (name, help, of) in [
            (
                "disk_free_bytes",
                "Bytes free on the cache's volume.",
                (|volume| volume.free) as fn(&VolumeNumbers) -> u64,
            ),
            ("disk_total_bytes", "Size of the cache's volume.", |volume| volume.total),
            ("disk_used_bytes", "Bytes in use on the cache's volume.", |volume| {
                volume.total.saturating_sub(volume.free)
            }),
        ] {
            text.head(name, "gauge", help);
            for volume in volumes {
                text.sample(name, &["cache"], &[volume.cache.to_owned()], of(volume) as f64);
            }
        }
        text.histogram(
            "request_duration_seconds",
            "Time to answer a request, its body included.",
            "endpoint",
            &self.durations,
        );
        text.histogram("first_byte_seconds", "Time to the first byte of a file.", "outcome", &self.first_bytes);
        text.0
    }
}

fn observe(histograms: &Mutex<BTreeMap<String, Histogram>>, label: &str, took: Duration) {
    let mut histograms = histograms.lock().unwrap_or_else(PoisonError::into_inner);
    let histogram = histograms.entry(label.to_owned()).or_default();
    let seconds = took.as_secs_f64();
    for (bucket, bound) in histogram.buckets.iter_mut().zip(BOUNDS) {
        *bucket += u64::from(seconds <= bound);
    }
    (histogram.count, histogram.seconds) = (histogram.count + 1, histogram.seconds + seconds);
}

fn listed<const N: usize>(family: &Family<N>) -> Vec<(Vec<String>, u64)> {
    let counts = family.0.lock().unwrap_or_else(PoisonError::into_inner);
    counts.iter().map(|(labels, count)| (labels.to_vec(), *count)).collect()
}

/// Source: Prometheus text exposition format, version 0.0.4.
#[derive(Debug, Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a `String` cannot fail, here and below.
        let _ = writeln!(self.0, "# HELP speech_flow_server_{name} {help}\n# TYPE speech_flow_server_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[&str], values: &[String], value: f64) {
        let pairs: Vec<String> = labels
            .iter()
            .zip(values)
            .map(|(label, value)| format!("{label}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
            .collect();
        let labels = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        let _ = writeln!(self.0, "speech_flow_server_{name}{labels} {value}");
    }

    fn histogram(&mut self, name: &str, help: &str, label: &str, histograms: &Mutex<BTreeMap<String, Histogram>>) {
        self.head(name, "histogram", help);
        for (value, histogram) in histograms.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
            for (bound, count) in bounds.zip(histogram.buckets.iter().chain([&histogram.count])) {
                let (bucket, values) = (format!("{name}_bucket"), [value.clone(), bound]);
                self.sample(&bucket, &[label, "le"], &values, *count as f64);
            }
            self.sample(&format!("{name}_sum"), &[label], std::slice::from_ref(value), histogram.seconds);
            self.sample(&format!("{name}_count"), &[label], std::slice::from_ref(value), histogram.count as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::new(vec!["o/r".to_owned()]);
        metrics.request("resolve", 200, Duration::from_millis(20));
        metrics.lookup(Lookup::Hit);
        metrics.lookup(Lookup::Miss);
        metrics.model_bytes("o/r", "cache", 5);
        metrics.model_bytes("some/private-name", "cache", 7);
        let text = metrics.render(&[VolumeNumbers { cache: "hub", free: 1, total: 3 }], 0);
        for line in [
            "# TYPE speech_flow_server_requests_total counter",
            "speech_flow_server_requests_total{endpoint=\"resolve\",status=\"200\"} 1",
            "speech_flow_server_model_bytes_total{model=\"o/r\",source=\"cache\"} 5",
            "speech_flow_server_model_bytes_total{model=\"other\",source=\"cache\"} 7",
            "speech_flow_server_disk_used_bytes{cache=\"hub\"} 2",
            "speech_flow_server_request_duration_seconds_bucket{endpoint=\"resolve\",le=\"0.01\"} 0",
            "speech_flow_server_request_duration_seconds_bucket{endpoint=\"resolve\",le=\"0.05\"} 1",
            "speech_flow_server_request_duration_seconds_bucket{endpoint=\"resolve\",le=\"+Inf\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("private-name"));
        assert_eq!(metrics.hit_ratio(), Some(0.5));
    }
}
