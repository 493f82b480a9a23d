//! The verbose JSON of OpenAI's transcription API.
//!
//! Source: `TranscriptionVerbose`, `TranscriptionSegment` and `TranscriptionWord` of the `openai` client. Fields
//! that its types do not name stand beside those that they do; the client keeps them.

use serde::Serialize;

use super::text;
use crate::whisper::{Segment, Word};

/// What was said, with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerboseTranscript<'a> {
    /// `transcribe` or `translate`.
    pub task: &'a str,
    /// The language's English name, in small letters, as OpenAI gives it.
    pub language: &'a str,
    /// Length of the recording in seconds.
    pub duration: f64,
    /// All text.
    pub text: String,
    /// Each word, where words were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<VerboseWord<'a>>>,
    /// Each segment, where segments were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segments: Option<Vec<VerboseSegment<'a>>>,
}

/// A stretch of text with its times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerboseSegment<'a> {
    /// Its place, from 0 at OpenAI and from 1 in `faster-whisper`; written as it is given.
    pub id: usize,
    /// Where its window begins, in frames of 10 ms.
    pub seek: usize,
    /// When it begins, in seconds.
    pub start: f64,
    /// When it ends, in seconds.
    pub end: f64,
    /// Its text, with the space before it.
    pub text: &'a str,
    /// Its tokens.
    pub tokens: &'a [u32],
    /// The temperature that it was sampled at.
    pub temperature: f64,
    /// Mean log probability of its tokens.
    pub avg_logprob: f64,
    /// How well its text compresses: high for text that repeats itself.
    pub compression_ratio: f64,
    /// Probability that nothing is said.
    pub no_speech_prob: f64,
}

/// A word with its times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerboseWord<'a> {
    /// The word, without the space before it.
    pub word: &'a str,
    /// When it begins, in seconds.
    pub start: f64,
    /// When it ends, in seconds.
    pub end: f64,
    /// Probability of its tokens.
    pub probability: f64,
}

impl<'a> VerboseTranscript<'a> {
    /// A transcript with its segments and, where they have any, its words. Leave out what was not asked for.
    pub fn new(task: &'a str, language: &'a str, duration: f64, segments: &'a [Segment]) -> Self {
        let words = segments.iter().filter_map(|segment| segment.words.as_ref()).flatten();
        let has_words = segments.iter().any(|segment| segment.words.is_some());
        Self {
            task,
            language,
            duration,
            text: text(segments.iter().map(|segment| segment.text.as_str())),
            words: has_words.then(|| words.map(VerboseWord::from).collect()),
            segments: Some(segments.iter().map(VerboseSegment::from).collect()),
        }
    }
}

impl<'a> From<&'a Segment> for VerboseSegment<'a> {
    fn from(segment: &'a Segment) -> Self {
        Self {
            id: segment.id,
            seek: segment.seek,
            start: segment.start,
            end: segment.end,
            text: &segment.text,
            tokens: &segment.tokens,
            temperature: segment.temperature,
            avg_logprob: segment.avg_logprob,
            compression_ratio: segment.compression_ratio,
            no_speech_prob: segment.no_speech_prob,
        }
    }
}

impl<'a> From<&'a Word> for VerboseWord<'a> {
    fn from(word: &'a Word) -> Self {
        Self { word: word.word.trim(), start: word.start, end: word.end, probability: word.probability }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn segment(words: Option<Vec<Word>>) -> Segment {
        Segment {
            id: 1,
            seek: 0,
            start: 0.5,
            end: 1.5,
            text: " Hello there.".to_owned(),
            tokens: vec![7, 8],
            avg_logprob: -0.25,
            compression_ratio: 0.75,
            no_speech_prob: 0.125,
            words,
            temperature: 0.0,
        }
    }

    #[test]
    fn a_transcript_has_the_fields_that_the_openai_client_reads() {
        let segments = [segment(None)];
        let transcript = VerboseTranscript::new("transcribe", "english", 2.0, &segments);
        let expected = json!({
            "task": "transcribe", "language": "english", "duration": 2.0, "text": "Hello there.",
            "segments": [{
                "id": 1, "seek": 0, "start": 0.5, "end": 1.5, "text": " Hello there.", "tokens": [7, 8],
                "temperature": 0.0, "avg_logprob": -0.25, "compression_ratio": 0.75, "no_speech_prob": 0.125,
            }],
        });
        assert_eq!(serde_json::to_value(transcript).unwrap(), expected);
    }

    #[test]
    fn words_of_all_segments_stand_in_one_list_without_their_spaces() {
        let word = |word: &str| Word { start: 0.5, end: 1.0, word: word.to_owned(), probability: 0.5 };
        let segments = [segment(Some(vec![word(" Hello"), word(" there.")])), segment(Some(vec![word(" Bye.")]))];
        let transcript = VerboseTranscript::new("transcribe", "english", 2.0, &segments);
        let words: Vec<&str> = transcript.words.iter().flatten().map(|word| word.word).collect();
        assert_eq!(words, ["Hello", "there.", "Bye."]);
        assert_eq!(transcript.text, "Hello there. Hello there.");
    }
}
