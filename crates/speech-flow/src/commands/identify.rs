//! `identify`: which language is spoken in recordings.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use speech_flow_model_manager::Model;
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::language::WhisperLanguage;
use speech_flow_speech_engine::lid::{Identification, IdentifyOptions};
use speech_flow_speech_engine::vad::SileroVad;

use super::speech::{self, Classifier, Outcome, Ready, Recording, Setup};
use crate::cli::IdentifyArgs;
use crate::printer::Printer;
use crate::report::Failure;
use crate::session::Session;
use crate::{selection, signals, table};

pub(super) fn run(session: &Session, args: &IdentifyArgs) -> Result<(), Failure> {
    let options = IdentifyOptions { plain: args.plain, top_k: args.top, ..IdentifyOptions::default() };
    options.validate().map_err(|error| Failure::usage(error.to_string(), "see `speech-flow identify --help`"))?;
    let job = Job {
        recordings: speech::recordings(&args.files)?,
        options,
        as_json: args.json,
        printer: Arc::clone(&session.printer),
        setup: Setup::new(&session.config, &session.config.lid.device, &session.config.lid.compute_type),
    };
    let spec = match &args.model {
        Some(name) => selection::one(&session.config, name)?,
        None => session.config.lid_model().spec,
    };
    signals::run(&session.printer, speech::INTERRUPTED, |cancel| async move {
        let ready = speech::ready(session, &spec, &cancel).await?;
        let vad = if job.options.plain { None } else { Some(speech::detector(session, &cancel).await?) };
        speech::on_a_thread(&cancel, move |stop| job.run(&ready, vad, stop)).await
    })
}

/// All that is to be done, without the configuration that it came from.
struct Job {
    recordings: Vec<Recording>,
    options: IdentifyOptions,
    as_json: bool,
    printer: Arc<Printer>,
    setup: Setup,
}

impl Job {
    fn run(&self, ready: &Ready, vad: Option<SileroVad>, stop: &Cancel) -> Result<(), Failure> {
        let started = Instant::now();
        let classifier = Classifier::load(ready, &self.setup, vad)?;
        let load = started.elapsed();
        let mut outcome = Outcome::default();
        let mut rows = Vec::new();
        for recording in &self.recordings {
            match self.one(recording, &classifier, &ready.model, stop) {
                Ok((result, row)) => {
                    outcome.results.push(result);
                    rows.push(row);
                }
                Err(failure) if stop.is_canceled() => return Err(failure),
                Err(failure) => outcome.fail(&self.printer, recording.name(), failure),
            }
        }
        if self.as_json {
            let mut document = outcome.to_json();
            document["model"] = speech::identity(&ready.model, &classifier.loaded);
            document["seconds"] = json!({
                "model": speech::seconds(ready.took),
                "load": speech::seconds(load),
                "total": speech::seconds(ready.took + started.elapsed()),
            });
            self.printer.json(document);
        } else {
            table::lines(&rows).into_iter().for_each(|line| self.printer.data(line));
        }
        let done = rows.len();
        outcome.finish(&self.printer, done, "identified")
    }

    fn one(
        &self,
        recording: &Recording,
        classifier: &Classifier,
        model: &Model,
        stop: &Cancel,
    ) -> Result<(Value, [String; 4]), Failure> {
        let started = Instant::now();
        let audio = recording.read(stop)?;
        let decoded = started.elapsed();
        let found = classifier.identify(&audio, &self.options, stop)?;
        let whisper = found.whisper_language.known();
        let top = found.top.iter().map(|entry| json!({ "language": entry.language, "probability": entry.probability }));
        let result = json!({
            "file": recording.name(),
            "language": found.language,
            "whisper_language": whisper.map(|language| language.code()),
            "whisper_support": support(found.whisper_language),
            "probability": found.probability,
            "top": top.collect::<Vec<_>>(),
            "duration": audio.duration().as_secs_f64(),
            "speech_seconds": found.speech_seconds,
            "windows": found.windows,
            "truncated": audio.truncated(),
            "model": speech::identity(model, &classifier.loaded),
            "seconds": {
                "decode": speech::seconds(decoded),
                "identify": speech::seconds(started.elapsed() - decoded),
            },
        });
        Ok((result, row(recording, &found)))
    }
}

/// A line of the table: the recording, its language, how sure that is, and what Whisper calls it.
fn row(recording: &Recording, found: &Identification) -> [String; 4] {
    let whisper = found.whisper_language.known().map_or("-", |language| language.code());
    let percent = format!("{:.1} %", f64::from(found.probability) * 100.0);
    [recording.name(), found.language.clone(), percent, whisper.to_owned()]
}

/// Why there is no code of Whisper's, where there is none.
fn support(language: WhisperLanguage) -> &'static str {
    match language {
        WhisperLanguage::Known(_) => "known",
        WhisperLanguage::Unsupported => "unsupported",
        WhisperLanguage::UnknownLabel => "unknown-label",
    }
}
