//! What a window is told before it is decoded.
//!
//! ```text
//! <|startofprev|> hotwords previous text <|startoftranscript|> <|en|> <|transcribe|> [<|notimestamps|>] prefix
//! ```

use crate::error::Error;
use crate::whisper::text::trim;
use crate::whisper::{ModelFacts, Prompt, Tokenizer};

/// What goes into the prompt of one window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    /// Tokens of the text before the window.
    pub(super) previous: &'a [u32],
    /// Start of the transcript: language and task.
    pub(super) start_sequence: &'a [u32],
    /// Whether timestamps are not asked for.
    pub(super) without_timestamps: bool,
    /// Text with which the window begins.
    pub(super) prefix: Option<&'a str>,
    /// Words to expect.
    pub(super) hotwords: Option<&'a str>,
}

/// The tokens of the prompt before the first window. A text gets the space in front that words have.
pub(super) fn initial(tokenizer: &Tokenizer, prompt: Option<&Prompt>, spaced: bool) -> Result<Vec<u32>, Error> {
    let tokens = match prompt {
        Some(Prompt::Text(text)) if spaced => return Ok(tokenizer.encode(&format!(" {}", trim(text)))),
        Some(Prompt::Text(text)) => return Ok(tokenizer.encode(text)),
        Some(Prompt::Tokens(tokens)) => tokens,
        None => return Ok(Vec::new()),
    };
    let known = tokenizer.special().timestamp_end();
    match tokens.iter().find(|token| **token >= known) {
        Some(token) => {
            Err(Error::option("initial_prompt", format!("has the token {token}, which the model does not know")))
        }
        None => Ok(tokens.clone()),
    }
}

/// The prompt of one window. Half of the model's length is for what it generates, so each text gets less than half.
pub(super) fn build(facts: &ModelFacts, tokenizer: &Tokenizer, parts: &Parts<'_>) -> Vec<u32> {
    let longest = facts.max_length / 2 - 1;
    let special = tokenizer.special();
    let prefix = parts.prefix.filter(|prefix| !prefix.is_empty());
    let hotwords = parts.hotwords.filter(|hotwords| !hotwords.is_empty() && prefix.is_none());
    let encode = |text: &str| {
        let mut tokens = tokenizer.encode(&format!(" {}", trim(text)));
        tokens.truncate(longest);
        tokens
    };

    let mut after = parts.start_sequence.to_vec();
    if parts.without_timestamps {
        after.push(special.no_timestamps);
    }
    if let Some(prefix) = prefix {
        if !parts.without_timestamps {
            after.push(special.timestamp_begin);
        }
        after.extend(encode(prefix));
    }
    let mut prompt = Vec::new();
    if let Some(start) = special.start_of_previous.filter(|_| !parts.previous.is_empty() || hotwords.is_some()) {
        prompt.push(start);
        prompt.extend(hotwords.map(encode).unwrap_or_default());
        // Hotwords and previous text may together leave no token to generate: then less of the previous text is told.
        let room = facts.max_length.saturating_sub(prompt.len() + after.len() + 1);
        let kept = parts.previous.len().min(longest).min(room);
        prompt.extend_from_slice(&parts.previous[parts.previous.len() - kept..]);
    }
    prompt.extend(after);
    prompt
}
