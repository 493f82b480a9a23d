//! Clients that hold connections without using them.

use std::io::Write as _;
use std::net::TcpStream;

use speech_flow_speech_worker::Kind;

use crate::client::{Connection, Form, get, post};
use crate::scene::{Scene, clip};

const IDENTIFY: &str = "/v1/audio/language";

#[test]
fn heads_that_come_slowly_keep_nobody_from_probes_or_work() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Lid, &[("WORKER_MAX_CONNECTIONS", "10")]);
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(worker.address).expect("connects");
        // A connection that was ended meanwhile takes no bytes.
        let _ = stream.write_all(b"POST /v1/audio/language HTTP/1.1\r\nhost: x\r\nx-slow: ");
        held.push(stream);
    }
    assert_eq!(get(worker.address, "/livez").status, 200);
    assert_eq!(post(worker.address, IDENTIFY, &Form::file(&clip("en05.wav"))).status, 200);
    assert!(worker.metric("speech_flow_worker_connections_closed_total{reason=\"evicted\"}") >= 90.0);
    assert!(worker.metric("speech_flow_worker_connections ") <= 10.0);
}

#[test]
fn while_all_connections_are_at_work_probes_are_answered_and_work_is_put_off() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Lid, &[("WORKER_MAX_CONNECTIONS", "1")]);
    let kind = Form::content_type();
    // Until its head is read, the upload makes room for the next request.
    let (_uploading, refused) = loop {
        let mut uploading = Connection::open(worker.address);
        uploading.send("POST", IDENTIFY, &[("content-type", &kind), ("content-length", "100000")], b"--");
        let answer = post(worker.address, IDENTIFY, &Form::file(&clip("en05.wav")));
        if answer.status != 200 {
            break (uploading, answer);
        }
    };
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.refusal(), (503, "overloaded".to_owned()));
    assert_eq!(get(worker.address, "/livez").status, 200);
}
