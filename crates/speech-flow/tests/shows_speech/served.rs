//! The workers as their clients see them: the official `openai` client, and schemathesis on the API's description.

use crate::client::{Client, answer, root, text};
use crate::metrics::lint;
use crate::support::{WHISPER, World};
use crate::worker::Worker;

#[test]
fn the_official_openai_client_gets_every_format_and_every_error() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let worker = Worker::start(&world, "whisper", &[("WORKER_API_KEY", "secret-of-the-test")]);
    let clip = root().join("fixtures/audio/en05.wav");
    let said = "The green key is under the table.";
    let arguments = [&worker.url, WHISPER, text(&clip), said, "--key", "secret-of-the-test"];
    let answer = answer(&mut client.script(&world, "openai_client.py", &arguments));
    assert_eq!(answer["refused"]["key"][0], 401, "{answer}");
}

/// Lets schemathesis ask whatever the description allows, and more.
#[track_caller]
fn no_server_error(kind: &str) {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let worker = Worker::start(&world, kind, &[]);
    // Reloading while requests run is tested apart; 503 is the right answer to a second reload.
    let options = ["--exclude-path", "/v1/models/reload"];
    let description = format!("{}/openapi.json", worker.url);
    client.schemathesis(&world, &description, "not_a_server_error", &options).exits(0);
    assert!(worker.is_ready(), "the worker survives");
}

#[test]
fn schemathesis_finds_no_server_error_in_the_whisper_worker() {
    no_server_error("whisper");
}

#[test]
fn schemathesis_finds_no_server_error_in_the_lid_worker() {
    no_server_error("lid");
}

#[test]
fn promtool_has_nothing_to_say_about_the_workers_metrics() {
    let world = World::start();
    let whisper = Worker::start(&world, "whisper", &[]);
    let clip = root().join("fixtures/audio/en05.wav");
    assert!(whisper.post_clip("/v1/audio/transcriptions", &clip).contains("The green key"));
    lint(&whisper.get("/metrics"), "speech_flow_audio_processed_seconds_total");
    let lid = Worker::start(&world, "lid", &[]);
    assert!(lid.post_clip("/v1/audio/language", &clip).contains("language"));
    lint(&lid.get("/metrics"), "speech_flow_audio_processed_seconds_total");
}
