//! Language and task of a window, as the model is told them.

use crate::error::Error;
use crate::whisper::{ModelFacts, Task, Tokenizer};

/// Language and task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tongue {
    /// Whisper's code of the language.
    pub(super) code: String,
    /// The tokens that start a transcript of it.
    pub(super) start_sequence: Vec<u32>,
}

impl Tongue {
    /// Language `code` and `task`. A model of English alone is told neither.
    pub(super) fn new(facts: &ModelFacts, tokenizer: &Tokenizer, code: &str, task: Task) -> Result<Self, Error> {
        let special = tokenizer.special();
        let start = special.start_of_transcript;
        if !facts.is_multilingual {
            if code != "en" {
                tracing::warn!(language = code, "the model knows English alone: it is used");
            }
            return Ok(Self { code: "en".to_owned(), start_sequence: vec![start] });
        }
        let Some(language) = tokenizer.language(code) else {
            return Err(Error::option("language", format!("has `{code}`, which the model does not know")));
        };
        let task_token = match task {
            Task::Transcribe => special.transcribe,
            Task::Translate => special.translate,
        };
        let Some(task_token) = task_token else {
            return Err(Error::option("task", format!("has `{}`, which the model does not know", task.as_str())));
        };
        Ok(Self { code: code.to_owned(), start_sequence: vec![start, language, task_token] })
    }
}

/// The code in a language token such as `<|en|>`.
pub(super) fn code_of(token: &str) -> &str {
    token.strip_prefix("<|").and_then(|token| token.strip_suffix("|>")).unwrap_or(token)
}
