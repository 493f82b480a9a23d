//! Which language is spoken.

use crate::audio::Audio;
use crate::cancel::Cancel;
use crate::error::Error;
use crate::features::{WINDOW_FRAMES, WhisperFeatures, pad_or_trim};
use crate::vad::{VadOptions, collect_chunks};
use crate::whisper::tongue::{Tongue, code_of};
use crate::whisper::{Backend, Encoded, EncoderWindow, Mel, Models, TranscribeOptions, TranscriptionInfo, speech};

/// The language of a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct LanguageDetection {
    /// Whisper's code.
    pub language: String,
    /// Its probability, the highest of the windows that voted for it.
    pub probability: f64,
    /// All languages with their probabilities in the last window that was heard, best first.
    pub all: Vec<(String, f64)>,
}

/// How the language of a clip is detected.
#[derive(Debug, Clone, PartialEq)]
pub struct LanguageDetectionOptions {
    /// Options of the voice activity detector, where only speech is to be heard.
    pub vad: Option<VadOptions>,
    /// Windows that are heard at most.
    pub segments: usize,
    /// A language counts at once if it is more probable than this; else the windows vote.
    pub threshold: f64,
}

impl Default for LanguageDetectionOptions {
    /// The defaults of faster-whisper: the first 30 seconds, with their silence.
    fn default() -> Self {
        Self { vad: None, segments: 1, threshold: 0.5 }
    }
}

/// Detects the language of a clip from its start.
///
/// A model of English alone answers English without listening, where faster-whisper fails.
///
/// # Errors
///
/// [`Error::Option`], [`Error::Engine`], [`Error::Canceled`], [`Error::Unavailable`].
pub fn detect_language(
    models: Models<'_>,
    audio: &Audio,
    options: &LanguageDetectionOptions,
    cancel: &Cancel,
) -> Result<LanguageDetection, Error> {
    let facts = models.backend.model();
    if !facts.is_multilingual {
        return Ok(LanguageDetection { language: "en".to_owned(), probability: 1.0, all: Vec::new() });
    }
    let mut samples = audio.samples();
    let collected;
    if let Some(vad) = &options.vad {
        let spans = speech::find(models.vad, audio, vad, cancel)?;
        collected = collect_all(&spans, samples);
        samples = &collected;
    }
    let window_samples = facts.chunk_length * crate::vad::SAMPLE_RATE;
    let samples = &samples[..samples.len().min(window_samples.saturating_mul(options.segments.max(1)))];
    let features = WhisperFeatures::new(&facts.mel, samples);
    let mut windows =
        FeatureWindows::new(&features, 0, facts.chunk_length * super::FRAMES_PER_SECOND, EncoderWindow::Full);
    let vote = Vote { segments: options.segments, threshold: options.threshold };
    Ok(vote.run(models.backend, &mut windows, cancel)?.detection)
}

/// Finds out in what language and task to transcribe, and writes the language into `info`: the one that is asked for,
/// or English where the model knows no other, or the one that is spoken in `windows`.
///
/// Gives the first of the windows too, encoded, where one was heard.
pub(super) fn find_tongue(
    models: Models<'_>,
    options: &TranscribeOptions,
    mut windows: impl Iterator<Item = Mel>,
    cancel: &Cancel,
    info: &mut TranscriptionInfo,
) -> Result<(Tongue, Option<Encoded>), Error> {
    let facts = models.backend.model();
    let mut heard = None;
    match &options.language {
        Some(language) => info.language.clone_from(language),
        None if !facts.is_multilingual => "en".clone_into(&mut info.language),
        None => {
            let vote =
                Vote { segments: options.language_detection_segments, threshold: options.language_detection_threshold };
            let Voted { detection, first } = vote.run(models.backend, &mut windows, cancel)?;
            info.language = detection.language;
            info.language_probability = detection.probability;
            info.all_language_probs = Some(detection.all);
            heard = first;
        }
    }
    let tongue = Tongue::new(facts, models.tokenizer, &info.language, options.task)?;
    info.language.clone_from(&tongue.code);
    Ok((tongue, heard))
}

/// The samples of all spans, one after another.
pub(super) fn collect_all(spans: &[crate::vad::SpeechSpan], samples: &[i16]) -> Vec<i16> {
    collect_chunks(spans, f64::INFINITY).iter().flat_map(|chunk| chunk.collect(samples)).collect()
}

/// The windows of a clip from some frame on.
pub(super) struct FeatureWindows<'a> {
    features: &'a WhisperFeatures<'a>,
    at: usize,
    end: usize,
    window_frames: usize,
    encoder_window: EncoderWindow,
}

impl<'a> FeatureWindows<'a> {
    pub(super) fn new(
        features: &'a WhisperFeatures<'a>,
        start: usize,
        window_frames: usize,
        encoder_window: EncoderWindow,
    ) -> Self {
        // faster-whisper listens to one frame more than it transcribes, so that a window at the end of the audio is
        // encoded twice. Where its results are not to be met to the last digit, once is enough.
        let end = match encoder_window {
            EncoderWindow::Full => features.frames(),
            EncoderWindow::Fitted => features.frames() - 1,
        };
        Self { features, at: start, end, window_frames, encoder_window }
    }

    /// Frames of sound in the next window.
    pub(super) fn frames(&self) -> usize {
        self.end.saturating_sub(self.at).min(self.window_frames)
    }
}

impl Iterator for FeatureWindows<'_> {
    type Item = Mel;

    fn next(&mut self) -> Option<Mel> {
        let frames = self.frames();
        if frames == 0 {
            return None;
        }
        let window = self.features.padded_window(self.at, frames, self.encoder_window.frames(frames));
        self.at += self.window_frames;
        Some(window)
    }
}

/// The features of several pieces, one right after the other, and one silent frame after them, in windows.
pub(super) struct JoinedWindows<P> {
    pieces: P,
    n_mels: usize,
    encoder_window: EncoderWindow,
    /// Features that are not given out yet, one row for each mel bin.
    rows: Vec<Vec<f32>>,
    ended: bool,
}

/// What a silent frame looks like: the floor of the logarithm, scaled.
const SILENCE: f32 = -1.5;

impl<P: Iterator<Item = Vec<f32>>> JoinedWindows<P> {
    /// `pieces` are `[n_mels, frames]`, each of its own length.
    pub(super) fn new(pieces: P, n_mels: usize, encoder_window: EncoderWindow) -> Self {
        Self { pieces, n_mels, encoder_window, rows: vec![Vec::new(); n_mels], ended: false }
    }

    fn ready(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }
}

impl<P: Iterator<Item = Vec<f32>>> Iterator for JoinedWindows<P> {
    type Item = Mel;

    fn next(&mut self) -> Option<Mel> {
        while self.ready() < WINDOW_FRAMES && !self.ended {
            if let Some(piece) = self.pieces.next() {
                let frames = piece.len() / self.n_mels.max(1);
                for (index, row) in self.rows.iter_mut().enumerate() {
                    row.extend_from_slice(&piece[index * frames..][..frames]);
                }
            } else {
                self.rows.iter_mut().for_each(|row| row.push(SILENCE));
                self.ended = true;
            }
        }
        let frames = self.ready().min(WINDOW_FRAMES);
        if frames == 0 {
            return None;
        }
        let window: Vec<f32> = self.rows.iter_mut().flat_map(|row| row.drain(..frames)).collect();
        Some(pad_or_trim(&window, self.n_mels, self.encoder_window.frames(frames)))
    }
}

/// How many windows are heard, and when one is enough.
#[derive(Debug, Clone, Copy)]
struct Vote {
    segments: usize,
    threshold: f64,
}

/// The result of a vote.
#[derive(Debug)]
struct Voted {
    detection: LanguageDetection,
    /// The first window, encoded.
    first: Option<Encoded>,
}

impl Vote {
    /// Hears windows until one is sure, or else takes the language that most windows have for their first, of equals
    /// the one that was heard first.
    pub(super) fn run(
        self,
        backend: &dyn Backend,
        windows: &mut dyn Iterator<Item = Mel>,
        cancel: &Cancel,
    ) -> Result<Voted, Error> {
        let mut votes: Vec<(LanguageDetection, usize)> = Vec::new();
        let mut first = None;
        let mut heard = Vec::new();
        for _ in 0..self.segments.max(1) {
            let Some(window) = windows.next() else { break };
            let encoded = backend.encode(vec![window], cancel)?;
            let languages = backend.detect_language(&encoded, cancel)?.into_iter().next().unwrap_or_default();
            first = first.or(encoded.into_iter().next());
            heard = languages.iter().map(|(token, value)| (code_of(token).to_owned(), f64::from(*value))).collect();
            let Some((language, probability)) = heard.first().cloned() else { continue };
            if probability > self.threshold {
                return Ok(Voted { detection: LanguageDetection { language, probability, all: heard }, first });
            }
            match votes.iter_mut().find(|(vote, _)| vote.language == language) {
                Some((vote, count)) => {
                    vote.probability = vote.probability.max(probability);
                    *count += 1;
                }
                None => votes.push((LanguageDetection { language, probability, all: Vec::new() }, 1)),
            }
        }
        let winner = votes.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best });
        let Some((winner, _)) = winner else {
            return Err(Error::Unavailable { reason: "it named no language".into() });
        };
        Ok(Voted { detection: LanguageDetection { all: heard, ..winner }, first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_windows_are_the_pieces_and_a_silent_frame() {
        // Two mel bins; pieces of 2000 and 1500 frames.
        let piece = |frames: usize, value: f32| [vec![value; frames], vec![-value; frames]].concat();
        let mut windows = JoinedWindows::new([piece(2000, 1.0), piece(1500, 2.0)].into_iter(), 2, EncoderWindow::Full);
        let first = windows.next().unwrap();
        assert_eq!((first[1999], first[2000], first[3000], first[5999]), (1.0, 2.0, -1.0, -2.0));
        let second = windows.next().unwrap();
        assert_eq!((second[499], second[500], second[501], second[3499]), (2.0, SILENCE, 0.0, -2.0));
        assert!(windows.next().is_none());
    }

    #[test]
    fn no_pieces_are_one_silent_frame() {
        let mut windows = JoinedWindows::new(std::iter::empty(), 2, EncoderWindow::Full);
        let only = windows.next().unwrap();
        assert_eq!((only[0], only[1], only[3000]), (SILENCE, 0.0, SILENCE));
        assert!(windows.next().is_none());
    }
}
