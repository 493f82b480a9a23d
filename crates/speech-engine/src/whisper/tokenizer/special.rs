//! Tokens that steer the model, and tokens of what nobody speaks.

use super::file::Problem;

/// The tokens that steer the model. Text tokens are those below [`SpecialTokens::end_of_text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Ends a text.
    pub end_of_text: u32,
    /// Starts a transcript.
    pub start_of_transcript: u32,
    /// Asks for a transcription; models of English alone may lack it.
    pub transcribe: Option<u32>,
    /// Asks for a translation; models of English alone may lack it.
    pub translate: Option<u32>,
    /// Marks a language model without sound.
    pub start_of_language_model: Option<u32>,
    /// Stands before the text of earlier windows.
    pub start_of_previous: Option<u32>,
    /// Says that nobody speaks.
    pub no_speech: Option<u32>,
    /// Asks for text without timestamps.
    pub no_timestamps: u32,
    /// The timestamp of 0 s; the next token is that of 0.02 s, and so on.
    pub timestamp_begin: u32,
}

/// Timestamps from 0 to 30 s.
const TIMESTAMPS: u32 = 1501;

impl SpecialTokens {
    pub(super) fn find(token: impl Fn(&str) -> Option<u32>) -> Result<Self, Problem> {
        let needed = |name: &str| token(name).ok_or_else(|| Problem::new(format!("it lacks the token `{name}`")));
        let no_timestamps = needed("<|notimestamps|>")?;
        Ok(Self {
            end_of_text: needed("<|endoftext|>")?,
            start_of_transcript: needed("<|startoftranscript|>")?,
            transcribe: token("<|transcribe|>"),
            translate: token("<|translate|>"),
            start_of_language_model: token("<|startoflm|>"),
            start_of_previous: token("<|startofprev|>"),
            no_speech: token("<|nospeech|>").or_else(|| token("<|nocaptions|>")),
            no_timestamps,
            timestamp_begin: no_timestamps + 1,
        })
    }

    /// The token after the last one, which is the timestamp of 30 s.
    pub(crate) fn timestamp_end(&self) -> u32 {
        self.timestamp_begin + TIMESTAMPS
    }

    /// The tokens that must not come up inside a text.
    pub(crate) fn never_generated(&self) -> impl Iterator<Item = u32> {
        [
            self.transcribe,
            self.translate,
            Some(self.start_of_transcript),
            self.start_of_previous,
            self.start_of_language_model,
            self.no_speech,
        ]
        .into_iter()
        .flatten()
    }
}

/// Symbols that writers use and speakers do not, each one taken where it is a single token.
const SYMBOLS: &[&str] = &[
    "\"",
    "#",
    "(",
    ")",
    "*",
    "+",
    "/",
    ":",
    ";",
    "<",
    "=",
    ">",
    "@",
    "[",
    "\\",
    "]",
    "^",
    "_",
    "`",
    "{",
    "|",
    "}",
    "~",
    "「",
    "」",
    "『",
    "』",
    "<<",
    ">>",
    "<<<",
    ">>>",
    "--",
    "---",
    "-(",
    "-[",
    "('",
    "(\"",
    "((",
    "))",
    "(((",
    ")))",
    "[[",
    "]]",
    "{{",
    "}}",
    "♪♪",
    "♪♪♪",
];

/// Musical symbols: of several tokens the first is taken, which only symbols of their kind begin with.
const MUSIC: &[&str] = &["♩", "♪", "♫", "♬", "♭", "♮", "♯"];

/// The tokens of symbols that nobody speaks, sorted. A hyphen or an apostrophe counts only at the start of a word.
///
/// Source: `non_speech_tokens` of OpenAI's Whisper.
pub(super) fn non_speech(encode: impl Fn(&str) -> Vec<u32>) -> Vec<u32> {
    let first = |text: &str| encode(text).first().copied();
    let mut tokens: Vec<u32> = [" -", " '"].iter().filter_map(|text| first(text)).collect();
    for symbol in SYMBOLS.iter().chain(MUSIC) {
        for text in [(*symbol).to_owned(), format!(" {symbol}")] {
            let encoded = encode(&text);
            if let Some(token) = encoded.first().filter(|_| encoded.len() == 1 || MUSIC.contains(symbol)) {
                tokens.push(*token);
            }
        }
    }
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}
