//! Things that stand in a file's place.

use speech_flow_demo_hub::{Action, Endpoint, FaultRule};
use speech_flow_model_hub::{HubError, Unexpected};

use crate::support::{LARGE, MemorySink, Scene, full_text};

#[track_caller]
fn assert_found(error: &HubError, expected: Unexpected) {
    assert!(matches!(error, HubError::UnexpectedContent { found, .. } if *found == expected), "{error:?}");
    assert!(error.to_string().contains("`model.bin`"), "{error}");
    assert!(error.hint().is_some());
}

/// Fetches the large file under a fault; nothing may reach the sink.
async fn fetch_under(action: Action, endpoint: Endpoint) -> HubError {
    let scene = Scene::new().await;
    let item = scene.item("model.bin").await;
    scene.hub.add_fault(FaultRule::new(action).on(endpoint)).unwrap();
    let sink = MemorySink::new(LARGE);
    let error = scene.fetch_into(item, &sink).await.unwrap_err();
    assert_eq!(sink.held(), 0, "{error:?}");
    error
}

#[tokio::test]
async fn a_login_page_is_named() {
    assert_found(&fetch_under(Action::HtmlPage, Endpoint::Resolve).await, Unexpected::HtmlPage);
    assert_found(&fetch_under(Action::HtmlPage, Endpoint::Cdn).await, Unexpected::HtmlPage);
}

#[tokio::test]
async fn an_lfs_pointer_is_named() {
    assert_found(&fetch_under(Action::LfsPointer, Endpoint::Cdn).await, Unexpected::LfsPointer);
}

#[tokio::test]
async fn an_empty_body_is_named() {
    assert_found(&fetch_under(Action::EmptyBody, Endpoint::Cdn).await, Unexpected::EmptyBody);
}

#[tokio::test]
async fn a_login_page_in_place_of_a_small_file_is_named() {
    let scene = Scene::new().await;
    let item = scene.item("config.json").await;
    scene.hub.add_fault(FaultRule::new(Action::HtmlPage).on(Endpoint::Resolve)).unwrap();
    let sink = MemorySink::new(item.file.size);
    let error = scene.fetch_into(item, &sink).await.unwrap_err();
    assert!(matches!(error, HubError::UnexpectedContent { found: Unexpected::HtmlPage, .. }), "{error:?}");
}

#[tokio::test]
async fn a_compressed_body_is_refused() {
    let encoded = Action::Headers { set: vec![("Content-Encoding".into(), "gzip".into())], remove: Vec::new() };
    let error = fetch_under(encoded, Endpoint::Cdn).await;
    assert!(full_text(&error).contains("`gzip`"), "{}", full_text(&error));
}

#[tokio::test]
async fn another_commits_file_is_refused() {
    let other = Action::Headers { set: vec![("X-Repo-Commit".into(), "0".repeat(40))], remove: Vec::new() };
    let error = fetch_under(other, Endpoint::Resolve).await;
    assert!(full_text(&error).contains("instead of"), "{}", full_text(&error));
}

#[tokio::test]
async fn a_wrong_length_is_recovered_from() {
    for by in [-1000, 1000] {
        let mut scene = Scene::new().await;
        scene.fetch.lanes_per_file = 1;
        scene.hub.add_fault(FaultRule::new(Action::WrongLength { by }).on(Endpoint::Cdn).first(1)).unwrap();
        let report = scene.fetch_large().await.unwrap();
        assert_eq!(report.retries, 1, "{by}");
    }
}
