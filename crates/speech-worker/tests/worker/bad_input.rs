//! Each kind of bad input has its status, and none of them ends the worker.

use speech_flow_speech_worker::Kind;

use crate::client::{Connection, Form, get, post};
use crate::scene::{Scene, Worker, clip, wav};

const TRANSCRIBE: &str = "/v1/audio/transcriptions";

#[track_caller]
fn refused(worker: &Worker, content: &[u8], status: u16, code: &str) {
    let answer = post(worker.address, TRANSCRIBE, &Form::file(content));
    assert_eq!(answer.refusal(), (status, code.to_owned()), "{}", answer.text());
}

/// Text of what can be decoded, whatever it says.
#[track_caller]
fn accepted(worker: &Worker, content: &[u8]) -> String {
    let answer = post(worker.address, TRANSCRIBE, &Form::file(content).field("temperature", "0"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["text"].as_str().expect("a text").to_owned()
}

/// The header of a WAV file with one field replaced.
fn forged(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = wav(16_000, &[0; 16_000]);
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn what_is_no_audio_is_refused_by_kind() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[("WORKER_MAX_DURATION", "20s")]);
    refused(&worker, b"", 400, "empty_audio");
    refused(&worker, &wav(16_000, &[]), 400, "empty_audio");
    refused(&worker, b"Call me Ishmael. Some years ago, never mind how long precisely.", 415, "unsupported_audio");
    refused(&worker, &forged(22, &[0, 0]), 400, "damaged_audio");
    refused(&worker, &forged(24, &u32::MAX.to_le_bytes()), 400, "audio_out_of_range");
    refused(&worker, &wav(16_000, &vec![0; 21 * 16_000]), 413, "audio_too_long");
    assert_eq!(accepted(&worker, &clip("en05.wav")), "The green key is under the table.");
}

#[test]
fn silence_is_an_empty_text() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    assert!(!accepted(&worker, &clip("en05.wav")).is_empty());
    assert_eq!(accepted(&worker, &wav(16_000, &[0; 5 * 16_000])), "");
}

#[test]
fn other_rates_and_cut_files_are_decoded() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    accepted(&worker, &wav(8_000, &[0; 8_000]));
    accepted(&worker, &clip("en09.44k-stereo.flac"));
    let whole = clip("en05.wav");
    accepted(&worker, &whole[..whole.len() / 2]);
}

#[test]
fn a_form_that_makes_no_sense_is_refused() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    let ask = |name: &str, text: &str| {
        post(worker.address, TRANSCRIBE, &Form::file(&clip("en05.wav")).field(name, text)).refusal()
    };
    assert_eq!(ask("model", "gpt-9"), (404, "model_not_found".to_owned()));
    assert_eq!(ask("language", "klingon"), (400, "invalid_value".to_owned()));
    assert_eq!(ask("response_format", "yaml"), (400, "invalid_value".to_owned()));
    assert_eq!(ask("channel", "7"), (400, "no_such_channel".to_owned()));
    let no_file = post(worker.address, TRANSCRIBE, &Form::default().field("model", "whisper-1"));
    assert_eq!(no_file.refusal(), (400, "invalid_value".to_owned()));
    assert_eq!(get(worker.address, TRANSCRIBE).refusal(), (405, "method_not_allowed".to_owned()));
    assert_eq!(get(worker.address, "/v1/nothing").refusal(), (404, "unknown_url".to_owned()));
}

#[test]
fn too_many_bytes_are_refused_before_and_while_they_arrive() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[("WORKER_MAX_UPLOAD", "1MB")]);
    let kind = Form::content_type();

    let mut told = Connection::open(worker.address);
    told.send("POST", TRANSCRIBE, &[("content-type", &kind), ("content-length", "5000000")], b"");
    assert_eq!(told.answer().refusal(), (413, "request_too_large".to_owned()), "nothing of the body was sent");

    let mut untold = Connection::open(worker.address);
    untold.send("POST", TRANSCRIBE, &[("content-type", &kind), ("transfer-encoding", "chunked")], b"");
    let head = b"--a-boundary-that-no-clip-holds\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n";
    untold.write(format!("{:x}\r\n", head.len()).as_bytes());
    untold.write(&[head.as_slice(), b"\r\n"].concat());
    for _ in 0..20 {
        untold.write(&[b"186a0\r\n".as_slice(), &[0; 100_000], b"\r\n"].concat());
    }
    assert_eq!(untold.answer().refusal(), (413, "request_too_large".to_owned()));
}
