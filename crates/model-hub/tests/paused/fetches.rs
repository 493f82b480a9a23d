//! Waits, stalls, order and cancellation.

use std::sync::Arc;
use std::time::Duration;

use speech_flow_model_hub::{BlobSink, FetchConfig, FetchItem, FetchReport, Fetcher, HubError, NoProgress};
use speech_flow_model_types::{Digest, RemoteFile, RetryPolicy};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::script::{CheckingSink, Script, Step};

const SEGMENT: u64 = 10_000;

fn config() -> FetchConfig {
    let retry = RetryPolicy { max_retries: 3, jitter: 0.0, ..RetryPolicy::default() };
    FetchConfig { segment_bytes: SEGMENT, lanes_per_file: 1, retry, ..FetchConfig::default() }
}

fn item(size: u64) -> FetchItem {
    FetchItem {
        repo: "a/b".parse().unwrap(),
        commit: "0".repeat(40).parse().unwrap(),
        file: RemoteFile {
            path: "model.bin".parse().unwrap(),
            size,
            digest: Digest::Sha256([0; 32]),
            blob_id: "0".repeat(40),
            xet_hash: None,
        },
        demand: speech_flow_model_hub::Demand::default(),
    }
}

async fn fetch(
    script: &Arc<Script>,
    config: FetchConfig,
    sink: &Arc<CheckingSink>,
    size: u64,
) -> (Result<FetchReport, HubError>, Duration) {
    let start = Instant::now();
    let fetcher = Fetcher::new(Arc::clone(script) as Arc<_>, config);
    let sink = Arc::clone(sink) as Arc<dyn BlobSink>;
    let outcome = fetcher.fetch(item(size), sink, Arc::new(NoProgress), CancellationToken::new()).await;
    (outcome, start.elapsed())
}

/// Fetches three segments by a script; the time is exact to the timer's millisecond.
async fn run(steps: impl IntoIterator<Item = Step>) -> (Result<FetchReport, HubError>, Duration, Arc<Script>) {
    let script = Script::new(steps);
    let sink = CheckingSink::new(3 * SEGMENT);
    let (outcome, elapsed) = fetch(&script, config(), &sink, 3 * SEGMENT).await;
    if outcome.is_ok() {
        assert_eq!(sink.held(), 3 * SEGMENT);
    }
    (outcome, elapsed, script)
}

#[track_caller]
fn assert_took(elapsed: Duration, seconds: u64) {
    let expected = Duration::from_secs(seconds);
    assert!(elapsed >= expected && elapsed < expected + Duration::from_millis(200), "{elapsed:?}, not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stall_of_thirty_seconds_reconnects_from_the_last_byte() {
    let (outcome, elapsed, script) = run([Step::StallAfter(4000)]).await;
    assert_eq!(outcome.unwrap().retries, 1);
    assert_took(elapsed, 30 + 5);
    assert_eq!(script.asked.lock().unwrap()[1], 4000..SEGMENT);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_creeps_is_no_stall() {
    let script = Script::new([Step::Drip(Duration::from_secs(29))]);
    let sink = CheckingSink::new(20);
    let (outcome, elapsed) = fetch(&script, config(), &sink, 20).await;
    assert_eq!(outcome.unwrap().retries, 0);
    assert_took(elapsed, 20 * 29);
}

#[tokio::test(start_paused = true)]
async fn a_slow_sink_is_no_stall() {
    let script = Script::new([]);
    let sink = CheckingSink::slow(3000, Duration::from_secs(100));
    let (outcome, elapsed) = fetch(&script, config(), &sink, 3000).await;
    assert_eq!(outcome.unwrap().retries, 0);
    assert_took(elapsed, 300);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_a_stall() {
    let (outcome, elapsed, _) = run([Step::Silence]).await;
    assert_eq!(outcome.unwrap().retries, 1);
    assert_took(elapsed, 30 + 5);
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_left_alone_as_long_as_it_asks() {
    let (outcome, elapsed, _) = run([Step::Busy(Duration::from_secs(12)), Step::Busy(Duration::from_secs(40))]).await;
    assert_eq!(outcome.unwrap().retries, 2);
    assert_took(elapsed, 12 + 40);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_down_ends_the_fetch_after_the_retries() {
    let (outcome, elapsed, script) = run([Step::Down; 4]).await;
    assert!(matches!(outcome, Err(HubError::Server { .. })));
    assert_took(elapsed, 5 + 10 + 20);
    assert_eq!(script.asked.lock().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_arrived_are_kept_and_start_the_count_again() {
    let (outcome, elapsed, script) = run([Step::EndAfter(1000); 8]).await;
    let report = outcome.unwrap();
    assert_eq!((report.retries, report.bytes_received), (8, 3 * SEGMENT));
    assert_took(elapsed, 8 * 5);
    assert_eq!(script.asked.lock().unwrap()[8], 8000..SEGMENT);
}

#[tokio::test(start_paused = true)]
async fn a_new_version_midway_starts_over_once() {
    let script = Script::new([Step::Whole, Step::Renamed]);
    let sink = CheckingSink::new(3 * SEGMENT);
    let (outcome, _) = fetch(&script, config(), &sink, 3 * SEGMENT).await;
    assert_eq!(outcome.unwrap().restarts, 1);
    assert_eq!((sink.held(), *sink.restarts.lock().unwrap()), (3 * SEGMENT, 1));
    let (outcome, ..) = run([Step::Whole, Step::Renamed, Step::Whole, Step::Renamed]).await;
    assert!(matches!(outcome, Err(HubError::ContentChanged { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_source_without_ranges_is_read_in_one_piece() {
    let (outcome, _, script) = run([Step::NoRanges; 3]).await;
    let report = outcome.unwrap();
    assert_eq!((report.restarts, report.bytes_received), (1, 3 * SEGMENT));
    assert_eq!(*script.asked.lock().unwrap(), [0..SEGMENT, 0..3 * SEGMENT]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_holds_over_all_lanes() {
    let script = Script::new([]);
    let sink = CheckingSink::new(20 * SEGMENT);
    let config = FetchConfig { lanes_per_file: 4, rate_limit: Some(SEGMENT), ..config() };
    let (outcome, elapsed) = fetch(&script, config, &sink, 20 * SEGMENT).await;
    outcome.unwrap();
    assert!((18..=21).contains(&elapsed.as_secs()), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_small_file_does_not_starve_behind_a_huge_one() {
    let script = Arc::new(Script::with([], 1000, Duration::from_millis(100)));
    let config = FetchConfig { lanes_total: 2, lanes_per_file: 2, ..config() };
    let fetcher = Fetcher::new(Arc::clone(&script) as Arc<_>, config);
    let huge = CheckingSink::new(100 * SEGMENT);
    let small = CheckingSink::new(1000);
    let start = Instant::now();
    let run = |size, sink: &Arc<CheckingSink>| {
        let (fetcher, sink) = (fetcher.clone(), Arc::clone(sink) as Arc<dyn BlobSink>);
        async move {
            fetcher.fetch(item(size), sink, Arc::new(NoProgress), CancellationToken::new()).await.unwrap();
            start.elapsed()
        }
    };
    let late = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        run(1000, &small).await
    };
    let (huge_done, small_done) = tokio::join!(run(100 * SEGMENT, &huge), late);
    assert!(small_done < Duration::from_secs(2), "{small_done:?}, one segment takes a second");
    assert!(huge_done >= Duration::from_secs(50));
    assert_eq!(script.open.lock().unwrap().0, 2, "never more lanes than allowed");
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_all_lanes_and_keeps_what_came() {
    let script = Arc::new(Script::with([], 1000, Duration::from_secs(1)));
    let sink = CheckingSink::new(100 * SEGMENT);
    let fetcher = Fetcher::new(Arc::clone(&script) as Arc<_>, FetchConfig { lanes_per_file: 4, ..config() });
    let cancel = CancellationToken::new();
    let fetch = fetcher.fetch(
        item(100 * SEGMENT),
        Arc::clone(&sink) as Arc<dyn BlobSink>,
        Arc::new(NoProgress),
        cancel.clone(),
    );
    let stop = async {
        tokio::time::sleep(Duration::from_millis(3500)).await;
        cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(fetch, stop);
    assert!(matches!(outcome, Err(HubError::Cancelled)));
    assert_eq!(sink.held(), 4 * 3 * 1000);
    assert_eq!(script.open.lock().unwrap().1, 0, "no lane is left behind");
}

#[tokio::test(start_paused = true)]
async fn a_failing_sink_ends_the_fetch_at_once() {
    struct Full;
    impl BlobSink for Full {
        fn missing(&self) -> Vec<std::ops::Range<u64>> {
            std::iter::once(0..3 * SEGMENT).collect()
        }
        fn write(
            &self,
            _: u64,
            _: bytes::Bytes,
        ) -> futures_util::future::BoxFuture<'_, Result<(), speech_flow_model_hub::SinkError>> {
            Box::pin(async { Err(speech_flow_model_hub::SinkError::new("no space left")) })
        }
        fn restart(&self) -> futures_util::future::BoxFuture<'_, Result<(), speech_flow_model_hub::SinkError>> {
            Box::pin(async { Ok(()) })
        }
    }
    let fetcher = Fetcher::new(Script::new([]), config());
    let outcome =
        fetcher.fetch(item(3 * SEGMENT), Arc::new(Full), Arc::new(NoProgress), CancellationToken::new()).await;
    let Err(HubError::Sink { source, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(source.into_inner().to_string(), "no space left");
}
