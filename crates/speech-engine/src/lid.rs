//! Language identification with Wav2Vec2 sequence classification.
//!
//! A folder as transformers saves it (`Wav2Vec2ForSequenceClassification` of the shape of MMS-LID) runs on
//! CTranslate2's Wav2Vec2 encoder: see `convert.rs` for how its weights get there, `config.rs` for what is refused.
//! The few multiplications after the encoder are done here.
//!
//! transformers' usual pipeline hears the first seconds of a file, whatever they are. [`LidModel::identify`] instead
//! finds the speech, hears three windows spread over it and averages their logits, which is less work for a long file
//! than its first 30 seconds, does not depend on how it starts, and lets each window vote with its certainty. Without
//! enough speech, or without a likely language, the answer is `und`. [`IdentifyOptions::plain`] hears the first 30
//! seconds as they are, with logits equal to transformers'.
//!
//! Why three windows of 5 seconds: 15 seconds in three pieces take less than half the time of 30 in one (attention
//! costs the square of a window's length), and 5 seconds are as much as the tiny model was trained on. Measured with
//! it on the 37 fixture clips with speech, most of voices that it never heard: 24 right against 21 in plain mode; on
//! silence and noise, `und` twice against two languages.

mod checkpoint;
mod config;
mod convert;
mod head;
mod options;
mod windows;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use speech_flow_ctranslate2::{ComputeType, Device, Library, ModelConfig, ModelFiles, Wav2Vec2};

use crate::cancel::Cancel;
use crate::error::Error;
use crate::features::wav2vec2_normalize;
use crate::language::{UNDETERMINED, WhisperLanguage, whisper_language};
use crate::vad::{SAMPLE_RATE, SileroVad, SpeechChunk, SpeechSpan};

use checkpoint::Checkpoint;
use config::LidConfig;
use convert::ConvertedFiles;
use head::Head;
use windows::{PLAIN_SAMPLES, spread};

pub use options::IdentifyOptions;

/// Samples that the convolutions need for one frame: 25 ms.
const MIN_SAMPLES: usize = 400;

/// A language identification model, loaded. Calls may come from many threads at once; each takes a replica.
#[derive(Debug)]
pub struct LidModel {
    config: LidConfig,
    encoder: Wav2Vec2,
    head: Head,
}

/// A language and how likely it is.
#[derive(Debug, Clone, PartialEq)]
pub struct LanguageProbability {
    /// The model's label, mostly of ISO 639-3.
    pub language: String,
    /// Its probability among the model's languages.
    pub probability: f32,
}

/// Which language a clip is in.
#[derive(Debug, Clone, PartialEq)]
pub struct Identification {
    /// The model's label, mostly of ISO 639-3, or [`UNDETERMINED`].
    pub language: String,
    /// What Whisper has for it; of [`UNDETERMINED`], that the label is unknown.
    pub whisper_language: WhisperLanguage,
    /// Probability of the likeliest language, also where it is too low to be the answer; 0 where nothing was heard.
    pub probability: f32,
    /// The likeliest languages, the likeliest first; empty where nothing was heard.
    pub top: Vec<LanguageProbability>,
    /// Speech in the whole clip, in seconds; in plain mode, what was heard.
    pub speech_seconds: f64,
    /// Windows that were heard.
    pub windows: usize,
}

impl LidModel {
    /// Loads the model in `folder`.
    ///
    /// # Errors
    ///
    /// [`Error::ModelFile`] where a file is missing, damaged or of a model of another shape; [`Error::Engine`].
    pub fn load(folder: &Path, engine: &Arc<Library>, config: &ModelConfig) -> Result<Self, Error> {
        let (settings, files, head) = open(folder)?;
        let encoder = Wav2Vec2::load(engine, &files, config)
            .map_err(|source| Error::Engine { step: "load the language identification model", source })?;
        Ok(Self { config: settings, encoder, head })
    }

    /// Reads everything that [`Self::load`] reads and says whether the folder is such a model, without an engine.
    ///
    /// # Errors
    ///
    /// [`Error::ModelFile`], as there.
    pub fn check(folder: &Path) -> Result<(), Error> {
        let (_, files, _) = open(folder)?;
        for name in ["model.bin", "config.json", "vocabulary.json"] {
            let unreadable = |error: std::io::Error| Error::ModelFile {
                file: folder.to_owned(),
                problem: "its weights cannot be read".into(),
                source: Some(error.into()),
            };
            let Some(mut file) = files.open(name).map_err(unreadable)? else { continue };
            let length = std::io::copy(&mut file.reader.by_ref(), &mut std::io::sink()).map_err(unreadable)?;
            if length != file.length {
                return Err(Error::model_file(folder, "its weights are not as long as its header says"));
            }
        }
        Ok(())
    }

    /// The labels, in the order of the logits.
    pub fn labels(&self) -> &[String] {
        &self.config.labels
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.encoder.device()
    }

    /// The number format that it runs in.
    pub fn compute_type(&self) -> ComputeType {
        self.encoder.compute_type()
    }

    /// A number for each label, of 16 kHz samples of full scale 1.0. They are brought to zero mean and unit variance
    /// first, where the model wants that. At least 400 samples; memory grows with the square of their number, so
    /// that those after the first 30 seconds are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`].
    pub fn logits(&self, mut samples: Vec<f32>) -> Result<Vec<f32>, Error> {
        samples.truncate(PLAIN_SAMPLES);
        if self.config.normalizes {
            wav2vec2_normalize(&mut samples);
        }
        let failed = |source| Error::Engine { step: "identify the language", source };
        let hidden = self.encoder.encode(&samples, 1).map_err(failed)?;
        if hidden.shape().last() != Some(&self.config.hidden) {
            let reason = format!("hidden states have the shape {:?}", hidden.shape());
            return Err(failed(speech_flow_ctranslate2::Error::Failed { reason }));
        }
        Ok(self.head.logits(&hidden.to_vec().map_err(failed)?, self.config.hidden))
    }

    /// Which language the clip `samples` (16 kHz) is in. Without `vad` the whole clip counts as speech.
    ///
    /// Windows go through the encoder one at a time: a batch must be padded, and padding changes the result.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] where an option has no meaning; [`Error::Engine`]; [`Error::Canceled`] when `cancel` says so,
    /// at the latest after the window that is being heard.
    pub fn identify(
        &self,
        samples: &[i16],
        options: &IdentifyOptions,
        vad: Option<&SileroVad>,
        cancel: &Cancel,
    ) -> Result<Identification, Error> {
        options.validate()?;
        let whole = |samples: usize| vec![SpeechSpan { start: 0, end: samples }];
        let (speech, windows) = if options.plain {
            let heard = whole(samples.len().min(PLAIN_SAMPLES));
            (heard.clone(), vec![heard])
        } else {
            let speech = match vad {
                Some(vad) => vad.speech_timestamps(samples, &options.vad, cancel)?,
                None => whole(samples.len()),
            };
            let length = (options.window_s * SAMPLE_RATE as f64) as usize;
            let windows = spread(&speech, options.windows, length);
            (speech, windows)
        };
        let speech_samples: usize = speech.iter().map(|span| span.samples()).sum();
        let speech_seconds = speech_samples as f64 / SAMPLE_RATE as f64;
        let is_too_short = !options.plain && speech_seconds < options.min_speech_s;
        if is_too_short || speech_samples < MIN_SAMPLES {
            return Ok(Identification::undetermined(speech_seconds));
        }

        let mut sums = vec![0.0_f32; self.config.labels.len()];
        for window in &windows {
            if let Some(reason) = cancel.reason() {
                return Err(Error::Canceled(reason));
            }
            let piece = SpeechChunk { offset: 0, spans: window.clone() }.collect(samples);
            let logits = self.logits(piece.iter().map(|sample| f32::from(*sample) / 32768.0).collect())?;
            for (sum, logit) in sums.iter_mut().zip(logits) {
                *sum += logit;
            }
        }
        let logits: Vec<f32> = sums.iter().map(|sum| sum / windows.len() as f32).collect();
        Ok(self.answer(&logits, options, speech_seconds, windows.len()))
    }

    fn answer(&self, logits: &[f32], options: &IdentifyOptions, speech_seconds: f64, windows: usize) -> Identification {
        let probabilities = softmax(logits);
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|first, second| probabilities[*second].total_cmp(&probabilities[*first]));
        let top: Vec<LanguageProbability> = order
            .iter()
            .take(options.top_k)
            .map(|index| LanguageProbability {
                language: self.config.labels[*index].clone(),
                probability: probabilities[*index],
            })
            .collect();
        let Some(first) = top.first() else { return Identification::undetermined(speech_seconds) };
        // A model with broken weights gives no number; that is no likely language either.
        let is_likely = options.plain || first.probability >= options.min_probability;
        let language = if is_likely { first.language.clone() } else { UNDETERMINED.to_owned() };
        Identification {
            whisper_language: whisper_language(&language),
            language,
            probability: first.probability,
            top,
            speech_seconds,
            windows,
        }
    }
}

impl Identification {
    fn undetermined(speech_seconds: f64) -> Self {
        Self {
            language: UNDETERMINED.to_owned(),
            whisper_language: whisper_language(UNDETERMINED),
            probability: 0.0,
            top: Vec::new(),
            speech_seconds,
            windows: 0,
        }
    }
}

fn open(folder: &Path) -> Result<(LidConfig, ConvertedFiles, Head), Error> {
    let config = LidConfig::read(folder)?;
    let checkpoint = Checkpoint::open(folder)?;
    let files = ConvertedFiles::new(folder, &config, &checkpoint)?;
    let head = Head::read(&config, &checkpoint)?;
    Ok((config, files, head))
}

/// Probabilities of the logits.
fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|logit| f64::from(logit - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| (power / sum) as f32).collect()
}

#[cfg(test)]
mod tests;
