//! A transcription in the format that was asked for.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use speech_flow_speech_engine::language::Language;
use speech_flow_speech_engine::output::{self, Cue, VerboseTranscript};

use super::error::ApiError;
use super::form::{Asked, Format};
use crate::serving::Serving;
use crate::transcription::Transcription;

/// The header that names the model, beside results that are only text.
const MODEL: HeaderName = HeaderName::from_static("x-speech-flow-model");

/// The whole result.
pub(crate) fn whole(transcription: &Transcription, asked: &Asked, serving: &Serving) -> Response {
    let segments = &transcription.segments;
    let text = || output::text(segments.iter().map(|segment| segment.text.as_str()));
    let cues = || segments.iter().map(Cue::from);
    let mut response = match asked.format {
        Format::Json => Json(json!({
            "text": text(),
            "usage": usage(transcription.info.duration),
            "model": serving.info,
        }))
        .into_response(),
        Format::VerboseJson => match verbose(transcription, asked, serving) {
            Ok(body) => Json(body).into_response(),
            Err(error) => ApiError::internal(&error).into_response(),
        },
        Format::Text => typed("text/plain; charset=utf-8", text() + "\n"),
        Format::Srt => typed("application/x-subrip; charset=utf-8", output::srt(cues())),
        Format::Vtt => typed("text/vtt; charset=utf-8", output::vtt(cues())),
    };
    if let Ok(line) = HeaderValue::from_str(&serving.info.line()) {
        response.headers_mut().insert(MODEL, line);
    }
    response
}

/// What OpenAI would charge: the length of the audio.
pub(crate) fn usage(duration: f64) -> Value {
    json!({ "type": "duration", "seconds": duration })
}

fn verbose(transcription: &Transcription, asked: &Asked, serving: &Serving) -> serde_json::Result<Value> {
    let info = &transcription.info;
    // Whisper's models name no other languages than those of the table.
    let name = Language::from_code(&info.language).map(Language::name).unwrap_or(&info.language);
    let mut verbose = VerboseTranscript::new(asked.options.task.as_str(), name, info.duration, &transcription.segments);
    if !asked.with_segments {
        verbose.segments = None;
    }
    verbose.words = asked.with_words.then(|| verbose.words.unwrap_or_default());
    let mut body = serde_json::to_value(verbose)?;
    body["usage"] = usage(info.duration);
    body["language_code"] = json!(info.language);
    body["language_probability"] = json!(info.language_probability);
    body["duration_after_vad"] = json!(info.duration_after_vad);
    body["model"] = json!(serving.info);
    Ok(body)
}

fn typed(kind: &'static str, text: String) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
