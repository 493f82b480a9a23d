//! More work than there is time for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use speech_flow_speech_worker::Kind;

use crate::client::{Connection, Form, get, post};
use crate::scene::{Scene, clip, speech};

const TRANSCRIBE: &str = "/v1/audio/transcriptions";

#[test]
fn a_short_clip_behind_a_long_file_is_answered_first() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[("WHISPER_COMPUTE_TYPE", "int8")]);
    let address = worker.address;
    let long_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let answer = post(address, TRANSCRIBE, &Form::file(&speech(900)).field("temperature", "0"));
            long_done.store(true, Ordering::SeqCst);
            assert_eq!(answer.status, 200, "{}", answer.text());
        });
        while worker.metric("speech_flow_backlog_audio_seconds") < 500.0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let answer = post(address, TRANSCRIBE, &Form::file(&clip("en05.wav")));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!long_done.load(Ordering::SeqCst), "the short clip waited for the long file");
    });
}

#[test]
fn what_is_over_the_queue_is_refused_at_once_and_told_when_to_come_again() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[("WORKER_QUEUE", "60s"), ("WHISPER_COMPUTE_TYPE", "int8")]);
    let address = worker.address;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(post(address, TRANSCRIBE, &Form::file(&speech(300)).field("temperature", "0")).status, 200)
        });
        while worker.metric("speech_flow_backlog_audio_seconds") < 150.0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Only the head is sent: it is refused before the body is read.
        let begun = Instant::now();
        let mut refused = Connection::open(address);
        let kind = Form::content_type();
        refused.send("POST", TRANSCRIBE, &[("content-type", &kind), ("content-length", "100000")], b"");
        let answer = refused.answer();
        // 50 ms are the goal; a test machine computes other things too.
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(answer.refusal(), (503, "overloaded".to_owned()));
        let wait: u64 = answer.header("retry-after").and_then(|wait| wait.parse().ok()).expect("a number");
        assert!((1..=600).contains(&wait), "{wait}");
        assert_eq!(get(address, "/livez").status, 200);
    });
    assert!(worker.metric("speech_flow_worker_rejected_total{reason=\"overloaded\"}") >= 1.0);
    assert_eq!(worker.metric("speech_flow_backlog_audio_seconds"), 0.0);
}

#[test]
fn work_whose_caller_has_gone_is_dropped() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    let body = speech(1800);
    let form = "--a-boundary-that-no-clip-holds\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n";
    let end = b"\r\n--a-boundary-that-no-clip-holds--\r\n";
    let all = [form.as_bytes(), &body, end].concat();
    let mut gone = Connection::open(worker.address);
    let (kind, length) = (Form::content_type(), all.len().to_string());
    gone.send("POST", TRANSCRIBE, &[("content-type", &kind), ("content-length", &length)], &all);
    while worker.metric("speech_flow_engine_step_seconds_count{step=\"generate\"}") < 3.0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(gone);
    let begun = Instant::now();
    while worker.metric("speech_flow_backlog_requests") > 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "it is still worked on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_request_that_takes_too_long_is_ended() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[("WORKER_DEADLINE", "1s")]);
    let answer = post(worker.address, TRANSCRIBE, &Form::file(&speech(3000)));
    assert_eq!(answer.refusal(), (504, "deadline_exceeded".to_owned()));
}

#[test]
fn told_to_end_it_finishes_what_it_took_and_takes_no_more() {
    let scene = Scene::new();
    let mut worker = scene.ready(Kind::Whisper, &[("WHISPER_COMPUTE_TYPE", "int8")]);
    let address = worker.address;
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..6)
            .map(|number| scope.spawn(move || post(address, TRANSCRIBE, &Form::file(&speech(20 + number * 20)))))
            .collect();
        while worker.metric("speech_flow_backlog_requests") < 6.0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        worker.stop.cancel();
        let mut late = post(address, TRANSCRIBE, &Form::file(&clip("en05.wav")));
        while late.status == 200 {
            late = post(address, TRANSCRIBE, &Form::file(&clip("en05.wav")));
        }
        assert_eq!(late.refusal(), (503, "draining".to_owned()));
        assert_eq!(get(address, "/readyz").status, 503);
        assert_eq!(get(address, "/livez").status, 200);
        for client in clients {
            let answer = client.join().expect("no panic");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    });
    worker.join().expect("ends well");
}

#[test]
fn windows_of_many_callers_share_batches() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    let address = worker.address;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(move || {
                for _ in 0..4 {
                    let answer = post(address, TRANSCRIBE, &Form::file(&clip("en05.wav")));
                    assert_eq!(answer.json()["text"], "The green key is under the table.");
                }
            });
        }
    });
    let windows = worker.metric("speech_flow_engine_batch_windows_sum{step=\"generate\"}");
    let batches = worker.metric("speech_flow_engine_batch_windows_count{step=\"generate\"}");
    assert!(windows / batches > 1.5, "{windows} windows in {batches} batches");
}
