//! The last problems, for the status page.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Problems that are kept.
const MOST: usize = 50;

/// A ring of problems.
#[derive(Debug, Default)]
pub(crate) struct ProblemLog {
    problems: Mutex<VecDeque<Problem>>,
}

/// Something that went wrong, and what to do.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Problem {
    /// When it last happened.
    pub(crate) time: String,
    /// How often in a row.
    pub(crate) times: u64,
    /// What went wrong.
    pub(crate) message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// An error and what caused it, on one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(&format!(": {error}"));
        cause = error.source();
    }
    message
}

impl ProblemLog {
    /// Notes an error with its causes, and logs it.
    pub(crate) fn problem(&self, what: &str, error: &dyn Error, hint: Option<impl Into<String>>) {
        self.note(format!("{what}: {}", with_causes(error)), hint.map(Into::into));
    }

    /// Notes a message, and logs it.
    pub(crate) fn note(&self, message: String, hint: Option<String>) {
        tracing::warn!(hint, "{message}");
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let time = jiff::Timestamp::now().to_string();
        if let Some(last) = problems.front_mut().filter(|last| last.message == message) {
            (last.time, last.times) = (time, last.times + 1);
            return;
        }
        problems.push_front(Problem { time, times: 1, message, hint });
        problems.truncate(MOST);
    }

    /// The newest first.
    pub(crate) fn recent(&self) -> Vec<Problem> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
