//! Models that somebody asked this server to make ready.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use serde::Serialize;
use speech_flow_model_manager::lockfile::Lockfile;
use speech_flow_model_manager::{EnsureOptions, LockChoice, ModelManager, Outcome, Silent};
use speech_flow_model_types::{ModelSource, ModelSpec, RepoId};

use crate::answer::Refusal;
use crate::bring::Heard;
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

impl Heard for Job {
    fn missing(&self, bytes: u64) {
        self.lock().bytes_to_fetch = bytes;
    }

    fn came(&self, bytes: u64) {
        self.lock().bytes_fetched = bytes;
    }
}

impl Server {
    /// Begins to make a model ready, or joins a job that does.
    ///
    /// # Errors
    /// [`Error::Manager`] when the caches cannot be used.
    pub(crate) fn preload(&self, repo: &RepoId, spec: ModelSpec) -> Result<Arc<Job>, Error> {
        let manager = self.manager_for(repo).map_err(Error::Manager)?;
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
        let brought = self.bring_first(spec, &job).await;
        // What cannot be known without the hub may still be whole on disk, which the manager can tell.
        if let Some(refusal) = brought.err().filter(|refusal| refusal.status != StatusCode::GATEWAY_TIMEOUT) {
            let mut progress = job.lock();
            progress.state = State::Failed;
            progress.error = Some(refusal.message.clone());
            drop(progress);
            self.inner.log.note(format!("`{spec}` could not be made ready: {}", refusal.message), None);
            return;
        }
        let lock = self.lockfile().map(|lockfile| LockChoice { lockfile: Lockfile::clone(&lockfile), strict: false });
        let options = EnsureOptions {
            offline: self.inner.settings.offline,
            adopt: true,
            lock,
            // Its bytes came with the downloads of this server; what is left is to check and to record.
            events: Arc::new(Silent),
            cancel: self.inner.stop.clone(),
            ..EnsureOptions::default()
        };
        let outcome = manager.ensure_with(spec, &options).await;
        let mut progress = job.lock();
        match outcome {
            Ok(model) => {
                let is_hit = model.outcome == Outcome::Hit && progress.bytes_to_fetch == 0;
                progress.state = if is_hit { State::Hit } else { State::Downloaded };
                progress.commit = model.origin.map(|origin| origin.commit.to_string());
                progress.bytes_fetched += model.bytes_downloaded;
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

    /// Brings what is missing over the downloads that clients join.
    async fn bring_first(&self, spec: &ModelSpec, job: &Job) -> Result<(), Refusal> {
        let ModelSource::Hub { repo, revision } = &spec.source else { return Ok(()) };
        if self.inner.settings.offline {
            return Ok(());
        }
        tokio::select! {
            brought = self.bring_model(repo, revision, &spec.patterns, job) => brought,
            () = self.inner.stop.cancelled() => Err(Refusal::unknown("the server is stopping")),
        }
    }
}
