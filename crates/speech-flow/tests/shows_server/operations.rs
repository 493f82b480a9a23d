//! The server's own interface: its description and its metrics, judged by programs that were made for that.

use speech_flow_demo_hub::{DemoHub, EmbeddedModel};

use crate::client::Client;
use crate::metrics::lint;
use crate::served::Served;
use crate::support::{WHISPER, World};

const TOKEN: &str = "the-access-token-of-the-tests";

/// No server's error, and nothing that the description does not say.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[test]
fn schemathesis_finds_no_server_error_with_and_without_the_access_token() {
    let Some(client) = Client::find() else { return };
    // The description's example is there, so that calls do something.
    let model = EmbeddedModel::TinyWhisperCt2.builder("Systran/faster-whisper-tiny.en").build().expect("builds");
    let world = World::with(DemoHub::builder().repository(model));
    let served = Served::start_with(&world, "server", &[], &[("SPEECH_FLOW_SERVER_TOKEN", TOKEN)]);
    let description = format!("{}/v1/openapi.json", served.endpoint);
    // The stream of events does not end by itself; it is tested apart.
    let endless = ["--exclude-path", "/v1/events"];
    let authorization = format!("Authorization: Bearer {TOKEN}");
    let allowed = [&endless[..], &["--header", &authorization]].concat();
    client.schemathesis(&world, &description, CHECKS, &allowed).exits(0);
    assert!(world.file_bytes() > 0, "a preload has fetched the model");
    client.schemathesis(&world, &description, CHECKS, &endless).exits(0);
    assert_eq!(served.get("/livez"), b"ok\n", "the server survives");
}

#[test]
fn promtool_has_nothing_to_say_about_the_servers_metrics() {
    let world = World::start();
    let store = format!("file://{}", world.folder().join("store").display());
    std::fs::create_dir(world.folder().join("store")).expect("a folder");
    let served = Served::start_with(&world, "server", &[], &[("SPEECH_FLOW_SERVER_STORE", &store)]);
    let file = format!("/{WHISPER}/resolve/main/model.bin");
    for _ in 0..2 {
        assert!(!served.get(&file).is_empty());
    }
    served.get("/absent/model/resolve/main/config.json");
    let text = String::from_utf8(served.get("/metrics")).expect("text");
    assert!(text.contains("speech_flow_server_lookups_total{outcome=\"hit\"} 1"), "{text}");
    lint(&text, "speech_flow_server_store_requests_total");
}
