//! One download of each file, however many clients want it.
//!
//! A download belongs to the server: clients that leave end nothing, and those that come join it and read the
//! growing file from their own offset. When it fails, all that follow it are told, and the next request begins
//! another one.
//!
//! A client that wants a part far into a file does not wait for all that stands before it: segments that somebody waits
//! for are fetched first ([`Demand`]). Its bytes come from the same download as everybody's, not past it from the hub,
//! for three reasons: each byte is fetched once; the held-back tail and the mark of `taint` cover it, so that whoever
//! puts a file together from parts cannot finish with wrong ones; and no client gets more lanes than another by asking
//! for parts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use speech_flow_model_cache::Growth;
use speech_flow_model_hub::{Demand, Hub};
use speech_flow_model_types::{CommitHash, Digest, RemoteFile, RepoId};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::answer::Refusal;
use crate::metrics::{Fetched, Lookup};
use crate::server::Server;

mod run;

/// Bytes at a file's end that no client gets before the whole is verified.
pub(crate) const HELD_BACK: u64 = 64 << 10;

/// The downloads of this server.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    running: Mutex<HashMap<Key, Arc<Flight>>>,
}

type Key = (RepoId, Digest);

/// One download.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) repo: RepoId,
    pub(crate) commit: CommitHash,
    pub(crate) file: RemoteFile,
    pub(crate) since: Instant,
    /// What clients wait for, which is fetched before the rest.
    pub(crate) demand: Demand,
    phase: watch::Sender<Phase>,
}

/// How far a download is.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// It waits for its turn, or for another process that brings the same file.
    Waiting,
    /// Its bytes come.
    Growing(Growth),
    /// It is verified and under its final name; with the bytes that were watched on their way, if they were.
    Landed(Option<Growth>),
    /// It has failed.
    Failed(Refusal),
}

impl Flights {
    /// Whether a file is on its way.
    pub(crate) fn is_coming(&self, repo: &RepoId, digest: &Digest) -> bool {
        self.lock().contains_key(&(repo.clone(), *digest))
    }

    /// The downloads that run, the oldest first.
    pub(crate) fn list(&self) -> Vec<Arc<Flight>> {
        let mut flights: Vec<_> = self.lock().values().cloned().collect();
        flights.sort_by_key(|flight| flight.since);
        flights
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Flight>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Bytes that have arrived.
    pub(crate) fn bytes(&self) -> u64 {
        match &*self.phase.borrow() {
            Phase::Growing(growth) => growth.bytes(),
            Phase::Landed(_) => self.file.size,
            Phase::Waiting | Phase::Failed(_) => 0,
        }
    }

    /// Waits until it is verified and under its final name.
    pub(crate) async fn landed(&self) -> Result<(), Refusal> {
        let mut phases = self.phase();
        loop {
            match &*phases.borrow_and_update() {
                Phase::Landed(_) => return Ok(()),
                Phase::Failed(refusal) => return Err(refusal.clone()),
                Phase::Waiting | Phase::Growing(_) => {}
            }
            // The sender is in `self`.
            let _ = phases.changed().await;
        }
    }

    /// Waits until a byte can be sent from an offset, at most so long.
    pub(crate) async fn first_byte(&self, at: u64, patience: Duration) -> Result<(), Refusal> {
        let mut phases = self.phase();
        self.demand.ask(at);
        let ready = async {
            loop {
                let phase = phases.borrow_and_update().clone();
                match phase {
                    Phase::Landed(_) => return Ok(()),
                    Phase::Failed(refusal) => return Err(refusal),
                    Phase::Growing(growth) if at + HELD_BACK < self.file.size => {
                        let restarts = growth.reach(at).restarts;
                        tokio::select! {
                            () = growth.more(at, restarts) => if growth.reach(at).end > at { return Ok(()) },
                            _ = phases.changed() => {}
                        }
                    }
                    Phase::Growing(_) | Phase::Waiting => {
                        // The sender is in `self`.
                        let _ = phases.changed().await;
                    }
                }
            }
        };
        // Whoever has no byte by then gets the head of the answer, which keeps its client waiting.
        tokio::time::timeout(patience, ready).await.unwrap_or(Ok(()))
    }
}

impl Server {
    /// The download of a file: the one that runs, or a new one.
    pub(crate) fn fly(
        &self,
        repo: &RepoId,
        commit: &CommitHash,
        file: &RemoteFile,
        hub: &Hub,
    ) -> (Arc<Flight>, Lookup) {
        let key = (repo.clone(), file.digest);
        let mut running = self.inner.flights.lock();
        if let Some(flight) = running.get(&key) {
            return (Arc::clone(flight), Lookup::Follow);
        }
        let flight = Arc::new(Flight {
            repo: repo.clone(),
            commit: commit.clone(),
            file: file.clone(),
            since: Instant::now(),
            demand: Demand::default(),
            phase: watch::Sender::new(Phase::Waiting),
        });
        self.inner.credentials.set(repo, hub.clone());
        running.insert(key, Arc::clone(&flight));
        drop(running);
        let landing = Landing { server: self.clone(), flight: Arc::clone(&flight) };
        self.inner.tasks.spawn(async move {
            let outcome = landing.server.fetch(&landing.flight).await;
            let counted = outcome.as_ref().map_or_else(|refusal| refusal.fetched, |_| Fetched::Done);
            landing.server.inner.metrics.fetched(counted);
            landing.flight.phase.send_replace(match outcome {
                Ok(growth) => Phase::Landed(growth),
                Err(refusal) => Phase::Failed(refusal),
            });
        });
        (flight, Lookup::Miss)
    }
}

/// Takes a download off the list when it ends, also by a panic: nobody follows it for ever.
struct Landing {
    server: Server,
    flight: Arc<Flight>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let Flight { repo, file, phase, .. } = &*self.flight;
        let flights = &self.server.inner.flights;
        let mut running = flights.lock();
        running.remove(&(repo.clone(), file.digest));
        if !running.keys().any(|(other, _)| other == repo) {
            self.server.inner.credentials.remove(repo);
        }
        drop(running);
        phase.send_if_modified(|phase| {
            let is_open = matches!(phase, Phase::Waiting | Phase::Growing(_));
            if is_open {
                *phase = Phase::Failed(Refusal::internal("the download ended without an outcome"));
            }
            is_open
        });
    }
}

/// The server is about to end.
pub(super) fn stopping() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")
        .later(Duration::from_secs(5))
        .counted_as(Fetched::Stopped)
}
