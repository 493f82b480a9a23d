//! What all paths that take a recording do first: is there a place, is there a model, then the upload.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use speech_flow_speech_engine::cancel::Cancel;

use super::error::ApiError;
use super::upload::{self, Form};
use crate::admission::Ticket;
use crate::app::App;
use crate::metrics::Stage;
use crate::serving::Serving;

/// OpenAI's name for its Whisper model, under which the loaded one answers too.
pub(crate) const OPENAI_MODEL: &str = "whisper-1";
/// Bytes of a second of audio, when nothing else is known: an MP3 of 128 kbit/s.
const BYTES_PER_SECOND: f64 = 16_000.0;
/// Seconds that an upload of unknown length is thought to have.
const UNKNOWN_LENGTH_S: f64 = 30.0;

/// A recording that was let in and has arrived.
pub(crate) struct Intake {
    pub(crate) form: Form,
    pub(crate) ticket: Ticket,
    pub(crate) serving: Arc<Serving>,
    pub(crate) cancel: Cancel,
    pub(crate) begun: Instant,
}

/// Takes a recording, or says why not; that is said before the body is read.
pub(crate) async fn intake(app: &App, request: Request) -> Result<Intake, ApiError> {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    // Dropped with an error, it takes what is left of the body off the wire.
    let chunks = app.drain.chunks(body);
    let (serving, ticket) = admit(app, upload::content_length(&parts.headers)).inspect_err(|error| {
        app.metrics.rejected(error.code());
    })?;
    let cancel = Cancel::with_deadline(begun + app.limits.deadline);
    let receive = upload::receive(&parts.headers, chunks, app.limits.upload, &app.temp_dir);
    let form =
        tokio::time::timeout(app.limits.deadline, receive).await.unwrap_or_else(|_| Err(ApiError::too_slow()))?;
    app.metrics.stage(Stage::Upload, begun.elapsed());
    Ok(Intake { form, ticket, serving, cancel, begun })
}

fn admit(app: &App, length: Option<u64>) -> Result<(Arc<Serving>, Ticket), ApiError> {
    if app.health.is_draining() {
        return Err(ApiError::draining());
    }
    let serving = app.serving().filter(|_| app.health.is_ready()).ok_or_else(ApiError::starting)?;
    if length.is_some_and(|bytes| bytes > app.limits.upload) {
        return Err(ApiError::too_large(app.limits.upload));
    }
    let longest = app.limits.duration.as_secs_f64();
    let estimate = length.map_or(UNKNOWN_LENGTH_S, |bytes| bytes as f64 / BYTES_PER_SECOND).min(longest);
    let ticket = app.admission.admit(estimate).map_err(ApiError::refused)?;
    Ok((serving, ticket))
}

/// Refuses a model that is not the one that answers.
pub(crate) fn check_model(serving: &Serving, name: Option<&str>) -> Result<(), ApiError> {
    match name {
        Some(name) if !serving.info.is_named(name, OPENAI_MODEL) => Err(ApiError::unknown_model(name)),
        _ => Ok(()),
    }
}
