//! Uploads stay on the disk, and nothing is kept of requests that are done. Memory is that of the whole test process,
//! so each of these tests stands alone only under a runner with a process for each test.

use speech_flow_speech_worker::Kind;

use crate::client::{Connection, Form, post};
use crate::scene::{Scene, clip};

const TRANSCRIBE: &str = "/v1/audio/transcriptions";
const MIB: usize = 1 << 20;

/// A line of the process' status, in MiB.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the line");
    let kib: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024.0
}

#[test]
fn a_large_upload_stays_out_of_memory() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    post(worker.address, TRANSCRIBE, &Form::file(&clip("en05.wav")));
    let before = memory("VmHWM");
    let size = 512 * MIB;
    let head = "--a-boundary-that-no-clip-holds\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n";
    let end = "\r\n--a-boundary-that-no-clip-holds--\r\n";
    let (kind, length) = (Form::content_type(), (head.len() + size + end.len()).to_string());
    let mut upload = Connection::open(worker.address);
    upload.send("POST", TRANSCRIBE, &[("content-type", &kind), ("content-length", &length)], head.as_bytes());
    let piece = vec![b'x'; MIB];
    (0..size / MIB).for_each(|_| upload.write(&piece));
    upload.write(end.as_bytes());
    assert_eq!(upload.answer().refusal(), (415, "unsupported_audio".to_owned()));
    let grown = memory("VmHWM") - before;
    assert!(grown < 50.0, "{grown} MiB more for {} MiB of upload", size / MIB);
}

#[test]
fn nothing_is_kept_of_requests_that_are_done() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[("WHISPER_COMPUTE_TYPE", "int8")]);
    let clips: Vec<Form> =
        ["en05.wav", "en07.ogg", "de02.webm", "en04.flac"].map(|name| Form::file(&clip(name))).into();
    let ask = |count: usize| {
        for form in clips.iter().cycle().take(count) {
            assert_eq!(post(worker.address, TRANSCRIBE, &form.clone().field("temperature", "0")).status, 200);
        }
    };
    ask(20);
    let early = memory("VmRSS");
    ask(40);
    let late = memory("VmRSS");
    assert!(late < early * 1.05 + 8.0, "{early} MiB after 20 requests, {late} MiB after 60");
}
