//! The steps that the models are for: a transcription and an identification.

use std::fs;
use std::time::{Duration, Instant};

use super::stage::Stage;
use crate::report::Failure;

/// A clip of the fixtures.
macro_rules! embedded {
    ($file:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/audio/", $file))
    };
}

/// Recordings that are part of the program, with what the demo's models make of them.
const RECORDINGS: [Recording; 4] = [
    Recording { name: "english.wav", bytes: embedded!("en05.wav"), says: "The green key is under the table." },
    Recording { name: "german.webm", bytes: embedded!("de02.webm"), says: "Fünf sieben vier." },
    Recording {
        name: "french.wav",
        bytes: embedded!("fr02.48k-f32.wav"),
        says: "La réunion commence demain à sept heures.",
    },
    Recording { name: "japanese.flac", bytes: embedded!("lid-jpn.flac"), says: "" },
];

struct Recording {
    name: &'static str,
    bytes: &'static [u8],
    says: &'static str,
}

/// Transcribes the recordings that the model knows the languages of.
pub(super) fn transcribe(stage: &Stage) -> Result<String, Failure> {
    stage.heading("6. Transcribe");
    write_recordings(stage)?;
    let spoken: Vec<&Recording> = RECORDINGS.iter().filter(|recording| !recording.says.is_empty()).collect();
    let names = spoken.iter().map(|recording| recording.name);
    let call: Vec<&str> = ["transcribe"].into_iter().chain(names).collect();
    let (said, took) = timed(stage, &call)?;
    for recording in &spoken {
        let claim = format!("`{}` is heard to say `{}`", recording.name, recording.says);
        stage.expect(said.lines().any(|line| line == recording.says), &claim)?;
    }
    Ok(format!("{} recordings in three languages transcribed in {:.2} s, all of it", spoken.len(), took.as_secs_f64()))
}

/// Says which languages the recordings are in.
pub(super) fn identify(stage: &Stage) -> Result<String, Failure> {
    stage.heading("7. Identify languages");
    let (said, took) = timed(stage, &["identify", "japanese.flac"])?;
    stage.expect(said.split_whitespace().any(|word| word == "jpn"), "`japanese.flac` is heard to be Japanese")?;
    Ok(format!(
        "a recording identified as Japanese in {:.2} s, from the start of the process to its end",
        took.as_secs_f64()
    ))
}

fn write_recordings(stage: &Stage) -> Result<(), Failure> {
    for recording in &RECORDINGS {
        fs::write(stage.folder().join(recording.name), recording.bytes)
            .map_err(|error| Failure::unexpected(format!("cannot write `{}`", recording.name), error))?;
    }
    Ok(())
}

/// Makes a call that needs no network, and says how long it took from start to end.
fn timed(stage: &Stage, call: &[&str]) -> Result<(String, Duration), Failure> {
    stage.forget();
    let started = Instant::now();
    let said = stage.run_and_read(call)?;
    let took = started.elapsed();
    let requests = stage.seen().requests;
    stage.counted(format_args!(
        "took {:.2} s with the start of the process; the hub answered {requests} requests",
        took.as_secs_f64()
    ));
    Ok((said, took))
}
