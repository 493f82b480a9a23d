//! What takes minutes: `make soak` runs it.

use std::time::Instant;

use crate::client::root;
use crate::support::World;
use crate::worker::Worker;

const EIGHT_AT_ONCE: usize = 8;

#[test]
#[ignore = "takes minutes: `make soak` runs it"]
fn soak_memory_stays_after_a_thousand_requests() {
    let world = World::start();
    let worker = Worker::start(&world, "whisper", &[]);
    let clip = std::fs::read(root().join("fixtures/audio/en05.wav")).expect("a clip");
    let ask = |times: usize| {
        std::thread::scope(|scope| {
            for _ in 0..EIGHT_AT_ONCE {
                scope.spawn(|| (0..times / EIGHT_AT_ONCE).for_each(|_| drop(transcribed(&worker, &clip))));
            }
        });
        resident_kib(worker.id())
    };
    let after_fifty = ask(56);
    let after_a_thousand = ask(944);
    eprintln!("resident after 56 requests: {after_fifty} KiB, after 1,000: {after_a_thousand} KiB");
    let grown = after_a_thousand as f64 / after_fifty as f64;
    assert!(grown < 1.05, "from {after_fifty} to {after_a_thousand} KiB");
}

#[test]
#[ignore = "takes minutes: `make soak` runs it"]
fn soak_a_short_clip_sent_behind_an_hour_is_answered_first() {
    let world = World::start();
    let worker = Worker::start(&world, "whisper", &[("WORKER_QUEUE", "3h")]);
    let clip = std::fs::read(root().join("fixtures/audio/en05.wav")).expect("a clip");
    let hour = an_hour_of(&clip);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let long = scope.spawn(|| {
            let text = transcribed(&worker, &hour);
            (begun.elapsed(), text)
        });
        // The long one is worked on, and not only sent.
        while !worker.get("/metrics").lines().any(is_first_window) {
            assert!(!long.is_finished(), "the hour was over before a window of it was seen");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        assert!(transcribed(&worker, &clip).contains("The green key is under the table."));
        let short = begun.elapsed();
        assert!(!long.is_finished(), "the short clip waited for the hour");
        let (long, _) = long.join().expect("the hour is transcribed");
        eprintln!("the short clip was answered after {short:?}, the hour after {long:?}");
    });
}

/// A line of the metrics that says that a window was decoded.
fn is_first_window(line: &str) -> bool {
    line.starts_with("speech_flow_engine_batch_windows_count") && line.contains("generate") && !line.ends_with(" 0")
}

/// The clip with a pause after it, again and again: 16-bit PCM at 16 kHz, whose header is 44 bytes.
fn an_hour_of(clip: &[u8]) -> Vec<u8> {
    let once = [&clip[44..], &[0; 16_000][..]].concat();
    let bytes = 3600 * 16_000 * 2;
    let data: Vec<u8> = once.iter().copied().cycle().take(bytes).collect();
    let length = |bytes: usize| u32::try_from(bytes).expect("under 4 GiB").to_le_bytes();
    [b"RIFF", &length(36 + bytes)[..], &clip[8..40], &length(bytes), &data].concat()
}

/// The answer to a transcription; it must be a 200.
#[track_caller]
fn transcribed(worker: &Worker, clip: &[u8]) -> String {
    let answer = worker.post("/v1/audio/transcriptions", clip, &[("language", "en")]);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

/// Memory of a process that is in RAM.
fn resident_kib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}
