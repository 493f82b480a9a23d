//! What is counted. Work is counted in seconds of audio: that is what costs.
//!
//! Counts of audio are fractions, so counters hold floats. Labels are closed sets; only the model's own metric names it.

use std::time::Duration;

use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts,
    Registry, TextEncoder,
};
use speech_flow_model_manager::Outcome;

use crate::admission::{Backlog, Limits};
use crate::health::Phase;
use crate::model::ModelInfo;
use crate::schedule::PoolEvents;

/// Bounds of times that work takes, in seconds.
const TIMES: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];
/// Bounds of real-time factors: seconds of work for a second of audio.
const FACTORS: &[f64] = &[0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
/// Bounds of batches, in windows.
const WINDOWS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// All metrics of one worker.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    phase_seconds: GaugeVec,
    start_seconds: Gauge,
    model_info: GaugeVec,
    ready: Gauge,
    draining: Gauge,
    obtained: IntCounterVec,
    requests: IntCounterVec,
    rejected: IntCounterVec,
    processed: CounterVec,
    vad_removed: Counter,
    fallbacks: IntCounter,
    backlog_audio: Gauge,
    backlog_requests: Gauge,
    engine_running: Gauge,
    waiting_windows: Gauge,
    speed: Gauge,
    queue_wait: Histogram,
    real_time_factor: HistogramVec,
    stage_seconds: HistogramVec,
    step_seconds: HistogramVec,
    batch_windows: HistogramVec,
    reloads: IntCounterVec,
}

/// Outcomes of attempts to load another version.
const RELOADS: [&str; 3] = ["done", "unchanged", "failed"];
/// How a model can come to be on disk.
const OBTAINED: [Outcome; 3] = [Outcome::Hit, Outcome::Downloaded, Outcome::Repaired];
/// Why requests are not taken, whatever they hold.
const REJECTED: [&str; 5] = ["overloaded", "starting", "draining", "request_too_large", "unauthorized"];

/// What the worker is like when the metrics are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateNumbers {
    pub(crate) backlog: Backlog,
    pub(crate) waiting_windows: usize,
    /// How long the batch that has been computed for longest is at it.
    pub(crate) longest_running: Duration,
    pub(crate) is_ready: bool,
    pub(crate) is_draining: bool,
}

/// A stage of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    /// The body is taken.
    Upload,
    /// The audio is decoded.
    Decode,
    /// All that the model does, with the waits for it.
    Infer,
    /// From the first byte to the last.
    Whole,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Decode => "decode",
            Self::Infer => "infer",
            Self::Whole => "whole",
        }
    }
}

impl Metrics {
    /// Metrics that are all zero.
    ///
    /// # Errors
    /// [`prometheus::Error`] for a name or label that makes none; a test makes them all.
    pub(crate) fn new(limits: Limits) -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("speech_flow".to_owned()), None)?;
        let register = Registering(&registry);
        register
            .gauges("build_info", "The program's version; always 1.", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        register
            .gauge("backlog_audio_limit_seconds", "Audio that may be in at once (`WORKER_QUEUE`).")?
            .set(limits.audio_s);
        register
            .gauge("backlog_requests_limit", "Requests that may be in at once (`WORKER_MAX_REQUESTS`).")?
            .set(limits.requests as f64);
        let metrics = Self {
            phase_seconds: register.gauges(
                "worker_phase_seconds",
                "Time that each phase of the last start-up took.",
                &["phase"],
            )?,
            start_seconds: register
                .gauge("worker_start_seconds", "Time from the start of the process' work to ready.")?,
            model_info: register.gauges(
                "model_info",
                "The loaded model; always 1.",
                &["name", "repo", "commit", "digest", "compute_type", "device"],
            )?,
            ready: register.gauge("worker_ready", "Whether new work is taken.")?,
            draining: register.gauge("worker_draining", "Whether the worker was told to end.")?,
            obtained: register.counters(
                "model_obtained_total",
                "Times that the model was looked for, by how it came to be on disk.",
                &["outcome"],
            )?,
            requests: register.counters(
                "worker_requests_total",
                "Answers, by path and status.",
                &["path", "status"],
            )?,
            rejected: register.counters(
                "worker_rejected_total",
                "Requests that were not taken, by reason.",
                &["reason"],
            )?,
            processed: register.floats(
                "audio_processed_seconds_total",
                "Audio that was worked on to its end.",
                &["task"],
            )?,
            vad_removed: register
                .float("audio_vad_removed_seconds_total", "Audio that voice activity detection left out.")?,
            fallbacks: register
                .counter("temperature_fallbacks_total", "Decodings that were done again at a higher temperature.")?,
            backlog_audio: register.gauge("backlog_audio_seconds", "Audio that is in and not done yet.")?,
            backlog_requests: register.gauge("backlog_requests", "Requests that are in and not done yet.")?,
            engine_running: register
                .gauge("engine_running_seconds", "How long the engine is at its longest running batch; 0 at rest.")?,
            waiting_windows: register.gauge("queue_windows", "Windows that wait for the engine.")?,
            speed: register.gauge("worker_speed_ratio", "Seconds of audio done in a second, over the recent past.")?,
            queue_wait: register.histogram("queue_wait_seconds", "Time that a window waited for the engine.", TIMES)?,
            real_time_factor: register.histograms(
                "real_time_factor_ratio",
                "Seconds that a request took for each second of its audio, without its upload.",
                FACTORS,
                &["task"],
            )?,
            stage_seconds: register.histograms(
                "request_stage_seconds",
                "Time of each stage of a request.",
                TIMES,
                &["stage"],
            )?,
            step_seconds: register.histograms(
                "engine_step_seconds",
                "Time of each batch of the engine.",
                TIMES,
                &["step"],
            )?,
            batch_windows: register.histograms(
                "engine_batch_windows",
                "Windows of each batch of the engine.",
                WINDOWS,
                &["step"],
            )?,
            reloads: register.counters(
                "model_reloads_total",
                "Attempts to load another version of the model.",
                &["outcome"],
            )?,
            registry,
        };
        // What did not happen yet is a zero, not a gap: `increase` does not see the first of a kind else.
        for outcome in RELOADS {
            metrics.reloads.with_label_values(&[outcome]);
        }
        for outcome in OBTAINED {
            metrics.obtained.with_label_values(&[outcome.as_str()]);
        }
        for reason in REJECTED {
            metrics.rejected.with_label_values(&[reason]);
        }
        Ok(metrics)
    }

    pub(crate) fn phase(&self, phase: Phase, took: Duration) {
        self.phase_seconds.with_label_values(&[phase.as_str()]).set(took.as_secs_f64());
    }

    /// The model was found on disk, or brought there.
    pub(crate) fn obtained(&self, outcome: Outcome) {
        self.obtained.with_label_values(&[outcome.as_str()]).inc();
    }

    pub(crate) fn started(&self, took: Duration) {
        self.start_seconds.set(took.as_secs_f64());
    }

    /// The model that answers from now on; the one before no longer does.
    pub(crate) fn model(&self, model: &ModelInfo) {
        self.model_info.reset();
        let labels = [
            model.name.as_str(),
            model.repo.as_deref().unwrap_or_default(),
            model.commit.as_deref().unwrap_or_default(),
            model.digest.as_deref().unwrap_or_default(),
            &model.compute_type,
            &model.device,
        ];
        self.model_info.with_label_values(&labels).set(1.0);
    }

    pub(crate) fn answered(&self, path: &str, status: u16) {
        self.requests.with_label_values(&[path, &status.to_string()]).inc();
    }

    pub(crate) fn rejected(&self, reason: &str) {
        self.rejected.with_label_values(&[reason]).inc();
    }

    /// A request was worked on to its end.
    pub(crate) fn processed(&self, task: &str, audio: Duration, took: Duration) {
        let audio_s = audio.as_secs_f64();
        self.processed.with_label_values(&[task]).inc_by(audio_s);
        if audio_s > 0.0 {
            self.real_time_factor.with_label_values(&[task]).observe(took.as_secs_f64() / audio_s);
        }
    }

    pub(crate) fn vad_removed(&self, audio_s: f64) {
        self.vad_removed.inc_by(audio_s.max(0.0));
    }

    pub(crate) fn fallbacks(&self, count: usize) {
        self.fallbacks.inc_by(count as u64);
    }

    pub(crate) fn stage(&self, stage: Stage, took: Duration) {
        self.stage_seconds.with_label_values(&[stage.as_str()]).observe(took.as_secs_f64());
    }

    /// Counts what a listener counts, too.
    pub(crate) fn listen(&self, stats: &speech_flow_http_listener::Stats) -> prometheus::Result<()> {
        stats.register(&self.registry)
    }

    pub(crate) fn reloaded(&self, outcome: &str) {
        self.reloads.with_label_values(&[outcome]).inc();
    }

    /// The metrics as Prometheus reads them.
    pub(crate) fn render(&self, state: StateNumbers) -> prometheus::Result<String> {
        let StateNumbers { backlog, waiting_windows, longest_running, is_ready, is_draining } = state;
        self.backlog_audio.set(backlog.audio_s);
        self.backlog_requests.set(backlog.requests as f64);
        self.waiting_windows.set(waiting_windows as f64);
        self.speed.set(backlog.speed);
        self.engine_running.set(longest_running.as_secs_f64());
        self.ready.set(f64::from(u8::from(is_ready)));
        self.draining.set(f64::from(u8::from(is_draining)));
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl PoolEvents for Metrics {
    fn waited(&self, waited: Duration) {
        self.queue_wait.observe(waited.as_secs_f64());
    }

    fn computed(&self, step: &'static str, windows: usize, elapsed: Duration) {
        self.step_seconds.with_label_values(&[step]).observe(elapsed.as_secs_f64());
        self.batch_windows.with_label_values(&[step]).observe(windows as f64);
    }
}

/// Makes metrics and puts them into a registry.
struct Registering<'a>(&'a Registry);

impl Registering<'_> {
    fn put<T: prometheus::core::Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<T>,
    ) -> prometheus::Result<T> {
        let metric = made?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.put(Gauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        self.put(GaugeVec::new(Opts::new(name, help), labels))
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.put(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.put(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn float(&self, name: &str, help: &str) -> prometheus::Result<Counter> {
        self.put(Counter::new(name, help))
    }

    fn floats(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<CounterVec> {
        self.put(CounterVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> prometheus::Result<Histogram> {
        self.put(Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec())))
    }

    fn histograms(&self, name: &str, help: &str, bounds: &[f64], labels: &[&str]) -> prometheus::Result<HistogramVec> {
        self.put(HistogramVec::new(HistogramOpts::new(name, help).buckets(bounds.to_vec()), labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { audio_s: 7200.0, requests: 64 };
    const STATE: StateNumbers = StateNumbers {
        backlog: Backlog { audio_s: 12.5, requests: 2, speed: 20.0 },
        waiting_windows: 0,
        longest_running: Duration::from_millis(1500),
        is_ready: true,
        is_draining: false,
    };

    #[test]
    fn audio_is_counted_in_fractions_of_seconds() {
        let metrics = Metrics::new(LIMITS).expect("names and labels are sound");
        metrics.processed("transcribe", Duration::from_millis(2_250), Duration::from_millis(225));
        metrics.phase(Phase::Load, Duration::from_millis(500));
        let text = metrics.render(STATE).expect("renders");
        for line in [
            "speech_flow_audio_processed_seconds_total{task=\"transcribe\"} 2.25",
            "speech_flow_worker_phase_seconds{phase=\"load\"} 0.5",
            "speech_flow_backlog_audio_seconds 12.5",
            "speech_flow_real_time_factor_ratio_bucket{task=\"transcribe\",le=\"0.1\"} 1",
            "speech_flow_backlog_audio_limit_seconds 7200",
            "speech_flow_backlog_requests_limit 64",
            "speech_flow_engine_running_seconds 1.5",
            "speech_flow_worker_ready 1",
            "speech_flow_worker_draining 0",
            concat!("speech_flow_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn only_the_model_that_answers_is_named() {
        let metrics = Metrics::new(LIMITS).expect("names and labels are sound");
        for commit in ["aaaa", "bbbb"] {
            metrics.model(&ModelInfo { commit: Some(commit.to_owned()), ..ModelInfo::example() });
        }
        let text = metrics.render(STATE).expect("renders");
        assert!(text.contains("commit=\"bbbb\"") && !text.contains("commit=\"aaaa\""), "{text}");
    }
    #[test]
    fn what_did_not_happen_yet_is_a_zero() {
        let metrics = Metrics::new(LIMITS).expect("names and labels are sound");
        let before = metrics.render(STATE).expect("renders");
        metrics.reloaded("failed");
        metrics.rejected("overloaded");
        metrics.obtained(Outcome::Repaired);
        let after = metrics.render(STATE).expect("renders");
        assert_eq!(after.lines().count(), before.lines().count(), "no new series\n{after}");
    }
}
