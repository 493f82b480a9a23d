//! Log lines go to stderr, above the progress bar.

use std::io;
use std::sync::Arc;

use speech_flow_model_manager::config::LogFormat;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::printer::Printer;
use crate::report::Failure;

/// The filter that `-v`, given so many times, stands for. Other crates stay at warnings.
pub(crate) fn filter_of(verbose: u8) -> &'static str {
    match verbose {
        0 => "warn",
        1 => "warn,speech_flow=info",
        2 => "warn,speech_flow=debug",
        _ => "debug,speech_flow=trace",
    }
}

/// Starts logging. `place` is where the filter came from.
pub(crate) fn start(filter: &str, place: &str, format: LogFormat, printer: &Arc<Printer>) -> Result<(), Failure> {
    let targets: Targets = filter.parse().map_err(|_| {
        Failure::usage(
            format!("`{place}` is `{filter}`, which is not a log filter"),
            "it takes a level (`error`, `warn`, `info`, `debug`, `trace`) or `info,speech_flow_model_hub=debug`",
        )
    })?;
    let layer = fmt::layer().with_writer(Lines(Arc::clone(printer)));
    let layer = match format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text => layer.with_ansi(printer.color_stderr()).boxed(),
    };
    // Only a second call in one process could fail, and there is none.
    let _ = tracing_subscriber::registry().with(layer.with_filter(targets)).try_init();
    Ok(())
}

/// Gives each event a buffer that is printed as a whole.
struct Lines(Arc<Printer>);

/// One event's text.
struct Line<'a> {
    printer: &'a Printer,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { printer: &self.0, text: Vec::new() }
    }
}

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        // An event is one line, whatever its fields hold.
        let text = String::from_utf8_lossy(&self.text);
        self.printer.error_line(text.trim_end_matches('\n').replace('\n', "\\n"));
    }
}
