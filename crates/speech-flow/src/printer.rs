//! The only place that prints. stdout is data, stderr is for people.
//!
//! A closed pipe is a normal end: what nobody reads is dropped, and the exit code stays that of the work.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use serde_json::{Map, Value};

use crate::cli::GlobalArgs;
use crate::visible::{escaped_json, visible};

/// The `schema` of every JSON document.
const SCHEMA: u64 = 1;

/// Prints.
pub(crate) struct Printer {
    quiet: bool,
    progress: Progress,
    color_stdout: bool,
    color_stderr: bool,
    /// Lines on stderr go above it.
    bar: Mutex<Option<ProgressBar>>,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// A bar on a terminal.
    Bar,
    /// A line now and then.
    Lines,
    /// Not at all.
    Hidden,
}

/// What a piece of text means; shown as color where there is color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Warning,
    Bad,
    Faint,
    Strong,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
            Self::Faint => "2",
            Self::Strong => "1",
        }
    }
}

impl Printer {
    /// A printer for this process's streams. Color needs a terminal that wants it.
    pub(crate) fn from_environment(global: &GlobalArgs) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let color = !set("NO_COLOR") && !dumb;
        let stderr_is_terminal = io::stderr().is_terminal();
        let progress = match (global.quiet || global.no_progress, stderr_is_terminal && !dumb) {
            (true, _) => Progress::Hidden,
            (false, true) => Progress::Bar,
            (false, false) => Progress::Lines,
        };
        Self {
            quiet: global.quiet,
            progress,
            color_stdout: color && io::stdout().is_terminal(),
            color_stderr: color && stderr_is_terminal,
            bar: Mutex::new(None),
        }
    }

    /// How progress is to be shown.
    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether stderr has color.
    pub(crate) fn color_stderr(&self) -> bool {
        self.color_stderr
    }

    /// Prints one line of data.
    pub(crate) fn data(&self, line: impl Display) {
        self.write_stdout(format!("{}\n", visible(&line.to_string(), self.color_stdout)).as_bytes());
    }

    /// Prints bytes of data as they are.
    pub(crate) fn write_stdout(&self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        // Nobody reads on: see the module's text.
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    }

    /// Prints one JSON document: the fields, and `schema` before them.
    pub(crate) fn json(&self, fields: Value) {
        let mut document = Map::new();
        document.insert("schema".to_owned(), SCHEMA.into());
        if let Value::Object(fields) = fields {
            document.extend(fields);
        }
        self.data(escaped_json(&Value::Object(document).to_string()));
    }

    /// Says something to people, unless they want quiet.
    pub(crate) fn note(&self, line: impl Display) {
        if !self.quiet {
            self.error_line(line);
        }
    }

    /// Says that something is off.
    pub(crate) fn warning(&self, message: impl Display) {
        if !self.quiet {
            self.error_line(format!("{}: {message}", self.paint_stderr(Tone::Warning, "warning")));
        }
    }

    /// Prints one line on stderr, above the bar if there is one.
    pub(crate) fn error_line(&self, line: impl Display) {
        self.write_stderr(format!("{}\n", visible(&line.to_string(), self.color_stderr)).as_bytes());
    }

    /// Prints bytes on stderr, above the bar if there is one.
    pub(crate) fn write_stderr(&self, bytes: &[u8]) {
        let write = || {
            // There is nobody else to tell.
            let _ = io::stderr().lock().write_all(bytes);
        };
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Sets the bar that lines on stderr go above.
    pub(crate) fn set_bar(&self, bar: Option<ProgressBar>) {
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = bar;
    }

    /// Text for stdout in a tone.
    pub(crate) fn paint(&self, tone: Tone, text: impl Display) -> String {
        paint(self.color_stdout, tone, text)
    }

    /// Text for stderr in a tone.
    pub(crate) fn paint_stderr(&self, tone: Tone, text: impl Display) -> String {
        paint(self.color_stderr, tone, text)
    }

    /// Asks a question that is answered with yes or no. `None` when nobody can answer.
    pub(crate) fn confirm(&self, question: impl Display) -> Option<bool> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        self.write_stderr(format!("{question} [y/N] ").as_bytes());
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).ok()?;
        Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

fn paint(color: bool, tone: Tone, text: impl Display) -> String {
    if color { format!("\x1b[{}m{text}\x1b[0m", tone.code()) } else { text.to_string() }
}
