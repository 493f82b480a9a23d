//! A request's work on a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use speech_flow_speech_engine::audio::{self, Audio, Channel};
use speech_flow_speech_engine::cancel::Cancel;
use tokio::sync::oneshot;

use crate::admission::Ticket;
use crate::app::App;
use crate::http::error::ApiError;
use crate::metrics::Stage;
use crate::priority;

/// Bytes that are read from an upload at a time.
const READ_AHEAD: usize = 256 << 10;

/// Stops the work when it is dropped: its caller has gone.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(Cancel);

impl CancelOnDrop {
    pub(crate) fn new(cancel: &Cancel) -> Self {
        Self(cancel.clone())
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs blocking work on a thread of its own and gives its result.
///
/// The number of threads is bounded by the door: whoever calls this holds a ticket.
pub(crate) fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> oneshot::Receiver<Result<T, ApiError>> {
    let (answer, answered) = oneshot::channel();
    let span = tracing::Span::current();
    let run = move || {
        priority::step_back();
        let done = span.in_scope(|| catch_unwind(AssertUnwindSafe(work)));
        let done = done.unwrap_or_else(|_| Err(ApiError::internal(&"the work of a request panicked")));
        // Nobody may be there any more.
        let _ = answer.send(done);
    };
    if let Err(error) = std::thread::Builder::new().name("request".to_owned()).spawn(run) {
        tracing::error!(%error, "no thread for a request");
    }
    answered
}

/// Waits for the result of [`spawn`].
pub(crate) async fn result<T>(answered: oneshot::Receiver<Result<T, ApiError>>) -> Result<T, ApiError> {
    answered.await.unwrap_or_else(|_| Err(ApiError::internal(&"a request had no thread, or lost it")))
}

/// Decodes the audio and says how long it is.
pub(crate) fn decode(
    app: &App,
    file: &mut std::fs::File,
    channel: Channel,
    ticket: &Ticket,
    cancel: &Cancel,
) -> Result<Audio, ApiError> {
    let begun = Instant::now();
    let mut options = app.decode_options();
    options.channel = channel;
    std::io::Seek::rewind(file).map_err(|error| ApiError::internal(&error))?;
    let audio = audio::decode(std::io::BufReader::with_capacity(READ_AHEAD, &*file), &options, cancel)?;
    app.metrics.stage(Stage::Decode, begun.elapsed());
    ticket.settle(audio.duration().as_secs_f64()).map_err(|refusal| {
        app.metrics.rejected("overloaded");
        ApiError::refused(refusal)
    })?;
    Ok(audio)
}
