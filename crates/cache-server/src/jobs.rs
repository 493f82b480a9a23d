//! Models that somebody asked this server to make ready.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use speech_flow_model_manager::{EnsureOptions, Event, Events, LockChoice, ModelManager, Outcome};
use speech_flow_model_types::{ModelSpec, RepoId};

use crate::error::Error;
use crate::server::Server;

/// Jobs that are remembered.
const MOST: usize = 100;

/// All jobs, the latest last.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    next: AtomicU64,
    known: Mutex<BTreeMap<u64, Arc<Job>>>,
}

/// One model on its way.
#[derive(Debug)]
pub(crate) struct Job {
    id: u64,
    model: String,
    progress: Mutex<Progress>,
}

/// How far a job is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Progress {
    state: State,
    bytes_to_fetch: u64,
    bytes_fetched: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Running,
    Hit,
    Downloaded,
    Failed,
}

/// A job as it is shown.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JobView {
    pub(crate) id: u64,
    pub(crate) model: String,
    #[serde(flatten)]
    pub(crate) progress: Progress,
}

impl Jobs {
    /// The latest jobs, the newest first.
    pub(crate) fn list(&self) -> Vec<JobView> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).values().rev().map(|job| job.view()).collect()
    }

    /// Remembers a job; one that runs for the same model is joined.
    fn add(&self, model: String) -> (Arc<Job>, bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = known.values().find(|job| job.model == model && job.is_running()) {
            return (Arc::clone(running), false);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let progress = Progress {
            state: State::Running,
            bytes_to_fetch: 0,
            bytes_fetched: 0,
            commit: None,
            error: None,
            hint: None,
        };
        let job = Arc::new(Job { id, model, progress: Mutex::new(progress) });
        known.insert(id, Arc::clone(&job));
        while known.len() > MOST {
            known.pop_first();
        }
        (job, true)
    }
}

impl Job {
    pub(crate) fn view(&self) -> JobView {
        JobView { id: self.id, model: self.model.clone(), progress: self.lock().clone() }
    }

    fn is_running(&self) -> bool {
        self.lock().state == State::Running
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events for Job {
    fn event(&self, event: Event) {
        match event {
            Event::Planned { bytes_to_fetch, .. } => self.lock().bytes_to_fetch = bytes_to_fetch,
            Event::Received { bytes } => self.lock().bytes_fetched += bytes,
            _ => {}
        }
    }
}

impl Server {
    /// Begins to make a model ready, or joins a job that does.
    ///
    /// # Errors
    /// [`Error::Manager`] when the caches cannot be used.
    pub(crate) fn preload(&self, repo: &RepoId, spec: ModelSpec) -> Result<Arc<Job>, Error> {
        let manager = if self.inner.settings.is_shared(repo) {
            self.inner.manager.clone()
        } else {
            // The server's own token is for repositories that the configuration names.
            let mut config = self.inner.config.clone();
            config.hub.token.value = None;
            ModelManager::new(&config).map_err(Error::Manager)?
        };
        let (job, is_new) = self.inner.jobs.add(spec.to_string());
        if is_new {
            let (server, working) = (self.clone(), Arc::clone(&job));
            let runtime = tokio::runtime::Handle::current();
            // On a thread of its own: much of it waits for the disk.
            self.inner.tasks.spawn_blocking(move || runtime.block_on(server.run(&manager, &spec, working)));
        }
        Ok(job)
    }

    async fn run(&self, manager: &ModelManager, spec: &ModelSpec, job: Arc<Job>) {
        let lock = self.inner.lockfile.clone().map(|lockfile| LockChoice { lockfile, strict: false });
        let options = EnsureOptions {
            offline: self.inner.settings.offline,
            lock,
            events: job.clone(),
            cancel: self.inner.stop.clone(),
            ..EnsureOptions::default()
        };
        let outcome = manager.ensure_with(spec, &options).await;
        let mut progress = job.lock();
        match outcome {
            Ok(model) => {
                progress.state = if model.outcome == Outcome::Hit { State::Hit } else { State::Downloaded };
                progress.commit = model.origin.map(|origin| origin.commit.to_string());
                progress.bytes_fetched = model.bytes_downloaded;
            }
            Err(error) => {
                let hint = error.hint().map(|hint| hint.to_string());
                progress.state = State::Failed;
                (progress.error, progress.hint) = (Some(error.to_string()), hint.clone());
                drop(progress);
                self.inner.log.problem(&format!("`{spec}` could not be made ready"), &error, hint);
            }
        }
    }
}
