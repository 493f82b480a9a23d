//! How a command fails: what people read, and the exit code.

use std::error::Error as StdError;
use std::fmt;
use std::path::Path;

use serde_json::{Value, json};
use speech_flow_model_manager as manager;
use speech_flow_model_manager::lockfile::LockfileError;
use speech_flow_speech_engine as engine;

use crate::printer::{Printer, Tone};
use crate::visible::visible;

/// The request cannot be met.
pub(crate) const REFUSED: u8 = 1;
/// Wrong usage, or an error that nobody expects.
pub(crate) const USAGE: u8 = 2;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    cause: Cause,
    hint: Option<String>,
    code: u8,
}

#[derive(Debug)]
enum Cause {
    Error(Box<dyn StdError + Send + Sync>),
    /// All that is to be said was printed.
    Said,
}

/// What was tried when an error of the system came up.
#[derive(Debug)]
struct Attempt {
    what: String,
    source: Box<dyn StdError + Send + Sync>,
}

impl Failure {
    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { cause: Cause::Error(message.into().into()), hint: Some(hint.into()), code: USAGE }
    }

    /// The request cannot be met.
    pub(crate) fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { cause: Cause::Error(message.into().into()), hint: Some(hint.into()), code: REFUSED }
    }

    /// Something failed that nobody expects to fail.
    pub(crate) fn unexpected(what: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let attempt = Attempt { what: what.into(), source: source.into() };
        Self { cause: Cause::Error(Box::new(attempt)), hint: None, code: USAGE }
    }

    /// All that is to be said was printed.
    pub(crate) fn said(code: u8) -> Self {
        Self { cause: Cause::Said, hint: None, code }
    }

    /// The process was asked to end, and people were told.
    pub(crate) fn signal(number: i32) -> Self {
        Self::said(128_u8.saturating_add(u8::try_from(number).unwrap_or(0)))
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// Prints the error, its causes and its hint.
    pub(crate) fn print(&self, printer: &Printer) {
        let Cause::Error(error) = &self.cause else { return };
        let label = |tone, text| printer.paint_stderr(tone, text);
        let mut text = format!("{}: {}", label(Tone::Bad, "error"), shown(error));
        for cause in causes(error.as_ref()) {
            text.push_str(&format!("\n  {}: {}", label(Tone::Faint, "caused by"), shown(cause)));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\n{}: {}", label(Tone::Good, "hint"), shown(hint)));
        }
        printer.error_line(text);
    }

    /// The failure as JSON has it.
    pub(crate) fn to_json(&self, name: &str) -> Value {
        let Cause::Error(error) = &self.cause else { return json!({ "name": name }) };
        json!({
            "name": name,
            "error": error.to_string(),
            "causes": causes(error.as_ref()).map(ToString::to_string).collect::<Vec<_>>(),
            "hint": self.hint,
            "exit_code": self.code,
        })
    }
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

/// Longest text of one error, in characters.
const MAX_SHOWN: usize = 2000;

/// Text of an error as people get it. Parts of it come from hubs and file names, so it is bounded, and a line
/// after the first is indented: it cannot pass for one of ours.
fn shown(error: impl fmt::Display) -> String {
    let text = error.to_string();
    let mut shown: String = text.chars().take(MAX_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    visible(&shown, false).replace('\n', "\n    ")
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for Attempt {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_ref())
    }
}

impl From<manager::Error> for Failure {
    fn from(error: manager::Error) -> Self {
        Self { hint: error.hint(), code: error.exit_code(), cause: Cause::Error(Box::new(error)) }
    }
}

impl From<manager::config::ConfigError> for Failure {
    fn from(error: manager::config::ConfigError) -> Self {
        Self { hint: error.hint(), code: USAGE, cause: Cause::Error(Box::new(error)) }
    }
}

impl Failure {
    /// A recording cannot be read.
    pub(crate) fn of_recording(name: &str, error: engine::audio::AudioError) -> Self {
        let hint = error.hint().map(Into::into);
        let attempt = Attempt { what: format!("cannot read `{name}`"), source: Box::new(error) };
        Self { cause: Cause::Error(Box::new(attempt)), hint, code: REFUSED }
    }

    /// What was tried was refused by the system.
    pub(crate) fn refused_by(what: String, source: std::io::Error) -> Self {
        Self { code: REFUSED, ..Self::unexpected(what, source) }
    }

    /// The lockfile cannot be used.
    pub(crate) fn of_lockfile(path: &Path, error: LockfileError) -> Self {
        let hint = Some(error.hint());
        let attempt =
            Attempt { what: format!("cannot use the lockfile `{}`", path.display()), source: Box::new(error) };
        Self { cause: Cause::Error(Box::new(attempt)), hint, code: REFUSED }
    }
}

impl From<speech_flow_model_oci::OciError> for Failure {
    fn from(error: speech_flow_model_oci::OciError) -> Self {
        Self { hint: error.hint().map(Into::into), code: error.exit_code(), cause: Cause::Error(Box::new(error)) }
    }
}

impl From<speech_flow_cache_server::Error> for Failure {
    fn from(error: speech_flow_cache_server::Error) -> Self {
        Self { hint: error.hint(), code: USAGE, cause: Cause::Error(Box::new(error)) }
    }
}

impl From<engine::error::Error> for Failure {
    fn from(error: engine::error::Error) -> Self {
        use engine::error::Error;
        let code = match &error {
            Error::Option { .. } | Error::NotInBatchedMode { .. } => USAGE,
            _ => REFUSED,
        };
        Self { hint: error.hint().map(Into::into), code, cause: Cause::Error(Box::new(error)) }
    }
}

impl From<engine::prepared::PrepareError> for Failure {
    fn from(error: engine::prepared::PrepareError) -> Self {
        Self { hint: error.hint().map(Into::into), code: REFUSED, cause: Cause::Error(Box::new(error)) }
    }
}

impl From<engine::ctranslate2::Error> for Failure {
    fn from(error: engine::ctranslate2::Error) -> Self {
        Self { hint: error.hint().map(Into::into), code: REFUSED, cause: Cause::Error(Box::new(error)) }
    }
}

impl From<speech_flow_speech_worker::Error> for Failure {
    fn from(error: speech_flow_speech_worker::Error) -> Self {
        Self { hint: error.hint(), code: error.exit_code(), cause: Cause::Error(Box::new(error)) }
    }
}

impl From<speech_flow_demo_hub::DemoHubError> for Failure {
    fn from(error: speech_flow_demo_hub::DemoHubError) -> Self {
        Self { hint: error.hint().map(Into::into), code: USAGE, cause: Cause::Error(Box::new(error)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hub_says_cannot_steer_the_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\u{7}"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(shown("line\nerror: line"), "line\n    error: line");
        assert_eq!(shown("x".repeat(100_000)).chars().count(), MAX_SHOWN + 1);
    }

    #[test]
    fn a_signal_gives_128_and_its_number() {
        assert_eq!(Failure::signal(2).code(), 130);
        assert_eq!(Failure::signal(15).code(), 143);
    }
}
