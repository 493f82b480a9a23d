//! Each wait between retries, on a clock that writes it down.

use std::time::Duration;

use speech_flow_demo_hub::{Action, Endpoint, FaultRule, RetryAfter};
use speech_flow_model_hub::{HubError, Source, WaitReason};
use speech_flow_model_types::Revision;

use crate::support::{Scene, seconds};

/// Resolves under a fault; returns the waits and why they were.
async fn resolve_under(rule: FaultRule) -> (Result<(), HubError>, Vec<Duration>, Vec<WaitReason>) {
    let scene = Scene::new().await;
    scene.hub.add_fault(rule.on(Endpoint::Info)).unwrap();
    let outcome = scene.client.resolve(&scene.repo, &Revision::main()).await.map(drop);
    let reasons = scene.watch.waits.lock().unwrap().iter().map(|(reason, _)| reason.clone()).collect();
    (outcome, scene.clock.waits(), reasons)
}

#[tokio::test]
async fn retry_after_as_seconds_is_obeyed() {
    let busy = Action::too_many_requests(RetryAfter::Seconds(12));
    let (outcome, waits, reasons) = resolve_under(FaultRule::new(busy).first(2)).await;
    outcome.unwrap();
    assert_eq!(waits, seconds(&[12, 12]));
    assert_eq!(reasons, [WaitReason::RateLimited, WaitReason::RateLimited]);
}

#[tokio::test]
async fn retry_after_as_a_date_is_obeyed() {
    let busy = Action::too_many_requests(RetryAfter::DateIn(90));
    let (outcome, waits, _) = resolve_under(FaultRule::new(busy).first(1)).await;
    outcome.unwrap();
    // A date has whole seconds.
    assert_eq!(waits.len(), 1);
    assert!((88..=90).contains(&waits[0].as_secs()), "{waits:?}");
}

#[tokio::test]
async fn the_hubs_rate_limit_header_is_obeyed() {
    let (outcome, waits, _) = resolve_under(FaultRule::new(Action::rate_limited(55)).first(1)).await;
    outcome.unwrap();
    assert_eq!(waits, seconds(&[55]));
}

#[tokio::test]
async fn server_errors_double_the_delay_and_end() {
    let (outcome, waits, reasons) = resolve_under(FaultRule::new(Action::status(503))).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, HubError::Server { status: 503, .. }), "{error:?}");
    assert_eq!(waits, seconds(&[5, 10, 20]));
    assert_eq!(reasons[0], WaitReason::ServerError(503));
}

#[tokio::test]
async fn a_dropped_connection_is_tried_again() {
    let (outcome, waits, reasons) = resolve_under(FaultRule::new(Action::Drop).first(2)).await;
    outcome.unwrap();
    assert_eq!(waits, seconds(&[5, 10]));
    assert_eq!(reasons[0], WaitReason::ConnectionLost);
}

#[tokio::test]
async fn a_wait_beyond_reason_ends_the_retries_and_is_told() {
    let busy = Action::too_many_requests(RetryAfter::Seconds(86_400));
    let (outcome, waits, _) = resolve_under(FaultRule::new(busy)).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(86_400)));
    assert!(error.to_string().contains("86400 s"), "{error}");
    assert!(waits.is_empty(), "{waits:?}");
}

#[tokio::test]
async fn each_page_of_a_listing_has_its_own_retries() {
    let scene = Scene::new().await;
    scene.hub.add_fault(FaultRule::new(Action::status(500)).on(Endpoint::Tree).first(3)).unwrap();
    let commit = scene.hub.commit("org/model", "main").unwrap();
    assert_eq!(scene.client.list(&scene.repo, &commit).await.unwrap().len(), 3);
    assert_eq!(scene.clock.waits(), seconds(&[5, 10, 20]));
}

#[tokio::test]
async fn segments_wait_as_the_server_says() {
    for (action, expected) in [
        (Action::too_many_requests(RetryAfter::Seconds(12)), 12..=12),
        (Action::too_many_requests(RetryAfter::DateIn(40)), 38..=40),
        (Action::rate_limited(30), 30..=30),
        (Action::status(500), 5..=5),
    ] {
        let mut scene = Scene::new().await;
        scene.fetch.lanes_per_file = 1;
        scene.hub.add_fault(FaultRule::new(action.clone()).on(Endpoint::Resolve).first(1)).unwrap();
        let report = scene.fetch_large().await.unwrap();
        assert_eq!(report.retries, 1, "{action:?}");
        let waits = scene.clock.waits();
        assert!(waits.len() == 1 && expected.contains(&waits[0].as_secs()), "{action:?}: {waits:?}");
    }
}

#[tokio::test]
async fn progress_starts_the_count_of_retries_again() {
    let mut scene = Scene::new().await;
    scene.fetch.lanes_per_file = 1;
    scene.fetch.segment_bytes = u64::MAX;
    // Far more cuts than retries are allowed, but each brings bytes.
    let cut = Action::CutAfter { bytes: 30_000 };
    scene.hub.add_fault(FaultRule::new(cut).on(Endpoint::Cdn)).unwrap();
    let report = scene.fetch_large().await.unwrap();
    assert!(report.retries > 5, "{report:?}");
    assert!(scene.clock.waits().iter().all(|wait| *wait == Duration::from_secs(5)), "{:?}", scene.clock.waits());
}
