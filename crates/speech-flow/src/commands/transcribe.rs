//! `transcribe`: what is said in recordings.

mod options;
mod progress;
mod transcript;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use speech_flow_model_manager::Model;
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::output;
use speech_flow_speech_engine::vad::SileroVad;
use speech_flow_speech_engine::whisper::{Event, TranscribeOptions};

use self::progress::Progress;
use self::transcript::Transcript;
use super::speech::{self, Outcome, Ready, Recording, Setup, Whisper};
use crate::cli::{OutputFormat, TranscribeArgs};
use crate::printer::Printer;
use crate::report::Failure;
use crate::session::Session;
use crate::{selection, signals};

pub(super) fn run(session: &Session, args: &TranscribeArgs) -> Result<(), Failure> {
    let recordings = speech::recordings(&args.files)?;
    let job = Job {
        options: options::read(args)?,
        batch_size: args.batch_size.map(usize::from),
        format: args.format(),
        targets: targets(args, &recordings)?,
        recordings,
        printer: Arc::clone(&session.printer),
        setup: Setup::new(&session.config, &session.config.whisper.device, &session.config.whisper.compute_type),
    };
    let spec = match &args.model {
        Some(name) => selection::one(&session.config, name)?,
        None => session.config.whisper_model().spec,
    };
    signals::run(&session.printer, speech::INTERRUPTED, |cancel| async move {
        let ready = speech::ready(session, &spec, &cancel).await?;
        let vad = if job.wants_vad() { Some(speech::detector(session, &cancel).await?) } else { None };
        speech::on_a_thread(&cancel, move |stop| job.run(&ready, vad, stop)).await
    })
}

/// The files that the results are written to, where they are not for stdout.
fn targets(args: &TranscribeArgs, recordings: &[Recording]) -> Result<Option<Vec<PathBuf>>, Failure> {
    let format = args.format();
    match &args.output_dir {
        Some(folder) => speech::targets(recordings, folder, transcript::ending(format)).map(Some),
        None if recordings.len() > 1 && !matches!(format, OutputFormat::Text | OutputFormat::Json) => {
            let message = format!("{} recordings do not fit into one document of this format", recordings.len());
            Err(Failure::usage(message, "give `--output-dir DIR`: each gets a file of its own"))
        }
        None => Ok(None),
    }
}

/// All that is to be done, without the configuration that it came from.
struct Job {
    recordings: Vec<Recording>,
    targets: Option<Vec<PathBuf>>,
    options: TranscribeOptions,
    batch_size: Option<usize>,
    format: OutputFormat,
    printer: Arc<Printer>,
    setup: Setup,
}

impl Job {
    /// Whether speech is looked for: where it is asked for, and in batches, which are cut at silences.
    fn wants_vad(&self) -> bool {
        self.options.vad_filter.unwrap_or(self.batch_size.is_some())
    }

    fn run(&self, ready: &Ready, vad: Option<SileroVad>, stop: &Cancel) -> Result<(), Failure> {
        let started = Instant::now();
        let whisper = Whisper::load(ready, &self.setup, vad)?;
        let load = started.elapsed();
        let mut outcome = Outcome::default();
        let mut done = 0;
        for (index, recording) in self.recordings.iter().enumerate() {
            match self.one(index, recording, &whisper, &ready.model, stop) {
                Ok(transcript) => {
                    done += 1;
                    if self.format == OutputFormat::Json && self.targets.is_none() {
                        outcome.results.push(transcript.to_json());
                    }
                }
                Err(failure) if stop.is_canceled() => return Err(failure),
                Err(failure) => outcome.fail(&self.printer, recording.name(), failure),
            }
        }
        if self.format == OutputFormat::Json && self.targets.is_none() {
            let mut document = outcome.to_json();
            document["model"] = speech::identity(&ready.model, &whisper.loaded);
            document["seconds"] = json!({
                "model": speech::seconds(ready.took),
                "load": speech::seconds(load),
                "total": speech::seconds(ready.took + started.elapsed()),
            });
            self.printer.json(document);
        }
        outcome.finish(&self.printer, done, "transcribed")
    }

    /// Transcribes one recording and writes it where it belongs.
    fn one(
        &self,
        index: usize,
        recording: &Recording,
        whisper: &Whisper,
        model: &Model,
        stop: &Cancel,
    ) -> Result<Transcript, Failure> {
        let started = Instant::now();
        let audio = recording.read(stop)?;
        let decoded = started.elapsed();
        let name = recording.name();
        if audio.truncated() {
            self.printer.warning(format_args!("`{name}` ends early: what is there is transcribed"));
        }
        if self.says_lines() && self.recordings.len() > 1 {
            self.printer.data(format_args!("==> {name} <=="));
        }
        let mut segments = Vec::new();
        let mut progress = Progress::new(&self.printer, name.clone());
        let mut hear = |event| match event {
            Event::Segment(segment) => {
                if self.says_lines() {
                    self.printer.data(output::line(&segment.text));
                }
                segments.push(segment);
            }
            Event::Progress { done, total } => progress.moved(done, total),
            Event::Started(_) => {}
        };
        let info = whisper.transcribe(&audio, &self.options, self.batch_size, stop, &mut hear)?;
        drop(progress);
        let transcript = Transcript {
            file: name,
            task: self.options.task,
            info,
            segments,
            truncated: audio.truncated(),
            took: (decoded, started.elapsed() - decoded),
            model: speech::identity(model, &whisper.loaded),
        };
        self.write(index, &transcript)?;
        Ok(transcript)
    }

    /// Whether segments are printed as they come.
    fn says_lines(&self) -> bool {
        self.format == OutputFormat::Text && self.targets.is_none()
    }

    /// Writes a transcript into its file, or to stdout unless it was printed or waits for the others.
    fn write(&self, index: usize, transcript: &Transcript) -> Result<(), Failure> {
        match (&self.targets, self.format) {
            (Some(targets), format) => {
                let target = &targets[index];
                write_whole(target, &transcript.to_text(format))
                    .map_err(|error| Failure::refused_by(format!("cannot write `{}`", target.display()), error))?;
                self.printer.note(format_args!("{} -> {}", transcript.file, target.display()));
            }
            (None, OutputFormat::Text | OutputFormat::Json) => {}
            (None, format) => {
                let text = transcript.to_text(format);
                self.printer.data(text.strip_suffix('\n').unwrap_or(&text));
            }
        }
        Ok(())
    }
}

/// Writes a file that nobody sees half written.
fn write_whole(target: &Path, text: &str) -> io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // As a file that is simply created: what the umask leaves of it.
    let mut file = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o666)).tempfile_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.persist(target)?;
    Ok(())
}
