//! What OpenAI's paths answer.

use serde_json::{Value, json};
use speech_flow_speech_worker::Kind;

use crate::client::{Form, get, post, post_with};
use crate::scene::{LID, Scene, WHISPER, clip, wav};

const TRANSCRIBE: &str = "/v1/audio/transcriptions";
/// What the demo model hears in `en05.wav`.
const TEXT: &str = "The green key is under the table.";

#[test]
fn every_format_gives_the_same_text_and_names_the_model() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    let commit = scene.hub.commit(WHISPER, "main").expect("a commit").to_string();
    let form = Form::file(&clip("en05.wav")).field("model", "whisper-1");
    let ask = |format: &str| post(worker.address, TRANSCRIBE, &form.clone().field("response_format", format));

    let json = ask("json").json();
    assert_eq!(json["text"], TEXT, "{json}");
    assert_eq!((&json["model"]["commit"], &json["model"]["compute_type"]), (&json!(commit), &json!("float32")));
    assert_eq!(json["usage"]["type"], "duration");

    let text = ask("text");
    assert_eq!(text.text(), format!("{TEXT}\n"));
    assert!(text.header("x-speech-flow-model").is_some_and(|line| line.contains(&commit)));

    let verbose = ask("verbose_json").json();
    assert_eq!(
        (&verbose["text"], &verbose["language"], &verbose["task"]),
        (&json!(TEXT), &json!("english"), &json!("transcribe"))
    );
    assert!(verbose["segments"][0]["avg_logprob"].is_number() && verbose.get("words").is_none(), "{verbose}");

    let srt = ask("srt").text();
    assert!(srt.starts_with("1\n00:00:0") && srt.contains(TEXT), "{srt}");
    let vtt = ask("vtt").text();
    assert!(vtt.starts_with("WEBVTT\n\n") && vtt.contains(TEXT), "{vtt}");
    worker.end().expect("ends well");
}

#[test]
fn words_have_times_when_they_are_asked_for() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    let form = Form::file(&clip("en05.wav")).field("response_format", "verbose_json");
    let words = post(worker.address, TRANSCRIBE, &form.clone().field("timestamp_granularities[]", "word")).json();
    let listed: Vec<&str> =
        words["words"].as_array().expect("words").iter().filter_map(|word| word["word"].as_str()).collect();
    assert_eq!(listed.concat().replace(' ', ""), TEXT.replace(' ', ""));
    assert!(words.get("segments").is_none(), "{words}");
    let times: Vec<f64> = words["words"]
        .as_array()
        .expect("words")
        .iter()
        .flat_map(|word| [word["start"].as_f64(), word["end"].as_f64()])
        .flatten()
        .collect();
    assert!(times.is_sorted() && times.iter().all(|time| (0.0..=10.0).contains(time)), "{times:?}");
}

#[test]
fn what_is_no_speech_is_left_out_and_counted() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    let clip = clip("en05.wav");
    let silence = [0; 2 * 16_000 * 10];
    let with_silence = wav_of(&[&clip[44..], &silence, &clip[44..]].concat());
    let form = Form::file(&with_silence).field("response_format", "verbose_json").field("chunking_strategy", "auto");
    let json = post(worker.address, TRANSCRIBE, &form).json();
    let (whole, heard) =
        (json["duration"].as_f64().expect("a time"), json["duration_after_vad"].as_f64().expect("a time"));
    assert!(whole - heard > 8.0, "{json}");
    assert!((worker.metric("speech_flow_audio_vad_removed_seconds_total") - (whole - heard)).abs() < 0.01);
    assert!((worker.metric("speech_flow_audio_processed_seconds_total{task=\"transcribe\"}") - whole).abs() < 0.01);
}

/// A WAV file of the bytes of its samples.
fn wav_of(bytes: &[u8]) -> Vec<u8> {
    let samples: Vec<i16> = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    wav(16_000, &samples)
}

#[test]
fn a_stream_ends_with_the_text_that_its_pieces_make() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    let answer = post(worker.address, TRANSCRIBE, &Form::file(&clip("en05.wav")).field("stream", "true"));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let events: Vec<Value> = answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    let (last, pieces) = events.split_last().expect("events");
    assert!(pieces.iter().all(|event| event["type"] == "transcript.text.delta"), "{events:?}");
    let joined: String = pieces.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!((&last["type"], &last["text"]), (&json!("transcript.text.done"), &json!(joined)));
    assert_eq!(joined, TEXT);
}

#[test]
fn a_stream_of_what_is_no_audio_still_has_its_status() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    let answer = post(worker.address, TRANSCRIBE, &Form::file(b"no audio at all").field("stream", "true"));
    assert_eq!(answer.refusal(), (415, "unsupported_audio".to_owned()));
}

#[test]
fn translations_are_in_english() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    let form = Form::file(&clip("de02.webm")).field("response_format", "verbose_json");
    let json = post(worker.address, "/v1/audio/translations", &form).json();
    assert_eq!((&json["task"], &json["language_code"]), (&json!("translate"), &json!("de")), "{json}");
}

#[test]
fn whisper_says_which_language_is_spoken() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    let json =
        post(worker.address, "/v1/audio/language", &Form::file(&clip("fr02.48k-f32.wav")).field("top", "3")).json();
    assert_eq!((&json["language"], json["top"].as_array().map(Vec::len)), (&json!("fr"), Some(3)), "{json}");
    assert!(json["probability"].as_f64().is_some_and(|probability| probability > 0.5));
}

#[test]
fn a_classifier_says_which_language_is_spoken_and_what_whisper_calls_it() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Lid, &[]);
    let json =
        post(worker.address, "/v1/audio/language", &Form::file(&clip("lid-jpn.flac")).field("plain", "true")).json();
    assert_eq!((&json["language"], &json["whisper_language"]), (&json!("jpn"), &json!("ja")), "{json}");
    assert_eq!(json["model"]["repo"], LID);
    let silence = wav(16_000, &[0; 3_000]);
    let none = post(worker.address, "/v1/audio/language", &Form::file(&silence)).json();
    assert_eq!((&none["language"], &none["whisper_language"]), (&json!("und"), &Value::Null), "{none}");
    let transcribed = post(worker.address, TRANSCRIBE, &Form::file(&clip("en05.wav")));
    assert_eq!(transcribed.refusal(), (404, "unknown_url".to_owned()));
    let document = get(worker.address, "/openapi.json").json();
    assert!(document["paths"].get(TRANSCRIBE).is_none());
    worker.end().expect("ends well");
}

#[test]
fn the_model_is_listed_under_every_name() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[]);
    let list = get(worker.address, "/v1/models").json();
    assert_eq!((&list["object"], &list["data"][0]["id"]), (&json!("list"), &json!(WHISPER)));
    let digest = list["data"][0]["digest"].as_str().expect("a digest").to_owned();
    for name in [WHISPER, "whisper-1", "acme/whisper@main"] {
        assert_eq!(get(worker.address, &format!("/v1/models/{name}")).json()["digest"], digest, "{name}");
    }
    assert_eq!(get(worker.address, "/v1/models/other").refusal(), (404, "model_not_found".to_owned()));
    assert_eq!(worker.metric("speech_flow_model_info{"), 1.0);
}

#[test]
fn only_who_has_the_key_is_served() {
    let scene = Scene::new();
    let worker = scene.ready(Kind::Whisper, &[("WORKER_API_KEY", "secret")]);
    let form = Form::file(&clip("en05.wav"));
    assert_eq!(post(worker.address, TRANSCRIBE, &form).refusal(), (401, "invalid_api_key".to_owned()));
    let with = |key: &str| post_with(worker.address, TRANSCRIBE, &[("authorization", key)], &form);
    assert_eq!(with("Bearer wrong").status, 401);
    assert_eq!(with("Bearer secret").json()["text"], TEXT);
    assert_eq!(get(worker.address, "/v1/models").status, 401);
    assert_eq!(get(worker.address, "/livez").status, 200);
}

#[test]
fn the_description_is_served() {
    let scene = Scene::new();
    let worker = scene.start(Kind::Whisper, &[]);
    let document = get(worker.address, "/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"].get("/v1/audio/transcriptions").is_some());
}
