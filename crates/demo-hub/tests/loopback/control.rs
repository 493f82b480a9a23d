//! What another process may do to a running hub.

use serde_json::json;
use speech_flow_demo_hub::{DemoHub, EmbeddedModel, ServeOptions, serve};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::client::{ask, get};

#[tokio::test]
async fn faults_and_requests_are_reached_over_http() {
    let repository = EmbeddedModel::TinyLid.builder("org/lid").build().unwrap();
    let hub = DemoHub::builder().repository(repository).fault_control(true).start().await.unwrap();
    let url = |path: &str| format!("{}{path}", hub.endpoint());
    let rule = json!({"match": {"path": "*.json"}, "action": {"kind": "status", "status": 503}, "times": {"first": 1}});
    let added = ask("POST", url("/demo/faults")).body(rule.to_string()).answer().await;
    assert_eq!((added.status, added.json()), (201, json!({"added": [1]})));
    let file = url("/org/lid/resolve/main/config.json");
    assert_eq!(get(&file).answer().await.status, 503);
    assert_eq!(get(&file).answer().await.status, 200);
    let faults = get(url("/demo/faults")).answer().await.json();
    assert_eq!((&faults[0]["matched"], &faults[0]["happened"]), (&json!(2), &json!(1)));
    assert_eq!(ask("DELETE", url("/demo/faults/1")).answer().await.status, 204);
    assert_eq!(ask("DELETE", url("/demo/faults/1")).answer().await.status, 404);
    let requests = get(url("/demo/requests")).answer().await.json();
    assert_eq!(requests.as_array().unwrap().len(), 2);
    assert_eq!((&requests[0]["fault"], &requests[1]["bytes_sent"]), (&json!("status"), &json!(2504)));
    assert_eq!(ask("DELETE", url("/demo/requests")).answer().await.status, 204);
    assert!(hub.requests().is_empty());
}

#[tokio::test]
async fn a_wrong_rule_is_refused_with_its_reason() {
    let hub = DemoHub::builder().fault_control(true).start().await.unwrap();
    for rule in ["{", r#"{"action": {"kind": "explode"}}"#, r#"{"match": {"path": "[a"}, "action": {"kind": "drop"}}"#]
    {
        let answer = ask("POST", format!("{}/demo/faults", hub.endpoint())).body(rule).answer().await;
        assert_eq!(answer.status, 400, "{rule}");
    }
    assert!(hub.faults().is_empty());
}

#[tokio::test]
async fn there_is_no_control_unless_asked_for() {
    let hub = DemoHub::builder().start().await.unwrap();
    for path in ["faults", "requests", "heads"] {
        assert_eq!(get(format!("{}/demo/{path}", hub.endpoint())).answer().await.status, 404);
    }
}

#[tokio::test]
async fn the_program_serves_models_folders_and_faults_until_stopped() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    let faults = folder.path().join(".faults.json");
    std::fs::write(&faults, r#"[{"match": {"repo": "my/model"}, "action": {"kind": "delay", "ms": 1}}]"#).unwrap();
    let options = ServeOptions {
        faults: Some(faults),
        folders: vec![("my/model".to_owned(), folder.path().to_owned())],
        fault_control: true,
        ..ServeOptions::default()
    };
    let stop = CancellationToken::new();
    let (ready, endpoint) = oneshot::channel();
    let serving = tokio::spawn(serve(options, |hub| ready.send(hub.endpoint()).unwrap(), stop.clone()));
    let endpoint = endpoint.await.unwrap();
    assert_eq!(get(format!("{endpoint}/my/model/resolve/main/config.json")).answer().await.body, b"{}");
    let large = get(format!("{endpoint}/api/models/Systran/faster-whisper-large-v3")).answer().await;
    assert_eq!(large.status, 200);
    let head = json!({"repo": "speech-flow/tiny-lid", "branch": "main", "commit": "next"});
    assert_eq!(ask("POST", format!("{endpoint}/demo/heads")).body(head.to_string()).answer().await.status, 200);
    stop.cancel();
    serving.await.unwrap().unwrap();
}
