//! Redirects: followed by us, counted, and never with the token elsewhere.

use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultRule, Server};
use speech_flow_model_hub::{HubError, Secret, Source};
use speech_flow_model_types::Revision;

use crate::support::{Scene, full_text, repository};

#[tokio::test]
async fn the_token_goes_to_the_hub_and_to_no_other_host() {
    let builder = DemoHub::builder().repository(repository()).token("hf_secret", ["*"]);
    let scene = Scene::of(builder, |config| config.token = Secret::from_text("hf_secret")).await;
    scene.fetch_large().await.unwrap();
    let requests = scene.hub.requests();
    let (at_hub, elsewhere): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.server == Server::Hub);
    assert!(!at_hub.is_empty() && at_hub.iter().all(|request| request.had_authorization));
    assert!(!elsewhere.is_empty() && elsewhere.iter().all(|request| !request.had_authorization));
}

#[tokio::test]
async fn metadata_that_moved_to_another_host_is_asked_for_without_the_token() {
    let target = DemoHub::builder().repository(repository()).start().await.unwrap();
    let builder = DemoHub::builder().repository(repository()).token("hf_secret", ["*"]);
    let scene = Scene::of(builder, |config| config.token = Secret::from_text("hf_secret")).await;
    scene.hub.add_fault(FaultRule::new(Action::Redirect { to: target.endpoint() })).unwrap();
    scene.client.resolve(&scene.repo, &Revision::main()).await.unwrap();
    assert!(scene.hub.requests()[0].had_authorization);
    let arrived = target.requests();
    assert_eq!(arrived.len(), 1);
    assert!(!arrived[0].had_authorization);
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let scene = Scene::new().await;
    scene.hub.add_fault(FaultRule::new(Action::Redirect { to: scene.hub.endpoint() })).unwrap();
    let error = scene.client.resolve(&scene.repo, &Revision::main()).await.unwrap_err();
    assert!(full_text(&error).contains("more than 20 times"), "{}", full_text(&error));
    assert_eq!(scene.hub.requests().len(), 21);
}

#[tokio::test]
async fn a_redirect_to_another_scheme_is_not_followed() {
    let scene = Scene::new().await;
    scene.hub.add_fault(FaultRule::new(Action::Redirect { to: "ftp://127.0.0.1".into() })).unwrap();
    let error = scene.client.resolve(&scene.repo, &Revision::main()).await.unwrap_err();
    assert!(full_text(&error).contains("not followed"), "{}", full_text(&error));
}

#[tokio::test]
async fn a_signed_address_is_not_shown_in_errors() {
    let mut scene = Scene::new().await;
    scene.fetch.retry.max_retries = 0;
    scene.hub.add_fault(FaultRule::new(Action::status(500)).on(Endpoint::Cdn)).unwrap();
    let error = scene.fetch_large().await.unwrap_err();
    assert!(matches!(error, HubError::Server { status: 500, .. }), "{error:?}");
    let shown = format!("{error:?} {}", full_text(&error));
    assert!(shown.contains("?…"), "{shown}");
    assert!(!shown.to_lowercase().contains("signature="), "{shown}");
}
