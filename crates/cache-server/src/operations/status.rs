//! `/v1/status` and `/v1/events`: what the server does right now.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;

use crate::answer::Refusal;
use crate::caller::Caller;
use crate::flight::{Flight, Phase};
use crate::jobs::JobView;
use crate::log::Problem;
use crate::metadata::disk::is_restricted;
use crate::operations::volumes;
use crate::server::Server;
use crate::updates::View;

/// How often listeners hear of progress.
const EVERY: Duration = Duration::from_millis(500);

/// The server at one moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Status {
    pub(crate) schema: u32,
    pub(crate) version: &'static str,
    pub(crate) started: String,
    pub(crate) upstream: String,
    pub(crate) offline: bool,
    /// Files found in the cache among all that were asked for.
    pub(crate) hit_ratio: Option<f64>,
    pub(crate) requests_in_flight: i64,
    pub(crate) bytes_from_cache: u64,
    pub(crate) bytes_from_hub: u64,
    pub(crate) upstream_bytes: u64,
    pub(crate) disks: Vec<Disk>,
    pub(crate) fetching: Vec<Fetching>,
    pub(crate) jobs: Vec<JobView>,
    pub(crate) updates: View,
    pub(crate) problems: Vec<Problem>,
}

/// A cache's volume.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Disk {
    pub(crate) cache: &'static str,
    pub(crate) free_bytes: u64,
    pub(crate) total_bytes: u64,
}

/// A file on its way.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Fetching {
    pub(crate) model: String,
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) bytes_total: u64,
    pub(crate) seconds: f64,
    pub(crate) state: &'static str,
}

impl Server {
    /// Takes the status. Blocks for as long as the volumes take to say their size.
    pub(crate) fn status(&self, caller: &Caller) -> Status {
        let inner = &self.inner;
        let may_see = |flight: &&std::sync::Arc<Flight>| caller.is_admin || !is_restricted(self, &flight.repo);
        let disks = volumes(self).into_iter().map(|volume| Disk {
            cache: volume.cache,
            free_bytes: volume.free,
            total_bytes: volume.total,
        });
        Status {
            schema: 1,
            version: env!("CARGO_PKG_VERSION"),
            started: inner.started.to_string(),
            upstream: speech_flow_model_manager::config::without_credentials(&inner.config.hub.endpoint),
            offline: inner.settings.offline,
            hit_ratio: inner.metrics.hit_ratio(),
            requests_in_flight: inner.metrics.in_flight.get(),
            bytes_from_cache: inner.metrics.bytes_from_cache.get(),
            bytes_from_hub: inner.metrics.bytes_from_hub.get(),
            upstream_bytes: inner.metrics.upstream_bytes.get(),
            disks: disks.collect(),
            fetching: inner.flights.list().iter().filter(may_see).map(|flight| fetching(flight)).collect(),
            // Jobs and problems name repositories that not everybody may know of.
            jobs: if caller.is_admin { inner.jobs.list() } else { Vec::new() },
            updates: self.updates(caller),
            problems: if self.shows_problems(caller) { inner.log.recent() } else { Vec::new() },
        }
    }

    /// Without a token of its own, whoever reaches the server runs it.
    fn shows_problems(&self, caller: &Caller) -> bool {
        caller.is_admin || self.inner.settings.token.is_none()
    }
}

fn fetching(flight: &Flight) -> Fetching {
    let state = match &*flight.phase().borrow() {
        Phase::Waiting => "waiting",
        Phase::Growing(_) => "fetching",
        Phase::Landed(_) => "done",
        Phase::Failed(_) => "failed",
    };
    Fetching {
        model: flight.repo.to_string(),
        file: flight.file.path.to_string(),
        bytes: flight.bytes(),
        bytes_total: flight.file.size,
        seconds: flight.since.elapsed().as_secs_f64(),
        state,
    }
}

async fn taken(server: &Server, caller: &Caller) -> Option<Status> {
    let (server, caller) = (server.clone(), caller.clone());
    tokio::task::spawn_blocking(move || server.status(&caller)).await.ok()
}

/// `GET /v1/status`.
pub(crate) async fn status(State(server): State<Server>, headers: HeaderMap) -> Result<Response, Refusal> {
    let caller = server.reader(&headers)?;
    match taken(&server, &caller).await {
        Some(status) => Ok(Json(status).into_response()),
        None => Err(Refusal::internal("the status could not be taken")),
    }
}

/// `GET /v1/events`: the status as server-sent events, whenever it changes.
pub(crate) async fn events(State(server): State<Server>, headers: HeaderMap) -> Result<Response, Refusal> {
    let caller = server.reader(&headers)?;
    let last = String::new();
    let events = stream::unfold((server, caller, last), |(server, caller, last)| async move {
        loop {
            if server.inner.is_draining.load(std::sync::atomic::Ordering::Relaxed) {
                return None;
            }
            let status = taken(&server, &caller).await?;
            let text = serde_json::to_string(&status).ok()?;
            if text != last {
                let event = Event::default().event("status").data(&text);
                return Some((Ok::<_, Infallible>(event), (server, caller, text)));
            }
            tokio::time::sleep(EVERY).await;
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}
