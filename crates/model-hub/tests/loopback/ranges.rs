//! Ranges, resume, and servers that get them wrong.

use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultRule};
use speech_flow_model_hub::HubError;

use crate::support::{LARGE, MemorySink, SEGMENT, Scene, full_text, repository, sha256};

#[tokio::test]
async fn a_file_comes_in_segments_and_whole() {
    let scene = Scene::new().await;
    let report = scene.fetch_large().await.unwrap();
    assert_eq!((report.bytes_received, report.requests, report.retries), (LARGE, 5, 0));
    let sent: u64 =
        scene.hub.requests().iter().filter(|request| request.endpoint == Endpoint::Cdn).map(|r| r.bytes_sent).sum();
    assert_eq!(sent, LARGE, "each byte is sent once");
}

#[tokio::test]
async fn the_hub_is_asked_for_the_storages_address_once() {
    let mut scene = Scene::new().await;
    scene.fetch.lanes_per_file = 1;
    scene.fetch_large().await.unwrap();
    let resolves = scene.hub.requests().iter().filter(|request| request.endpoint == Endpoint::Resolve).count();
    assert_eq!(resolves, 1);
}

#[tokio::test]
async fn an_address_that_ran_out_is_asked_for_anew() {
    let mut scene = Scene::new().await;
    scene.fetch.lanes_per_file = 1;
    scene.hub.add_fault(FaultRule::new(Action::status(403)).on(Endpoint::Cdn).nth(3)).unwrap();
    let report = scene.fetch_large().await.unwrap();
    assert_eq!(report.retries, 0);
    let resolves = scene.hub.requests().iter().filter(|request| request.endpoint == Endpoint::Resolve).count();
    assert_eq!(resolves, 2);
}

#[tokio::test]
async fn only_what_is_missing_is_fetched() {
    let scene = Scene::new().await;
    let item = scene.item("model.bin").await;
    let whole = MemorySink::new(LARGE);
    scene.fetch_into(item.clone(), &whole).await.unwrap();
    let have = 1000..3 * SEGMENT + 17;
    let content = whole.content();
    let sink = MemorySink::with(LARGE, have.clone(), &content[have.start as usize..have.end as usize]);
    let report = scene.fetch_into(item.clone(), &sink).await.unwrap();
    assert_eq!(report.bytes_received, LARGE - (have.end - have.start));
    assert_eq!(sha256(&sink.content()), item.file.digest);
    let done = scene.fetch_into(item, &sink).await.unwrap();
    assert_eq!(done.requests, 0);
}

#[tokio::test]
async fn a_cut_body_goes_on_from_its_last_byte() {
    let mut scene = Scene::new().await;
    scene.fetch.lanes_per_file = 1;
    scene.hub.add_fault(FaultRule::new(Action::CutAfter { bytes: 10_000 }).on(Endpoint::Cdn).first(1)).unwrap();
    let report = scene.fetch_large().await.unwrap();
    assert_eq!((report.bytes_received, report.retries, report.restarts), (LARGE, 1, 0));
    let resumed = format!("bytes=10000-{}", SEGMENT - 1);
    assert!(scene.ranges().iter().any(|(range, _)| range.as_deref() == Some(&resumed)), "{:?}", scene.ranges());
}

#[tokio::test]
async fn a_stalled_lane_is_connected_anew() {
    let mut scene = Scene::new().await;
    scene.fetch.lanes_per_file = 1;
    scene.fetch.stall_timeout = std::time::Duration::from_millis(80);
    let stall = Action::StallAfter { bytes: 5000, resume_after_ms: None };
    scene.hub.add_fault(FaultRule::new(stall).on(Endpoint::Cdn).first(1)).unwrap();
    let report = scene.fetch_large().await.unwrap();
    assert_eq!((report.bytes_received, report.retries), (LARGE, 1));
}

#[tokio::test]
async fn an_ignored_range_starts_over_on_one_lane() {
    let scene = Scene::new().await;
    let item = scene.item("model.bin").await;
    scene.hub.add_fault(FaultRule::new(Action::IgnoreRange).on(Endpoint::Cdn)).unwrap();
    let sink = MemorySink::with(LARGE, 0..SEGMENT, &vec![1; SEGMENT as usize]);
    let report = scene.fetch_into(item.clone(), &sink).await.unwrap();
    assert_eq!(report.restarts, 1);
    assert_eq!(sha256(&sink.content()), item.file.digest);
}

#[tokio::test]
async fn a_server_without_ranges_that_cuts_once_is_read_again_from_the_start() {
    let scene = Scene::new().await;
    let item = scene.item("model.bin").await;
    scene
        .hub
        .add_fault(FaultRule::new(Action::CutAfter { bytes: 70_000 }).on(Endpoint::Cdn).ranged(false).first(1))
        .unwrap();
    scene.hub.add_fault(FaultRule::new(Action::IgnoreRange).on(Endpoint::Cdn).ranged(true)).unwrap();
    let sink = MemorySink::new(LARGE);
    let report = scene.fetch_into(item.clone(), &sink).await.unwrap();
    assert_eq!((report.restarts, report.retries), (2, 1), "{report:?}");
    assert_eq!(sha256(&sink.content()), item.file.digest);
}

#[tokio::test]
async fn a_server_without_ranges_that_always_cuts_ends() {
    let scene = Scene::new().await;
    let item = scene.item("model.bin").await;
    scene.hub.add_fault(FaultRule::new(Action::CutAfter { bytes: 70_000 }).on(Endpoint::Cdn).ranged(false)).unwrap();
    scene.hub.add_fault(FaultRule::new(Action::IgnoreRange).on(Endpoint::Cdn).ranged(true)).unwrap();
    let error = scene.fetch_into(item, &MemorySink::new(LARGE)).await.unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error:?}");
}

#[tokio::test]
async fn a_206_for_other_bytes_is_never_stored() {
    let mut scene = Scene::new().await;
    scene.fetch.lanes_per_file = 1;
    let rule = FaultRule::new(Action::WrongRange { shift: 100 }).on(Endpoint::Cdn);
    scene.hub.add_fault(rule.clone().first(1)).unwrap();
    scene.fetch_large().await.unwrap();
    scene.hub.clear_faults();
    scene.hub.add_fault(rule).unwrap();
    let sink = MemorySink::new(LARGE);
    let error = scene.fetch_into(scene.item("model.bin").await, &sink).await.unwrap_err();
    assert!(full_text(&error).contains("was asked for bytes 0-65535"), "{}", full_text(&error));
    assert_eq!(sink.held(), 0);
}

#[tokio::test]
async fn a_changed_etag_starts_over_once() {
    let scene = Scene::new().await;
    let item = scene.item("model.bin").await;
    scene.hub.add_fault(FaultRule::new(Action::ChangedEtag { etag: None }).on(Endpoint::Resolve).first(1)).unwrap();
    let sink = MemorySink::with(LARGE, 0..SEGMENT, &vec![1; SEGMENT as usize]);
    let report = scene.fetch_into(item.clone(), &sink).await.unwrap();
    assert_eq!(report.restarts, 1);
    assert_eq!(sha256(&sink.content()), item.file.digest);
}

#[tokio::test]
async fn an_etag_that_stays_changed_is_an_error() {
    let scene = Scene::new().await;
    scene.hub.add_fault(FaultRule::new(Action::ChangedEtag { etag: None }).on(Endpoint::Resolve)).unwrap();
    let error = scene.fetch_large().await.unwrap_err();
    assert!(matches!(error, HubError::ContentChanged { .. }), "{error:?}");
}

#[tokio::test]
async fn an_etag_that_changes_at_the_storage_starts_over() {
    let mut scene = Scene::new().await;
    scene.fetch.lanes_per_file = 1;
    let changed = Action::ChangedEtag { etag: Some("other".into()) };
    scene.hub.add_fault(FaultRule::new(changed).on(Endpoint::Cdn).nth(3)).unwrap();
    let report = scene.fetch_large().await.unwrap();
    assert_eq!(report.restarts, 1);
}

#[tokio::test]
async fn a_hub_that_sends_large_files_itself_works_the_same() {
    let scene = Scene::of(DemoHub::builder().repository(repository()).cdn(false), |_| {}).await;
    let report = scene.fetch_large().await.unwrap();
    assert_eq!((report.bytes_received, report.retries), (LARGE, 0));
}

#[tokio::test]
async fn a_small_file_comes_in_one_request() {
    let scene = Scene::of(DemoHub::builder().repository(repository()).relative_redirects(true), |_| {}).await;
    let item = scene.item("config.json").await;
    let sink = MemorySink::new(item.file.size);
    let report = scene.fetch_into(item, &sink).await.unwrap();
    assert_eq!(report.requests, 1);
    assert_eq!(sink.content(), b"{\"model_type\": \"whisper\"}");
}
