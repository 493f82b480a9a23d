//! What `transcribe` and `identify` do with files, and what they print.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use crate::client::{root, text};
use crate::support::World;

fn clip(name: &str) -> String {
    text(&root().join("fixtures/audio").join(name)).to_owned()
}

/// A world whose caches hold the models of its configuration.
fn world() -> World {
    let world = World::start();
    world.run(&["preload", "--all"]).exits(0);
    world
}

#[test]
fn one_recording_is_its_text() {
    let world = World::start();
    let run = world.run(&["transcribe", &clip("en05.wav")]).exits(0);
    assert_eq!(run.stdout(), "The green key is under the table.\n");
}

#[test]
fn several_recordings_each_have_a_heading() {
    let (english, french) = (clip("en07.ogg"), clip("fr02.48k-f32.wav"));
    let run = world().run(&["transcribe", &english, &french]).exits(0);
    let expected = format!(
        "==> {english} <==\nThe meeting starts on Sunday at six.\n==> {french} <==\nLa réunion commence demain à sept heures.\n"
    );
    assert_eq!(run.stdout(), expected);
}

#[test]
fn json_names_the_model_and_a_bad_recording_does_not_stop_the_others() {
    let world = world();
    let notes = world.folder().join("notes.mp3");
    fs::write(&notes, "These are words, not sound.\n".repeat(40)).expect("written");
    let run = world.run(&["transcribe", text(&notes), "missing.wav", &clip("de02.webm"), "--json"]).exits(1);
    let document = run.json();
    assert_eq!(document["schema"], 1);
    let result = &document["results"][0];
    assert_eq!((&result["text"], &result["language"]), (&"Fünf sieben vier.".into(), &"de".into()));
    assert!(result["language_probability"].as_f64() > Some(0.5) && result["duration"].as_f64() > Some(1.7));
    assert_eq!(result["model"]["repo"], crate::support::WHISPER);
    assert_eq!(result["model"]["commit"].as_str().map(str::len), Some(40));
    assert!(result["model"]["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{result}");
    let files: Vec<_> = document["failed"].as_array().expect("failed").iter().map(|entry| &entry["file"]).collect();
    assert_eq!(files, [text(&notes), "missing.wav"]);
    assert!(run.stderr().contains("1 transcribed, 2 failed"), "{}", run.stderr());
    assert!(run.stderr().contains("hint: send WAV"), "{}", run.stderr());
}

#[test]
fn prepared_weights_are_made_once_used_and_removed_with_their_model() {
    let world = World::start();
    let preload = ["preload", "--whisper", "--prepare", "--json"];
    let prepared = |run: &crate::support::Run| run.json()["models"][0]["prepared"].clone();
    let made = prepared(&world.run(&preload).exits(0));
    assert_eq!((&made["outcome"], &made["compute_type"]), (&"made".into(), &"int8_float32".into()));
    let found = prepared(&world.run(&preload).exits(0));
    assert_eq!((&found["outcome"], &found["digest"]), (&"hit".into(), &made["digest"]));

    let weights = PathBuf::from(made["path"].as_str().expect("a folder")).join("model.bin");
    let transcribe = ["transcribe", &clip("en05.wav"), "--compute-type", "int8"];
    let run = world.run(&transcribe).exits(0);
    assert_eq!(run.stdout(), "The green key is under the table.\n");
    assert!(!run.stderr().contains("prepared"), "{}", run.stderr());

    // Damaged ones show that they are what is loaded, and do no harm.
    let length = made["bytes"].as_u64().and_then(|bytes| usize::try_from(bytes).ok()).expect("a size");
    fs::write(&weights, vec![0xff; length]).expect("written");
    let run = world.run(&transcribe).exits(0);
    assert_eq!(run.stdout(), "The green key is under the table.\n");
    assert!(run.stderr().contains("the prepared weights do not load"), "{}", run.stderr());

    world.run(&["clear", "--whisper", "--yes"]).exits(0);
    assert!(!weights.exists());
}

#[test]
fn subtitles_go_into_a_folder() {
    let world = world();
    let call = ["transcribe", &clip("en05.wav"), &clip("en07.ogg"), "--format", "srt", "--output-dir", "out"];
    let run = world.run(&call).exits(0);
    assert_eq!(run.stdout(), "");
    let subtitles = fs::read_to_string(world.folder().join("out/en05.srt")).expect("a file");
    assert!(subtitles.starts_with("1\n00:00:00,000 --> 00:00:0"), "{subtitles}");
    assert!(subtitles.ends_with("\nThe green key is under the table.\n\n"), "{subtitles}");
    assert!(world.folder().join("out/en07.srt").is_file());
    // Without a folder two recordings would be one document.
    world.run(&["transcribe", &clip("en05.wav"), &clip("en07.ogg"), "--format", "srt"]).exits(2);
}

#[test]
fn standard_input_is_a_recording() {
    let world = world();
    let mut command = world.command(&["transcribe", "-", "--format", "vtt", "--vad", "--word-timestamps"]);
    command.stdin(Stdio::from(fs::File::open(clip("en05.wav")).expect("a clip")));
    let run = world.finish(&mut command).exits(0);
    assert!(run.stdout().starts_with("WEBVTT\n\n00:00."), "{}", run.stdout());
    assert!(run.stdout().contains("\nThe green key is under the table.\n"), "{}", run.stdout());
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    let world = world();
    let clip = clip("en05.wav");
    for wrong in [
        &["--beam-size", "0"] as &[&str],
        &["--option", "beams=3"],
        &["--device", "toaster"],
        &["--compute-type", "int7"],
        &["--format", "yaml"],
        &["--batch-size", "0"],
        &["-"],
    ] {
        let call: Vec<&str> = ["transcribe", &clip, "-"].iter().chain(wrong).copied().collect();
        let run = world.run(&call).exits(2);
        assert!(run.stderr().contains("error"), "{wrong:?}: {}", run.stderr());
    }
}

#[test]
fn an_option_that_batches_cannot_honor_is_refused() {
    let call = ["transcribe", &clip("en05.wav"), "--batch-size", "4", "--option", "condition_on_previous_text=true"];
    let run = world().run(&call).exits(2);
    assert!(
        run.stderr().contains("`condition_on_previous_text` cannot be honored in batched mode"),
        "{}",
        run.stderr()
    );
}

#[test]
fn transcribe_works_offline_from_the_cache_and_says_what_is_missing() {
    let world = World::start();
    world.run(&["transcribe", &clip("en05.wav"), "--offline"]).exits(1);
    world.run(&["preload", "--whisper"]).exits(0);
    world.hub.clear_requests();
    world.run(&["transcribe", &clip("en05.wav"), "--offline"]).exits(0);
    assert!(world.hub.requests().is_empty());
}

#[test]
fn a_missing_engine_is_an_error_with_a_hint() {
    let world = world();
    let mut command = world.command(&["transcribe", &clip("en05.wav")]);
    command.env("CTRANSLATE2_ROOT", world.folder().join("nowhere"));
    let run = world.finish(&mut command).exits(1);
    assert!(run.stderr().contains("error: ") && run.stderr().contains("hint: "), "{}", run.stderr());
}

#[test]
fn identify_names_the_language_and_what_whisper_calls_it() {
    let run = world().run(&["identify", &clip("lid-jpn.flac"), &clip("lid-eng.flac"), "--json"]).exits(0);
    let document = run.json();
    let languages: Vec<_> = document["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| (result["language"].as_str(), result["whisper_language"].as_str()))
        .collect();
    assert_eq!(languages, [(Some("jpn"), Some("ja")), (Some("eng"), Some("en"))]);
    assert_eq!(document["results"][0]["top"][0]["language"], "jpn");
    assert_eq!(document["results"][0]["model"]["repo"], crate::support::LID);
}

#[test]
fn silence_has_no_text_and_no_language() {
    let world = world();
    let silence = world.folder().join("silence.wav");
    fs::write(&silence, wav(&[0; 16_000 * 3])).expect("written");
    let said = world.run(&["transcribe", text(&silence), "--json"]).exits(0).json();
    assert_eq!(said["results"][0]["text"], "");
    let found = world.run(&["identify", text(&silence), "--json"]).exits(0).json();
    assert_eq!(found["results"][0]["language"], "und");
}

#[test]
fn a_signal_ends_a_transcription_soon() {
    let world = world();
    let long = world.folder().join("long.wav");
    let speech = fs::read(clip("en05.wav")).expect("a clip");
    let samples: Vec<i16> = speech[44..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    fs::write(&long, wav(&samples.repeat(400))).expect("written");
    let mut child = world.command(&["transcribe", text(&long)]).spawn().expect("it starts");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let killed = std::process::Command::new("/bin/kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill").success());
    let started = std::time::Instant::now();
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130), "{status}");
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}

/// Samples as a WAV file of 16 kHz.
fn wav(samples: &[i16]) -> Vec<u8> {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let length = u32::try_from(bytes.len()).expect("short");
    let mut file = b"RIFF".to_vec();
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt ");
    for number in [16_u32, 0x0001_0001, 16_000, 32_000, 0x0010_0002] {
        file.extend(number.to_le_bytes());
    }
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(bytes);
    file
}

#[test]
fn two_results_never_share_a_file() {
    let world = world();
    let copy: PathBuf = world.folder().join("en05.flac");
    fs::copy(clip("en04.flac"), &copy).expect("copied");
    let run = world.run(&["transcribe", &clip("en05.wav"), text(&copy), "--output-dir", "out"]).exits(2);
    assert!(run.stderr().contains("would both be written"), "{}", run.stderr());
}
