//! Which language is spoken, asked of whichever model is loaded. Blocking.

use serde_json::{Value, json};
use speech_flow_speech_engine::audio::{Audio, Channel};
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::error::Error;
use speech_flow_speech_engine::language::Language;
use speech_flow_speech_engine::lid::IdentifyOptions;
use speech_flow_speech_engine::vad::VadOptions;
use speech_flow_speech_engine::whisper::{LanguageDetectionOptions, detect_language};

use crate::engine::whisper::Scheduled;
use crate::serving::{Loaded, Serving};

/// Most languages that are listed.
pub(crate) const MAX_TOP: usize = 200;

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The model as named.
    pub(crate) model: Option<String>,
    /// Languages that are listed.
    pub(crate) top: usize,
    /// Which channels are heard.
    pub(crate) channel: Channel,
    /// Whether the first 30 seconds are heard as they are, without voice activity detection.
    pub(crate) is_plain: bool,
}

impl Default for Asked {
    fn default() -> Self {
        Self { model: None, top: 5, channel: Channel::Mix, is_plain: false }
    }
}

/// Asks the model; the answer as JSON.
pub(crate) fn run(serving: &Serving, audio: &Audio, asked: &Asked, cancel: &Cancel) -> Result<Value, Error> {
    let vad = serving.vad.as_deref();
    match &serving.loaded {
        Loaded::Whisper(pool) => {
            let scheduled = Scheduled::new(pool.client());
            let options = LanguageDetectionOptions {
                vad: (vad.is_some() && !asked.is_plain).then(VadOptions::default),
                ..LanguageDetectionOptions::default()
            };
            let found = detect_language(scheduled.models(vad), audio, &options, cancel)?;
            let top: Vec<Value> = found
                .all
                .iter()
                .take(asked.top)
                .map(|(language, probability)| json!({ "language": language, "probability": probability }))
                .collect();
            Ok(json!({
                "language": found.language,
                "whisper_language": found.language,
                "probability": found.probability,
                "top": top,
            }))
        }
        Loaded::Lid(engine) => {
            let options = IdentifyOptions { plain: asked.is_plain, top_k: asked.top, ..IdentifyOptions::default() };
            let found = engine.identify(audio, &options, vad, cancel)?;
            let top: Vec<Value> = found
                .top
                .iter()
                .map(|one| json!({ "language": one.language, "probability": one.probability }))
                .collect();
            Ok(json!({
                "language": found.language,
                "whisper_language": found.whisper_language.known().map(Language::code),
                "probability": found.probability,
                "top": top,
                "speech_seconds": found.speech_seconds,
                "windows": found.windows,
            }))
        }
    }
}
