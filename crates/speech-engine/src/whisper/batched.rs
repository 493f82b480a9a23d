//! Batched: the audio is cut into pieces of speech first, and several of them are decoded at once.
//!
//! faster-whisper's batched mode drops some options without a word. Here each is honored, or refused with the reason:
//!
//! | option | faster-whisper | here |
//! | --- | --- | --- |
//! | `temperature`, the thresholds, `best_of` | only the first temperature | failed pieces are decoded again, together |
//! | `no_speech_threshold` | ignored | silent pieces give no segment, as window by window |
//! | `prefix` | ignored | the first piece begins with it |
//! | `max_initial_timestamp` | always 1 s | honored |
//! | `max_speech_duration_s` | replaced by the window | honored; refused if it is longer than a window |
//! | clips longer than a window | cut off | refused |
//! | `multilingual` with words | words in the first language | words in the language of the piece |
//! | `condition_on_previous_text` | off | off; refused if asked for, as pieces do not wait for each other |
//! | `hallucination_silence_threshold` | off | refused, as it moves windows that are cut already |
//!
//! `prompt_reset_on_temperature` has no meaning without previous text. Segments without text are left out.

use crate::audio::Audio;
use crate::cancel::Cancel;
use crate::error::Error;
use crate::features::{WINDOW_FRAMES, WhisperFeatures, pad_or_trim};
use crate::vad::{SpeechChunk, SpeechTimestampsMap};
use crate::whisper::detect::{JoinedWindows, find_tongue};
use crate::whisper::fallback::{Decoded, Decoder, is_silence, suppressed_tokens};
use crate::whisper::options::most_tokens;
use crate::whisper::pieces::{Cut, cut};
use crate::whisper::prompt::{self, Parts};
use crate::whisper::round::round;
use crate::whisper::speech::{self, seconds};
use crate::whisper::subsegments::{Draft, part};
use crate::whisper::text::{compression_ratio, trim};
use crate::whisper::tongue::{Tongue, code_of};
use crate::whisper::words::{WindowText, WordFinder};
use crate::whisper::{
    Encoded, Event, FRAMES_PER_SECOND, Models, PromptShape, Segment, TranscribeOptions, TranscriptionInfo,
};

/// Pieces that are decoded at once at most: more would only cost memory.
const MAX_BATCH: usize = 256;

/// Transcribes a clip in pieces, `batch_size` of them at once.
///
/// The text is that of faster-whisper's batched mode wherever its first temperature succeeds.
///
/// # Errors
///
/// [`Error::NotInBatchedMode`] for an option that the mode cannot honor; else as [`transcribe`](super::transcribe).
pub fn transcribe_batched(
    models: Models<'_>,
    audio: &Audio,
    options: &TranscribeOptions,
    batch_size: usize,
    cancel: &Cancel,
    on_event: &mut dyn FnMut(Event),
) -> Result<TranscriptionInfo, Error> {
    options.validate()?;
    refuse(options, batch_size)?;
    let Cut { pieces, map, speech_samples } = cut(models, audio, options, cancel)?;
    let mut info = TranscriptionInfo::new(seconds(audio.samples().len()), seconds(speech_samples));
    let features = pieces.iter().map(|piece| features_of(piece, audio, models));
    let windows = JoinedWindows::new(features, models.backend.model().n_mels(), options.encoder_window());
    let (tongue, _) = find_tongue(models, options, windows, cancel, &mut info)?;
    on_event(Event::Started(info.clone()));

    let suppressed = suppressed_tokens(models.tokenizer, &options.suppress_tokens)?;
    let decoder =
        Decoder { backend: models.backend, tokenizer: models.tokenizer, options, suppressed: &suppressed, cancel };
    // faster-whisper puts no space before the prompt in this mode.
    let initial = prompt::initial(models.tokenizer, options.initial_prompt.as_ref(), false)?;
    let mut batches = Batches { models, audio, decoder, tongue, initial, last_speech: 0.0, id: 0, info, map };
    for (index, batch) in pieces.chunks(batch_size).enumerate() {
        batches.run(batch, index == 0, on_event)?;
        let done = batch.last().map_or(0.0, |piece| piece.offset_s() + piece.duration_s());
        on_event(Event::Progress { done, total: batches.info.duration_after_vad });
    }
    Ok(batches.info)
}

/// Refuses what the mode cannot honor.
fn refuse(options: &TranscribeOptions, batch_size: usize) -> Result<(), Error> {
    if !(1..=MAX_BATCH).contains(&batch_size) {
        return Err(Error::option("batch_size", "must be between 1 and 256"));
    }
    let refused = |option, reason| Err(Error::NotInBatchedMode { option, reason });
    if options.condition_on_previous_text == Some(true) {
        return refused("condition_on_previous_text", "pieces are decoded together, none after another");
    }
    if options.hallucination_silence_threshold.is_some() {
        return refused("hallucination_silence_threshold", "it moves windows, and the pieces are cut before decoding");
    }
    Ok(())
}

/// The features of a piece, `[n_mels, frames]`: its loudest bin alone sets the floor.
fn features_of(piece: &SpeechChunk, audio: &Audio, models: Models<'_>) -> Vec<f32> {
    let samples = piece.collect(audio.samples());
    let features = WhisperFeatures::new(&models.backend.model().mel, &samples[..]);
    features.window(0, features.frames() - 1)
}

/// A piece that is encoded.
struct Piece<'a> {
    chunk: &'a SpeechChunk,
    /// Frames of sound.
    frames: usize,
    encoded: Encoded,
    tongue: Tongue,
}

/// The way through the batches.
struct Batches<'a> {
    models: Models<'a>,
    audio: &'a Audio,
    decoder: Decoder<'a>,
    tongue: Tongue,
    /// Tokens before every piece.
    initial: Vec<u32>,
    /// Seconds up to which somebody spoke.
    last_speech: f64,
    /// Number of the last segment.
    id: usize,
    info: TranscriptionInfo,
    map: Option<SpeechTimestampsMap>,
}

impl Batches<'_> {
    fn run(&mut self, chunks: &[SpeechChunk], first: bool, on_event: &mut dyn FnMut(Event)) -> Result<(), Error> {
        let mut pieces = self.encode(chunks)?;
        let decoded = self.decode(&mut pieces, first)?;
        let mut heard = Vec::new();
        for (piece, decoded) in pieces.iter().zip(decoded) {
            self.info.windows += 1;
            self.info.fallbacks += decoded.fallbacks;
            if !is_silence(&decoded, self.decoder.options) {
                let duration = piece.chunk.duration_s();
                let frames = frames_of(duration);
                let special = self.models.tokenizer.special();
                let drafts = part(&decoded.tokens, special, piece.chunk.offset_s(), frames, duration).drafts;
                heard.push((piece, decoded, drafts));
            }
        }
        if self.decoder.options.word_timestamps {
            self.words(&mut heard)?;
        }
        for (piece, decoded, drafts) in heard {
            for draft in drafts {
                if let Some(segment) = self.segment(draft, &decoded, seek_of(piece.chunk)) {
                    on_event(Event::Segment(segment));
                }
            }
        }
        Ok(())
    }

    fn encode<'a>(&self, chunks: &'a [SpeechChunk]) -> Result<Vec<Piece<'a>>, Error> {
        let Decoder { backend, tokenizer, options, cancel, .. } = self.decoder;
        let n_mels = backend.model().n_mels();
        let mut features = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            if let Some(reason) = cancel.reason() {
                return Err(Error::Canceled(reason));
            }
            features.push(features_of(chunk, self.audio, self.models));
        }
        // The windows of a batch are of one length.
        let frames = |piece: &Vec<f32>| (piece.len() / n_mels.max(1)).min(WINDOW_FRAMES);
        let width = options.encoder_window().frames(features.iter().map(frames).max().unwrap_or(0));
        let windows = features.iter().map(|piece| pad_or_trim(piece, n_mels, width)).collect();
        let encoded = backend.encode(windows, cancel)?;
        let mut tongues = vec![self.tongue.clone(); encoded.len()];
        if options.multilingual && backend.model().is_multilingual {
            for (tongue, languages) in tongues.iter_mut().zip(backend.detect_language(&encoded, cancel)?) {
                if let Some((token, _)) = languages.first() {
                    *tongue = Tongue::new(backend.model(), tokenizer, code_of(token), options.task)?;
                }
            }
        }
        let pieces = chunks.iter().zip(&features).zip(encoded).zip(tongues);
        let piece = |(((chunk, features), encoded), tongue)| Piece { chunk, frames: frames(features), encoded, tongue };
        Ok(pieces.map(piece).collect())
    }

    fn decode(&self, pieces: &mut [Piece<'_>], first: bool) -> Result<Vec<Decoded>, Error> {
        let special = self.models.tokenizer.special();
        let prompts: Vec<Vec<u32>> =
            pieces.iter().enumerate().map(|(index, piece)| self.prompt(piece, first && index == 0)).collect();
        let mut decoded = Vec::with_capacity(pieces.len());
        // A prefix takes the place of hotwords, so the first prompt may be of another shape than the others.
        for group in prompts.chunk_by(|left, right| PromptShape::of(left, special) == PromptShape::of(right, special)) {
            let from = decoded.len();
            decoded.extend(self.decode_group(&mut pieces[from..from + group.len()], group)?);
        }
        Ok(decoded)
    }

    /// Decodes pieces whose prompts are alike. Those that were fitted to their sound and failed are heard again in
    /// full.
    fn decode_group(&self, pieces: &mut [Piece<'_>], prompts: &[Vec<u32>]) -> Result<Vec<Decoded>, Error> {
        let Decoder { backend, cancel, options, .. } = self.decoder;
        let encoded: Vec<Encoded> = pieces.iter().map(|piece| piece.encoded.clone()).collect();
        let longest = pieces.iter().map(|piece| piece.frames).max().unwrap_or(0);
        if !options.encoder_window().is_fitted(longest) {
            return self.decoder.decode(&encoded, prompts);
        }
        let mut results = self.decoder.attempt(&encoded, prompts, most_tokens(longest))?;
        let failed: Vec<usize> = (0..results.len()).filter(|index| results[*index].is_none()).collect();
        if !failed.is_empty() {
            let n_mels = backend.model().n_mels();
            let features = failed.iter().map(|index| features_of(pieces[*index].chunk, self.audio, self.models));
            let windows = features.map(|features| pad_or_trim(&features, n_mels, WINDOW_FRAMES)).collect();
            let encoded = backend.encode(windows, cancel)?;
            let prompts: Vec<Vec<u32>> = failed.iter().map(|index| prompts[*index].clone()).collect();
            let decoded = self.decoder.decode(&encoded, &prompts)?;
            for ((index, encoded), mut decoded) in failed.into_iter().zip(encoded).zip(decoded) {
                decoded.fallbacks += 1;
                pieces[index].encoded = encoded;
                results[index] = Some(decoded);
            }
        }
        Ok(results.into_iter().flatten().collect())
    }

    fn prompt(&self, piece: &Piece<'_>, first: bool) -> Vec<u32> {
        let Decoder { backend, tokenizer, options, .. } = self.decoder;
        let parts = Parts {
            previous: &self.initial,
            start_sequence: &piece.tongue.start_sequence,
            without_timestamps: options.without_timestamps.unwrap_or(true),
            prefix: options.prefix.as_deref().filter(|_| first),
            hotwords: options.hotwords.as_deref(),
        };
        prompt::build(backend.model(), tokenizer, &parts)
    }

    fn words(&mut self, heard: &mut [(&Piece<'_>, Decoded, Vec<Draft>)]) -> Result<(), Error> {
        let Decoder { backend, tokenizer, options, cancel, .. } = self.decoder;
        let finder = WordFinder { backend, tokenizer, options, cancel };
        let mut texts: Vec<WindowText<'_>> = heard
            .iter_mut()
            .map(|(piece, _, drafts)| WindowText {
                encoded: piece.encoded.clone(),
                tongue: &piece.tongue,
                seek: seek_of(piece.chunk),
                frames: frames_of(piece.chunk.duration_s()),
                drafts,
            })
            .collect();
        self.last_speech = finder.find(&mut texts, self.last_speech)?;
        Ok(())
    }

    /// The segment of a draft, with times of the clip; none where nothing is said.
    fn segment(&mut self, draft: Draft, decoded: &Decoded, seek: usize) -> Option<Segment> {
        let text = self.models.tokenizer.decode(&draft.tokens);
        if trim(&text).is_empty() {
            return None;
        }
        self.id += 1;
        let mut segment = Segment {
            id: self.id,
            seek,
            start: round(draft.start, 3),
            end: round(draft.end, 3),
            compression_ratio: compression_ratio(&text),
            text,
            tokens: draft.tokens,
            avg_logprob: decoded.avg_logprob,
            no_speech_prob: decoded.no_speech_prob,
            words: self.decoder.options.word_timestamps.then_some(draft.words),
            temperature: decoded.temperature,
        };
        if let Some(map) = &self.map {
            speech::restore(map, &mut segment);
        }
        Some(segment)
    }
}

/// Frames of the whole seconds that a piece takes.
fn frames_of(duration: f64) -> usize {
    (duration.ceil() as usize * FRAMES_PER_SECOND).min(WINDOW_FRAMES)
}

/// Frame of the speech put end to end at which a piece starts.
fn seek_of(chunk: &SpeechChunk) -> usize {
    (chunk.offset_s() * FRAMES_PER_SECOND as f64) as usize
}
