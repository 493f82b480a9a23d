//! The way through the windows of a clip: what each of them is told, what it says, and where the next one starts.

use crate::error::Error;
use crate::features::WhisperFeatures;
use crate::vad::SpeechTimestampsMap;
use crate::whisper::fallback::{Decoded, Decoder, is_silence};
use crate::whisper::hallucination::{Situation, Verdict, judge};
use crate::whisper::options::most_tokens;
use crate::whisper::plan::{Window, stretches};
use crate::whisper::prompt::{self, Parts};
use crate::whisper::round::round_to_frames;
use crate::whisper::subsegments::{Draft, end_of, part};
use crate::whisper::text::trim;
use crate::whisper::tongue::{Tongue, code_of};
use crate::whisper::words::{WindowText, WordFinder};
use crate::whisper::{Encoded, EncoderWindow, Event, FRAME_SECONDS, Segment, Tokenizer, TranscriptionInfo, speech};

/// The way through the windows of a clip.
pub(super) struct Walk<'a> {
    pub(super) decoder: Decoder<'a>,
    pub(super) features: WhisperFeatures<'a>,
    pub(super) tongue: Tongue,
    /// Frames of a window.
    pub(super) max_frames: usize,
    /// A window that is encoded already.
    pub(super) heard: Option<Heard>,
    /// Tokens of the prompt and of all segments so far.
    pub(super) history: Vec<u32>,
    /// Tokens of the history that the next window is not told.
    pub(super) forgotten: usize,
    /// Seconds up to which somebody spoke.
    pub(super) last_speech: f64,
    pub(super) info: TranscriptionInfo,
    pub(super) map: Option<SpeechTimestampsMap>,
}

impl Walk<'_> {
    /// Goes through all windows.
    pub(super) fn run(mut self, on_event: &mut dyn FnMut(Event)) -> Result<TranscriptionInfo, Error> {
        let content = self.features.frames() - 1;
        let total = content as f64 * FRAME_SECONDS;
        let mut id = 0;
        for stretch in stretches(&self.decoder.options.clip_timestamps, content) {
            let mut seek = stretch.start;
            while seek < stretch.end {
                if let Some(reason) = self.decoder.cancel.reason() {
                    return Err(Error::Canceled(reason));
                }
                let window = Window::at(seek, stretch, self.max_frames);
                let Outcome { drafts, decoded, next, counts } = self.window(window, content)?;
                for draft in drafts {
                    let Some(mut segment) = segment_of(self.decoder.tokenizer, draft, &decoded, seek) else { continue };
                    id += 1;
                    segment.id = id;
                    segment.words = segment.words.filter(|_| self.decoder.options.word_timestamps);
                    self.history.extend_from_slice(&segment.tokens);
                    if let Some(map) = &self.map {
                        speech::restore(map, &mut segment);
                    }
                    on_event(Event::Segment(segment));
                }
                if counts {
                    self.forget(decoded.temperature);
                }
                // No rule of the model's can stop it here, but a forged model or an odd option could.
                seek = if next > seek { next } else { seek + window.frames };
                on_event(Event::Progress { done: seek.min(content) as f64 * FRAME_SECONDS, total });
            }
        }
        Ok(self.info)
    }

    /// Decodes a window.
    fn window(&mut self, window: Window, content: usize) -> Result<Outcome, Error> {
        let encoded = self.encode(window)?;
        if self.decoder.options.multilingual {
            self.detect(&encoded)?;
        }
        let prompt = self.prompt(window);
        let (encoded, decoded) = self.decode(window, encoded, prompt)?;
        self.info.windows += 1;
        self.info.fallbacks += decoded.fallbacks;
        if is_silence(&decoded, self.decoder.options) {
            return Ok(Outcome::nothing(decoded, window.seek + window.frames));
        }
        let special = self.decoder.tokenizer.special();
        let parted = part(&decoded.tokens, special, window.start(), window.frames, window.duration());
        let mut drafts = parted.drafts;
        let mut next = window.seek + parted.advance;
        if self.decoder.options.word_timestamps {
            self.words(encoded, window, &mut drafts)?;
            if !parted.ends_with_one_timestamp
                && let Some(end) = end_of(&drafts).filter(|end| *end > window.start())
            {
                next = round_to_frames(end);
            }
            if let Some(threshold) = self.decoder.options.hallucination_silence_threshold {
                let situation = Situation { window, threshold, last_speech: self.last_speech, content };
                match judge(&drafts, &situation) {
                    Verdict::Keep => {}
                    Verdict::Retry { seek } => return Ok(Outcome::nothing(decoded, seek)),
                    Verdict::Cut { kept, seek } => {
                        drafts.truncate(kept);
                        next = seek;
                    }
                }
            }
            self.last_speech = end_of(&drafts).unwrap_or(self.last_speech);
        }
        Ok(Outcome { drafts, decoded, next, counts: true })
    }

    /// Decodes a window. One that was fitted to its sound and failed is heard again in full.
    fn decode(&mut self, window: Window, encoded: Encoded, prompt: Vec<u32>) -> Result<(Encoded, Decoded), Error> {
        let nothing = || Error::Unavailable { reason: "it gave no result for a window".into() };
        let prompts = [prompt];
        if !self.decoder.options.encoder_window().is_fitted(window.frames) {
            let decoded = self.decoder.decode(std::slice::from_ref(&encoded), &prompts)?;
            return Ok((encoded, decoded.into_iter().next().ok_or_else(nothing)?));
        }
        let most = most_tokens(window.frames);
        let attempt = self.decoder.attempt(std::slice::from_ref(&encoded), &prompts, most)?;
        if let Some(decoded) = attempt.into_iter().next().ok_or_else(nothing)? {
            return Ok((encoded, decoded));
        }
        let encoded = self.encode_in(window, EncoderWindow::Full)?;
        let decoded = self.decoder.decode(std::slice::from_ref(&encoded), &prompts)?;
        let mut decoded = decoded.into_iter().next().ok_or_else(nothing)?;
        decoded.fallbacks += 1;
        Ok((encoded, decoded))
    }

    /// Forgets all text so far if the next window is not to be told: never, or not after so high a temperature.
    fn forget(&mut self, temperature: f64) {
        let options = self.decoder.options;
        let told = options.condition_on_previous_text.unwrap_or(true);
        if !told || temperature > options.prompt_reset_on_temperature {
            self.forgotten = self.history.len();
        }
    }

    fn encode(&mut self, window: Window) -> Result<Encoded, Error> {
        if let Some(Heard { encoded, .. }) = self.heard.take().filter(|heard| heard.is(window)) {
            return Ok(encoded);
        }
        self.encode_in(window, self.decoder.options.encoder_window())
    }

    fn encode_in(&self, window: Window, encoder_window: EncoderWindow) -> Result<Encoded, Error> {
        let width = encoder_window.frames(window.frames);
        let mel = self.features.padded_window(window.seek, window.frames, width);
        let encoded = self.decoder.backend.encode(vec![mel], self.decoder.cancel)?;
        encoded.into_iter().next().ok_or_else(|| Error::Unavailable { reason: "it encoded no window".into() })
    }

    /// Takes the language of this window.
    fn detect(&mut self, encoded: &Encoded) -> Result<(), Error> {
        let Decoder { backend, tokenizer, options, cancel, .. } = self.decoder;
        if !backend.model().is_multilingual {
            return Ok(());
        }
        let languages = backend.detect_language(std::slice::from_ref(encoded), cancel)?;
        if let Some((token, _)) = languages.first().and_then(|languages| languages.first()) {
            self.tongue = Tongue::new(backend.model(), tokenizer, code_of(token), options.task)?;
        }
        Ok(())
    }

    fn prompt(&self, window: Window) -> Vec<u32> {
        let Decoder { backend, tokenizer, options, .. } = self.decoder;
        let parts = Parts {
            previous: &self.history[self.forgotten..],
            start_sequence: &self.tongue.start_sequence,
            without_timestamps: options.without_timestamps.unwrap_or(false),
            prefix: options.prefix.as_deref().filter(|_| window.seek == 0),
            hotwords: options.hotwords.as_deref(),
        };
        prompt::build(backend.model(), tokenizer, &parts)
    }

    fn words(&mut self, encoded: Encoded, window: Window, drafts: &mut Vec<Draft>) -> Result<(), Error> {
        let Decoder { backend, tokenizer, options, cancel, .. } = self.decoder;
        let finder = WordFinder { backend, tokenizer, options, cancel };
        let text = WindowText { encoded, tongue: &self.tongue, seek: window.seek, frames: window.frames, drafts };
        finder.find(&mut [text], self.last_speech)?;
        Ok(())
    }
}

/// A window that was encoded when its language was asked for.
pub(super) struct Heard {
    pub(super) seek: usize,
    pub(super) frames: usize,
    pub(super) encoded: Encoded,
}

impl Heard {
    fn is(&self, window: Window) -> bool {
        (self.seek, self.frames) == (window.seek, window.frames)
    }
}

/// The segment of a draft, without its number; none where nothing is said or it takes no time.
fn segment_of(tokenizer: &Tokenizer, draft: Draft, decoded: &Decoded, seek: usize) -> Option<Segment> {
    let text = tokenizer.decode(&draft.tokens);
    if draft.start == draft.end || trim(&text).is_empty() {
        return None;
    }
    Some(Segment {
        id: 0,
        seek,
        start: draft.start,
        end: draft.end,
        text,
        tokens: draft.tokens,
        avg_logprob: decoded.avg_logprob,
        compression_ratio: decoded.compression_ratio,
        no_speech_prob: decoded.no_speech_prob,
        words: Some(draft.words),
        temperature: decoded.temperature,
    })
}

/// What became of a window.
struct Outcome {
    drafts: Vec<Draft>,
    decoded: Decoded,
    /// Frame at which the next window starts.
    next: usize,
    /// Whether the window was heard, and not skipped.
    counts: bool,
}

impl Outcome {
    fn nothing(decoded: Decoded, next: usize) -> Self {
        Self { drafts: Vec::new(), decoded, next, counts: false }
    }
}
