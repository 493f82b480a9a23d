//! A cache server that does not answer, and the hub behind it.

use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultRule};
use speech_flow_model_manager::{Error, Outcome};

use crate::scene::{Scene, WHISPER, tiny_whisper};

const FALLBACK: &str = "SPEECH_FLOW_FALLBACK_ENDPOINT";

/// An address where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    format!("http://{}", listener.local_addr().expect("bound"))
}

#[tokio::test]
async fn a_hub_that_does_not_answer_is_passed_by() {
    let scene = Scene::new().await;
    let manager = scene.other_manager(&[
        ("HF_ENDPOINT", &nobody()),
        (FALLBACK, &scene.hub.endpoint()),
        ("MODEL_DOWNLOAD_MAX_RETRIES", "1"),
    ]);
    let model = manager.ensure(&scene.spec(WHISPER)).await.expect("comes from the second");
    assert_eq!(model.outcome, Outcome::Downloaded);
}

#[tokio::test]
async fn files_that_the_first_cannot_give_come_from_the_second() {
    let scene = Scene::new().await;
    let broken = DemoHub::builder().repository(tiny_whisper()).start().await.expect("starts");
    broken.add_fault(FaultRule::new(Action::status(503)).on(Endpoint::Resolve)).expect("a good rule");
    let manager = scene.other_manager(&[
        ("HF_ENDPOINT", &broken.endpoint()),
        (FALLBACK, &scene.hub.endpoint()),
        ("MODEL_DOWNLOAD_MAX_RETRIES", "0"),
    ]);
    manager.ensure(&scene.spec(WHISPER)).await.expect("comes from both");
    let asked = |hub: &DemoHub, endpoint| hub.requests().iter().filter(|request| request.endpoint == endpoint).count();
    assert_eq!(asked(&scene.hub, Endpoint::Info), 0, "the commit is the first one's");
    assert!(scene.body_requests() > 0);
    // It is left alone once it has not answered.
    assert!(asked(&broken, Endpoint::Resolve) <= 8, "{} requests", asked(&broken, Endpoint::Resolve));
}

#[tokio::test]
async fn not_found_is_an_answer() {
    let scene = Scene::new().await;
    let empty = DemoHub::builder().start().await.expect("starts");
    let manager = scene.other_manager(&[("HF_ENDPOINT", &empty.endpoint()), (FALLBACK, &scene.hub.endpoint())]);
    let error = manager.ensure(&scene.spec(WHISPER)).await.expect_err("is not there");
    assert!(matches!(error, Error::Hub { .. }), "{error:?}");
    assert!(scene.hub.requests().is_empty());
}
