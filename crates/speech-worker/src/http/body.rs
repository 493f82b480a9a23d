//! Bodies that nobody wants are still taken off the wire.
//!
//! A server that answers and closes while its caller still sends makes the caller's system throw the answer away.
//! So what is left of a small body is read and dropped after the answer; a large one is cut off.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::Semaphore;

/// Most bytes that are read of one unwanted body.
const MAX_BYTES: usize = 8 << 20;
/// How long that may take.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Takes unwanted bodies, a bounded number at a time.
#[derive(Debug, Clone)]
pub(crate) struct Drain {
    places: Arc<Semaphore>,
}

impl Drain {
    pub(crate) fn new(at_once: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(at_once)) }
    }

    /// The chunks of a body. When they are dropped before the end, what is left is taken in the background.
    pub(crate) fn chunks(&self, body: Body) -> Chunks {
        Chunks { left: Some(body.into_data_stream()), drain: self.clone() }
    }

    fn discard(&self, mut chunks: BodyDataStream) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let _place = place;
            let taken = async {
                let mut bytes = 0;
                while let Some(Ok(chunk)) = chunks.next().await {
                    bytes += chunk.len();
                    if bytes > MAX_BYTES {
                        return;
                    }
                }
            };
            // What does not end in time is cut off.
            let _ = tokio::time::timeout(MAX_TIME, taken).await;
        });
    }
}

/// The chunks of a body.
#[derive(Debug)]
pub(crate) struct Chunks {
    left: Option<BodyDataStream>,
    drain: Drain,
}

impl Stream for Chunks {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(chunks) = &mut self.left else { return Poll::Ready(None) };
        let next = std::task::ready!(chunks.poll_next_unpin(context));
        if !matches!(next, Some(Ok(_))) {
            self.left = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        if let Some(chunks) = self.left.take() {
            self.drain.discard(chunks);
        }
    }
}
