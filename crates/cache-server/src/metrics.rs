//! What is counted, for Prometheus and for the page.
//!
//! Labels come from closed sets: endpoints, statuses, outcomes, and the models that the configuration or the
//! lockfile names. No path, address or token is ever one.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result, TextEncoder,
};
use speech_flow_model_hub::HubError;

use crate::updates::{ModelRecord, Record, State};

/// Upper bounds of the duration histograms, in seconds.
const BOUNDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];

/// Everything that is measured.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    known_models: Vec<String>,
    requests: IntCounterVec,
    lookups: IntCounterVec,
    upstream_requests: IntCounterVec,
    fetches: IntCounterVec,
    model_bytes: IntCounterVec,
    durations: HistogramVec,
    first_bytes: HistogramVec,
    disk_free: IntGaugeVec,
    disk_total: IntGaugeVec,
    disk_used: IntGaugeVec,
    leases: IntGauge,
    ready: IntGauge,
    draining: IntGauge,
    update_runs: IntCounterVec,
    update_last_run: IntGauge,
    update_available: IntGaugeVec,
    update_failed: IntGaugeVec,
    pub(crate) updates_applied: IntCounter,
    pub(crate) bytes_from_cache: IntCounter,
    pub(crate) bytes_from_hub: IntCounter,
    pub(crate) upstream_bytes: IntCounter,
    pub(crate) verification_failures: IntCounter,
    pub(crate) quarantined: IntCounter,
    pub(crate) retries: IntCounter,
    pub(crate) stale: IntCounter,
    pub(crate) cut_off: IntCounter,
    pub(crate) evicted_bytes: IntCounter,
    pub(crate) in_flight: IntGauge,
    pub(crate) streaming: IntGauge,
    pub(crate) fetching: IntGauge,
    pub(crate) waiting_fetches: IntGauge,
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

/// What came of the download of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// It is in the cache.
    Done,
    /// Neither the hub nor the object store gave it.
    Hub,
    /// It came damaged, again and again.
    Damaged,
    /// There is no room for it.
    NoSpace,
    /// The volume failed.
    Volume,
    /// The server stopped.
    Stopped,
    /// Anything else.
    Internal,
}

impl Fetched {
    const ALL: [Self; 7] =
        [Self::Done, Self::Hub, Self::Damaged, Self::NoSpace, Self::Volume, Self::Stopped, Self::Internal];

    fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Hub => "hub",
            Self::Damaged => "damaged",
            Self::NoSpace => "no-space",
            Self::Volume => "volume",
            Self::Stopped => "stopped",
            Self::Internal => "internal",
        }
    }
}

impl Lookup {
    const ALL: [Self; 3] = [Self::Hit, Self::Miss, Self::Follow];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Follow => "follow",
        }
    }
}

/// What a request to the hub is for.
const UPSTREAM_KINDS: [&str; 2] = ["metadata", "range"];
/// What comes of one.
const UPSTREAM_OUTCOMES: [&str; 10] = [
    "ok",
    "repeated",
    "rate-limited",
    "own-limit",
    "server-error",
    "timeout",
    "network",
    "not-found",
    "refused",
    "unusable",
];

/// What the server is like when the metrics are read.
#[derive(Debug, Clone)]
pub(crate) struct StateNumbers {
    pub(crate) volumes: Vec<VolumeNumbers>,
    pub(crate) leases: usize,
    pub(crate) is_ready: bool,
    pub(crate) is_draining: bool,
}

/// One volume's numbers, taken when the metrics are read.
#[derive(Debug, Clone)]
pub(crate) struct VolumeNumbers {
    pub(crate) cache: &'static str,
    pub(crate) free: u64,
    pub(crate) total: u64,
}

impl Metrics {
    /// Metrics that are all zero.
    ///
    /// # Errors
    /// For a name or label that makes no metric; a test makes them all.
    pub(crate) fn new(known_models: Vec<String>) -> Result<Self> {
        let registry = Registry::new_custom(Some("speech_flow_server".to_owned()), None)?;
        let register = Registering(&registry);
        let sent = register.counters("sent_bytes_total", "Bytes of files sent to clients, by source.", &["source"])?;
        register
            .gauges("build_info", "The program's version; always 1.", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        let metrics = Self {
            known_models,
            requests: register.counters("requests_total", "Requests answered.", &["endpoint", "status"])?,
            lookups: register.counters(
                "lookups_total",
                "Files asked for, by whether they were in the cache.",
                &["outcome"],
            )?,
            upstream_requests: register.counters(
                "upstream_requests_total",
                "Requests to the hub or the object store.",
                &["kind", "outcome"],
            )?,
            fetches: register.counters("fetches_total", "Downloads of files that ended, by outcome.", &["outcome"])?,
            model_bytes: register.counters(
                "model_bytes_total",
                "Bytes of files sent to clients, by model and source.",
                &["model", "source"],
            )?,
            durations: register.durations(
                "request_duration_seconds",
                "Time to answer a request, its body included.",
                &["endpoint"],
            )?,
            first_bytes: register.durations("first_byte_seconds", "Time to the first byte of a file.", &["outcome"])?,
            disk_free: register.gauges("disk_free_bytes", "Bytes free on the cache's volume.", &["cache"])?,
            disk_total: register.gauges("disk_total_bytes", "Size of the cache's volume.", &["cache"])?,
            disk_used: register.gauges("disk_used_bytes", "Bytes in use on the cache's volume.", &["cache"])?,
            update_runs: register.counters("update_runs_total", "Looks for updates, by outcome.", &["outcome"])?,
            update_last_run: register.gauge(
                "update_last_run_timestamp_seconds",
                "When some server on this volume last looked for updates of all models.",
            )?,
            update_available: register.gauges(
                "update_available",
                "Whether the hub has a newer commit than the lockfile.",
                &["model"],
            )?,
            update_failed: register.gauges(
                "update_failed",
                "Whether the last look for an update of the model failed.",
                &["model"],
            )?,
            updates_applied: register
                .counter("updates_applied_total", "Newer commits that the lockfile was moved to.")?,
            leases: register.gauge("leases", "Leases that this server holds.")?,
            ready: register.gauge("ready", "Whether the caches are usable and requests are taken.")?,
            draining: register.gauge("draining", "Whether the server was told to end.")?,
            bytes_from_cache: sent.with_label_values(&["cache"]),
            bytes_from_hub: sent.with_label_values(&["hub"]),
            upstream_bytes: register
                .counter("upstream_bytes_total", "Bytes of files received from the hub or the object store.")?,
            verification_failures: register.counter("verification_failures_total", "Files whose bytes were wrong.")?,
            quarantined: register.counter("quarantined_total", "Files put away because their bytes were wrong.")?,
            retries: register.counter("retries_total", "Requests for parts of files that were repeated.")?,
            stale: register.counter("stale_total", "Answers given from old metadata.")?,
            cut_off: register
                .counter("cut_off_total", "Answers cut off because their bytes turned out wrong or did not come.")?,
            evicted_bytes: register.counter("evicted_bytes_total", "Bytes removed to make room.")?,
            in_flight: register.gauge("requests_in_flight", "Requests being answered.")?,
            streaming: register.gauge("streams_in_flight", "Files being sent.")?,
            fetching: register.gauge("fetches_in_flight", "Files being fetched from the hub.")?,
            waiting_fetches: register.gauge("fetches_waiting", "Files waiting for their turn to be fetched.")?,
            registry,
        };
        // An outcome that did not happen yet is a zero, not a gap: `increase` does not see the first of a kind else.
        for lookup in Lookup::ALL {
            metrics.lookups.with_label_values(&[lookup.label()]);
        }
        for outcome in Fetched::ALL {
            metrics.fetches.with_label_values(&[outcome.label()]);
        }
        for (kind, outcome) in UPSTREAM_KINDS.iter().flat_map(|kind| UPSTREAM_OUTCOMES.map(|outcome| (kind, outcome))) {
            metrics.upstream_requests.with_label_values(&[kind, outcome]);
        }
        Ok(metrics)
    }

    /// Counts what a listener counts, too.
    pub(crate) fn listen(&self, stats: &speech_flow_http_listener::Stats) -> Result<()> {
        stats.register(&self.registry)
    }

    pub(crate) fn request(&self, endpoint: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[endpoint, &status.to_string()]).inc();
        self.durations.with_label_values(&[endpoint]).observe(took.as_secs_f64());
    }

    pub(crate) fn lookup(&self, lookup: Lookup) {
        self.lookups.with_label_values(&[lookup.label()]).inc();
    }

    pub(crate) fn fetched(&self, outcome: Fetched) {
        self.fetches.with_label_values(&[outcome.label()]).inc();
    }

    pub(crate) fn first_byte(&self, lookup: Lookup, took: Duration) {
        self.first_bytes.with_label_values(&[lookup.label()]).observe(took.as_secs_f64());
    }

    pub(crate) fn model_bytes(&self, repo: &str, source: &str, bytes: u64) {
        let known = self.known_models.iter().find(|known| *known == repo);
        self.model_bytes.with_label_values(&[known.map_or("other", String::as_str), source]).inc_by(bytes);
    }

    pub(crate) fn upstream_request(&self, kind: &str, error: Option<&HubError>) {
        let outcome = match error {
            None => "ok",
            Some(HubError::RateLimited { .. }) => "rate-limited",
            Some(HubError::OwnLimit { .. }) => "own-limit",
            Some(HubError::Server { .. }) => "server-error",
            Some(HubError::Timeout { .. }) => "timeout",
            Some(HubError::Network { .. } | HubError::Untrusted { .. } | HubError::Truncated { .. }) => "network",
            Some(HubError::RepoNotFound { .. } | HubError::RevisionNotFound { .. } | HubError::FileNotFound { .. }) => {
                "not-found"
            }
            Some(HubError::Unauthorized { .. } | HubError::Gated { .. } | HubError::Disabled { .. }) => "refused",
            Some(_) => "unusable",
        };
        self.upstream_requests.with_label_values(&[kind, outcome]).inc();
    }

    /// Range requests that the fetcher made; what failed of them was repeated.
    pub(crate) fn upstream_ranges(&self, requests: u64, retries: u64) {
        self.upstream_requests.with_label_values(&["range", "ok"]).inc_by(requests.saturating_sub(retries));
        self.upstream_requests.with_label_values(&["range", "repeated"]).inc_by(retries);
        self.retries.inc_by(retries);
    }

    pub(crate) fn update_ran(&self, outcome: &str) {
        self.update_runs.with_label_values(&[outcome]).inc();
    }

    /// Takes over what is known of updates; it may be another server's.
    pub(crate) fn updates(&self, record: &Record) {
        self.update_last_run.set(record.checked.map_or(0, |checked| checked.as_second()));
        for model in self.known_models.iter() {
            let mut of_model = record.models.iter().filter(|record| record.repo == *model).peekable();
            if of_model.peek().is_none() {
                continue;
            }
            let of_model: Vec<_> = of_model.collect();
            let is_newer = |record: &&ModelRecord| record.found.as_ref().is_some_and(|found| *found != record.locked);
            let available = of_model.iter().any(|record| is_newer(record) && record.state != State::Rejected);
            let failed = of_model.iter().any(|record| record.state == State::Failed);
            self.update_available.with_label_values(&[model]).set(available.into());
            self.update_failed.with_label_values(&[model]).set(failed.into());
        }
    }

    /// Hits among all lookups.
    pub(crate) fn hit_ratio(&self) -> Option<f64> {
        let count = |lookup: Lookup| self.lookups.with_label_values(&[lookup.label()]).get();
        let all: u64 = Lookup::ALL.into_iter().map(count).sum();
        (all > 0).then(|| count(Lookup::Hit) as f64 / all as f64)
    }

    /// The text for Prometheus.
    ///
    /// # Errors
    /// For a value that has no text.
    pub(crate) fn render(&self, state: &StateNumbers) -> Result<String> {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.leases.set(i64::try_from(state.leases).unwrap_or(i64::MAX));
        self.ready.set(state.is_ready.into());
        self.draining.set(state.is_draining.into());
        for volume in &state.volumes {
            let cache = &[volume.cache];
            self.disk_free.with_label_values(cache).set(whole(volume.free));
            self.disk_total.with_label_values(cache).set(whole(volume.total));
            self.disk_used.with_label_values(cache).set(whole(volume.total.saturating_sub(volume.free)));
        }
        encode(&self.registry)
    }
}

/// What a registry holds, as text.
pub(crate) fn encode(registry: &Registry) -> Result<String> {
    TextEncoder::new().encode_to_string(&registry.gather())
}

/// Makes metrics and puts them into a registry.
pub(crate) struct Registering<'a>(pub(crate) &'a Registry);

impl Registering<'_> {
    fn put<T: Collector + Clone + 'static>(&self, made: Result<T>) -> Result<T> {
        let metric = made?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(crate) fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.put(IntCounter::new(name, help))
    }

    pub(crate) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.put(IntCounterVec::new(Opts::new(name, help), labels))
    }

    pub(crate) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.put(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.put(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn durations(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec> {
        self.put(HistogramVec::new(HistogramOpts::new(name, help).buckets(BOUNDS.to_vec()), labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::new(vec!["o/r".to_owned()]).expect("names and labels are sound");
        metrics.request("resolve", 200, Duration::from_millis(20));
        metrics.lookup(Lookup::Hit);
        metrics.lookup(Lookup::Miss);
        metrics.model_bytes("o/r", "cache", 5);
        metrics.model_bytes("some/private-name", "cache", 7);
        metrics.fetched(Fetched::NoSpace);
        let text = metrics.render(&state()).expect("text");
        for line in [
            "# TYPE speech_flow_server_requests_total counter",
            "speech_flow_server_requests_total{endpoint=\"resolve\",status=\"200\"} 1",
            "speech_flow_server_model_bytes_total{model=\"o/r\",source=\"cache\"} 5",
            "speech_flow_server_model_bytes_total{model=\"other\",source=\"cache\"} 7",
            "speech_flow_server_fetches_total{outcome=\"no-space\"} 1",
            "speech_flow_server_ready 1",
            "speech_flow_server_draining 0",
            concat!("speech_flow_server_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
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
    #[test]
    fn what_did_not_happen_yet_is_a_zero() {
        let metrics = Metrics::new(Vec::new()).expect("names and labels are sound");
        let before = metrics.render(&state()).expect("text");
        metrics.upstream_request("metadata", Some(&HubError::Cancelled));
        metrics.upstream_ranges(2, 1);
        metrics.fetched(Fetched::Damaged);
        metrics.lookup(Lookup::Follow);
        let after = metrics.render(&state()).expect("text");
        assert_eq!(after.lines().count(), before.lines().count(), "no new series\n{after}");
    }

    fn state() -> StateNumbers {
        let volumes = vec![VolumeNumbers { cache: "hub", free: 1, total: 3 }];
        StateNumbers { volumes, leases: 0, is_ready: true, is_draining: false }
    }
}
