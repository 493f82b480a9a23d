//! How a worker starts, changes its model, and ends.

use std::time::{Duration, Instant};

use speech_flow_demo_hub::{Action, EmbeddedModel, FaultRule};
use speech_flow_speech_worker::{Error, Kind};

use crate::client::{Form, get, post, post_with};
use crate::scene::{Scene, WHISPER, clip};

const TRANSCRIBE: &str = "/v1/audio/transcriptions";

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn probes_are_answered_while_the_model_is_fetched() {
    let scene = Scene::new();
    let slow = FaultRule::new(Action::Delay { ms: 1500 }).path("model.bin");
    scene.hub.add_fault(slow).expect("a sound rule");
    let worker = scene.start(Kind::Whisper, &[]);
    assert_eq!(get(worker.address, "/livez").status, 200);
    until("the first phase", || get(worker.address, "/readyz").json()["phase"] == "ensure");
    let starting = get(worker.address, "/readyz");
    assert_eq!((starting.status, &starting.json()["status"]), (503, &"starting".into()));
    let refused = post(worker.address, TRANSCRIBE, &Form::file(&clip("en05.wav")));
    assert_eq!(refused.refusal(), (503, "starting".to_owned()));
    assert!(refused.header("retry-after").is_some());
    worker.until_ready();
    let phases = get(worker.address, "/readyz").json()["phases"].clone();
    for phase in ["ensure", "lease", "load", "warm-up"] {
        assert!(phases[phase].is_number(), "{phases}");
        worker.metric(&format!("speech_flow_worker_phase_seconds{{phase=\"{phase}\"}}"));
    }
}

#[test]
fn a_flipped_byte_is_named_and_repaired() {
    let scene = Scene::new();
    scene.ready(Kind::Whisper, &[]).end().expect("ends well");
    let file = scene.model_file("model.bin");
    let sound = std::fs::read(&file).expect("reads");
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 1;
    std::fs::write(&file, &flipped).expect("writes");

    // Without a hub it cannot be mended.
    let mut offline = scene.start(Kind::Whisper, &[("HF_HUB_OFFLINE", "1")]);
    let error = offline.join().expect_err("refused");
    assert!(matches!(&error, Error::Model { source, .. } if source.to_string().contains("`model.bin`")), "{error:?}");
    assert_eq!(error.exit_code(), 1);

    std::fs::write(&file, &flipped).expect("writes");
    let worker = scene.ready(Kind::Whisper, &[]);
    let text = post(worker.address, TRANSCRIBE, &Form::file(&clip("en05.wav"))).json()["text"].clone();
    assert_eq!(text, "The green key is under the table.");
    assert_eq!(std::fs::read(scene.model_file("model.bin")).expect("reads"), sound);
}

#[test]
fn a_model_that_does_not_load_ends_the_worker() {
    let scene = Scene::new();
    let truncated = &EmbeddedModel::TinyWhisperCt2.file("tokenizer.json").expect("a file")[..1000];
    let broken = EmbeddedModel::TinyWhisperCt2.builder("acme/broken").file("tokenizer.json", truncated.to_vec());
    scene.hub.publish(broken.build().expect("builds"));
    let mut worker = scene.start(Kind::Whisper, &[("WHISPER_MODEL_NAME", "acme/broken")]);
    let error = worker.join().expect_err("refused");
    assert_eq!(error.exit_code(), 1, "{error:?}");
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[("WORKER_API_KEY", "secret")]);
    assert_eq!(worker.metric("speech_flow_model_obtained_total{outcome=\"downloaded\"}"), 1.0);
    let commit = || get(worker.address, "/readyz").json()["model"]["commit"].as_str().map(str::to_owned);
    let before = commit().expect("a commit");
    let next = EmbeddedModel::TinyWhisperCt2.builder(WHISPER).commit("a new card").file("README.md", "# New\n");
    scene.hub.publish(next.build().expect("builds"));
    assert_eq!(post(worker.address, "/v1/models/reload", &Form::default()).status, 401);
    let key = [("authorization", "Bearer secret")];
    assert_eq!(post_with(worker.address, "/v1/models/reload", &key, &Form::default()).status, 202);
    until("the new model", || commit().as_deref() != Some(&before));
    let answer = post_with(worker.address, TRANSCRIBE, &key, &Form::file(&clip("en05.wav"))).json();
    assert_eq!(answer["model"]["commit"].as_str().map(str::to_owned), commit());
    assert_eq!(worker.metric("speech_flow_model_reloads_total{outcome=\"done\"}"), 1.0);
    worker.reload.notify_one();
    until("the answer that nothing is new", || {
        get(worker.address, "/metrics").text().contains("speech_flow_model_reloads_total{outcome=\"unchanged\"} 1")
    });
}

#[test]
fn a_new_version_that_does_not_work_leaves_the_old_one() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    scene.hub.withdraw(WHISPER);
    worker.reload.notify_one();
    until("the failure", || {
        get(worker.address, "/metrics").text().contains("speech_flow_model_reloads_total{outcome=\"failed\"} 1")
    });
    let text = post(worker.address, TRANSCRIBE, &Form::file(&clip("en05.wav"))).json()["text"].clone();
    assert_eq!(text, "The green key is under the table.");
}
