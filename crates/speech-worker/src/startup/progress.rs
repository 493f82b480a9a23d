//! What the model manager says of its work, as progress of the start and in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use speech_flow_model_manager::{EnsureOptions, Event, Events};

use crate::app::App;

/// The same options, with the app as listener.
pub(super) fn followed(options: &EnsureOptions, app: Arc<App>, recheck: bool) -> EnsureOptions {
    let follower = Follower { app, wanted: AtomicU64::new(0), done: AtomicU64::new(0) };
    EnsureOptions { recheck, events: Arc::new(follower), ..options.clone() }
}

struct Follower {
    app: Arc<App>,
    wanted: AtomicU64,
    done: AtomicU64,
}

impl Follower {
    fn moved(&self) {
        let (done, wanted) = (self.done.load(Ordering::Relaxed), self.wanted.load(Ordering::Relaxed));
        if wanted > 0 {
            self.app.health.progress(done as f64 / wanted as f64);
        }
    }
}

impl Events for Follower {
    fn event(&self, event: Event) {
        match event {
            Event::Planned { bytes_to_fetch, .. } => {
                self.wanted.store(bytes_to_fetch, Ordering::Relaxed);
                self.moved();
            }
            Event::Received { bytes } => {
                self.done.fetch_add(bytes, Ordering::Relaxed);
                self.moved();
            }
            Event::Discarded { bytes, reason } => {
                let lower = |done: u64| Some(done.saturating_sub(bytes));
                let _ = self.done.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lower);
                tracing::warn!(bytes, reason, "what had arrived is thrown away");
            }
            Event::Waiting { reason, delay } => {
                tracing::info!(reason, delay_ms = delay.as_millis() as u64, "waiting before the next attempt");
            }
            Event::WaitingForOther { path } => tracing::info!(file = path, "another process fetches the file"),
            Event::Warning { message } => tracing::warn!("{message}"),
            _ => {}
        }
    }
}
