//! The text in pieces, as server-sent events that OpenAI's clients read: `transcript.text.delta` for each segment,
//! then one `transcript.text.done` with the whole text, which is the pieces put together.

use std::convert::Infallible;

use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use speech_flow_speech_engine::whisper::Event;
use tokio::sync::mpsc;

use super::error::ApiError;
use super::respond::usage;
use crate::job::{self, CancelOnDrop};
use crate::transcription::Work;

/// Pieces that wait for a slow reader; the work waits for it too.
const AHEAD: usize = 16;

/// What the work tells the stream.
enum Told {
    /// The audio is sound and decoding begins.
    Begun,
    /// An event for the caller.
    Message(Value),
}

/// Starts the work; the response begins when it is known that there will be a text, so that what is wrong with the
/// request still has its status.
pub(crate) async fn respond(mut work: Work, gone: CancelOnDrop) -> Result<Response, ApiError> {
    let (tell, mut told) = mpsc::channel(AHEAD);
    let cancel = work.cancel.clone();
    let answered = job::spawn(move || {
        let mut whole = String::new();
        let done = work.run(&mut |event| {
            let message = match event {
                Event::Started(_) => Told::Begun,
                Event::Segment(segment) => match delta(&mut whole, &segment.text) {
                    Some(delta) => Told::Message(json!({ "type": "transcript.text.delta", "delta": delta })),
                    None => return,
                },
                _ => return,
            };
            if tell.blocking_send(message).is_err() {
                cancel.cancel();
            }
        });
        let last = match done {
            Ok(info) => json!({
                "type": "transcript.text.done",
                "text": whole,
                "usage": usage(info.duration),
                "model": work.serving.info,
            }),
            Err(error) => {
                // The answer has begun, so its status cannot say it any more; before that, it does.
                let mut envelope = error.to_json();
                envelope["type"] = json!("error");
                let _ = tell.blocking_send(Told::Message(envelope));
                return Err(error);
            }
        };
        let _ = tell.blocking_send(Told::Message(last));
        Ok(())
    });
    let first = match told.recv().await {
        Some(Told::Begun) => None,
        // It ended before it began: with an error, or with nothing to say.
        ended => {
            job::result(answered).await?;
            ended
        }
    };
    let pieces = stream::unfold((first, told, gone), |(first, mut told, gone)| async move {
        let mut next = first;
        loop {
            if let Some(Told::Message(value)) = next {
                let message = Ok::<_, Infallible>(Message::default().data(value.to_string()));
                return Some((message, (None, told, gone)));
            }
            next = Some(told.recv().await?);
        }
    });
    Ok(Sse::new(pieces).keep_alive(KeepAlive::default()).into_response())
}

/// What a segment adds to the text. The text begins without a space, as it does where it is given whole.
fn delta(whole: &mut String, segment: &str) -> Option<String> {
    let added = if whole.is_empty() { segment.trim_start() } else { segment };
    whole.push_str(added);
    Some(added.to_owned()).filter(|added| !added.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_its_pieces() {
        let mut whole = String::new();
        let pieces: Vec<String> =
            [" ", " One.", "", " Two."].iter().filter_map(|text| delta(&mut whole, text)).collect();
        assert_eq!((pieces.concat(), whole.as_str()), (whole.clone(), "One. Two."));
    }
}
