//! `POST /v1/audio/transcriptions` and `POST /v1/audio/translations`, as OpenAI's clients use them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use speech_flow_speech_engine::whisper::{Event, Task};

use super::audio::{self, Intake};
use super::error::ApiError;
use super::form::Asked;
use super::{respond, stream};
use crate::app::App;
use crate::job::{self, CancelOnDrop};
use crate::transcription::{Transcription, Work};

/// Writes down what is said.
pub(crate) async fn transcribe(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    run(app, request, Task::Transcribe).await
}

/// Writes down in English what is said.
pub(crate) async fn translate(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    run(app, request, Task::Translate).await
}

async fn run(app: Arc<App>, request: Request, task: Task) -> Result<Response, ApiError> {
    let Intake { form, ticket, serving, cancel, begun } = audio::intake(&app, request).await?;
    let mut asked = Asked::read(form.fields, task)?;
    asked.options.encoder_window.get_or_insert(app.encoder_window);
    audio::check_model(&serving, asked.model.as_deref())?;
    let gone = CancelOnDrop::new(&cancel);
    let mut work = Work { app, serving, ticket, file: form.file, asked, cancel, begun };
    if work.asked.is_streamed {
        return stream::respond(work, gone).await;
    }
    let answered = job::spawn(move || {
        let mut segments = Vec::new();
        let info = work.run(&mut |event| {
            if let Event::Segment(segment) = event {
                segments.push(segment);
            }
        })?;
        Ok((Transcription { segments, info }, work.asked, work.serving))
    });
    let (transcription, asked, serving) = job::result(answered).await?;
    Ok(respond::whole(&transcription, &asked, &serving))
}
