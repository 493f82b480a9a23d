//! Threads that own an engine and compute batches, one after another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use speech_flow_speech_engine::cancel::{Cancel, CancelReason};

use super::call::{Call, Waiting};
use super::fair::{FairQueue, RequestId, Size};
use crate::priority;

/// What computes batches. Called from several threads at once where there are several replicas.
pub(crate) trait Engine: Send + Sync + 'static {
    /// One window and what is to be done with it.
    type Work: Send + 'static;
    /// What comes of it.
    type Answer: Send + 'static;
    /// Windows with equal keys can be computed together.
    type Key: PartialEq;
    /// Why it failed.
    type Error: std::fmt::Display + Send + 'static;

    /// Which windows this one can be computed with.
    fn key(work: &Self::Work) -> Self::Key;

    /// Which step it is, as metrics name it.
    fn step(work: &Self::Work) -> &'static str;

    /// The number of its step, as [`FairQueue::take`] uses it.
    fn rank(work: &Self::Work) -> u8;

    /// How many windows like this one a batch may have, of `most` that are allowed for any.
    fn most(&self, work: &Self::Work, most: usize) -> usize;

    /// Whether windows like this one take memory of their own for as long as they are computed. Of such, all threads
    /// together compute no more at once than a batch may have, or than there are threads.
    fn holds(work: &Self::Work) -> bool;

    /// Computes windows of one key: an answer for each, in their order.
    fn run(&self, batch: &[&Self::Work]) -> Result<Vec<Self::Answer>, Self::Error>;

    /// The error of a call that was stopped.
    fn stopped(reason: CancelReason) -> Self::Error;

    /// The error of a call that the engine did not answer.
    fn crashed() -> Self::Error;
}

/// How a pool works.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolConfig {
    /// Threads, each with a batch of its own.
    pub(crate) replicas: usize,
    /// Windows of a batch.
    pub(crate) max_batch: usize,
}

impl PoolConfig {
    /// Windows of those that [`Engine::holds`], of all batches together: as many as a batch may have, or as there are
    /// threads, if that is more.
    fn held_windows(self) -> usize {
        self.max_batch.max(self.replicas)
    }

    /// Windows that hold memory, of a batch that is full: so few that half of the threads have one, while the others
    /// begin the next windows.
    fn held_batch(self) -> usize {
        self.max_batch.div_ceil(self.replicas.div_ceil(2).max(1))
    }
}

/// Hears of the batches; called on the engine's threads.
pub(crate) trait PoolEvents: Send + Sync + 'static {
    /// A window was taken from the queue after so long.
    fn waited(&self, waited: Duration);

    /// A batch was computed.
    fn computed(&self, step: &'static str, windows: usize, elapsed: Duration);
}

/// An engine with its queue and its threads, which end when the pool is dropped and what was begun is done.
pub(crate) struct Pool<E: Engine> {
    shared: Arc<Shared<E>>,
}

struct Shared<E: Engine> {
    engine: E,
    config: PoolConfig,
    events: Arc<dyn PoolEvents>,
    state: Mutex<State<E>>,
    changed: Condvar,
}

struct State<E: Engine> {
    queue: FairQueue<Job<E>>,
    /// The batch that each thread computes.
    running: Vec<Option<Running>>,
    next_request: RequestId,
    is_closed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    since: Instant,
    /// Its windows that hold memory.
    held: usize,
}

struct Job<E: Engine> {
    work: E::Work,
    call: Arc<Call<E::Answer, E::Error>>,
    /// The window's place in its call.
    place: usize,
    cancel: Cancel,
    since: Instant,
}

impl<E: Engine> Job<E> {
    fn is_wanted(&self) -> bool {
        self.call.is_open() && !self.cancel.is_canceled()
    }
}

/// One request's way to the engine; dropped with it.
pub(crate) struct Client<E: Engine> {
    shared: Arc<Shared<E>>,
    request: RequestId,
}

impl<E: Engine> Pool<E> {
    /// Starts the threads.
    ///
    /// # Errors
    /// What the system says when it has no thread to give.
    pub(crate) fn start(engine: E, config: PoolConfig, events: Arc<dyn PoolEvents>) -> std::io::Result<Self> {
        let state = State {
            queue: FairQueue::default(),
            running: vec![None; config.replicas],
            next_request: 0,
            is_closed: false,
        };
        let shared = Arc::new(Shared { engine, config, events, state: Mutex::new(state), changed: Condvar::new() });
        let pool = Self { shared };
        for number in 0..config.replicas {
            let shared = Arc::clone(&pool.shared);
            std::thread::Builder::new().name(format!("engine-{number}")).spawn(move || {
                priority::step_back();
                shared.work(number);
            })?;
        }
        Ok(pool)
    }

    /// A way to the engine for a new request.
    pub(crate) fn client(&self) -> Client<E> {
        let mut state = self.shared.lock();
        state.next_request += 1;
        Client { shared: Arc::clone(&self.shared), request: state.next_request }
    }

    /// For how long the batch that takes longest has been computed.
    pub(crate) fn longest_running(&self) -> Option<Duration> {
        let state = self.shared.lock();
        state.running.iter().flatten().map(|batch| batch.since.elapsed()).max()
    }

    /// Windows that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.lock().queue.len()
    }
}

impl<E: Engine> Drop for Pool<E> {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl<E: Engine> Client<E> {
    /// The engine itself, for what it knows of the model.
    pub(crate) fn engine(&self) -> &E {
        &self.shared.engine
    }

    /// Puts windows into the queue and waits for all of them; an answer for each, in their order.
    ///
    /// # Errors
    /// The engine's, for the first window that failed, and [`Engine::stopped`] when `cancel` said so.
    pub(crate) fn call(&self, windows: Vec<E::Work>, cancel: &Cancel) -> Result<Vec<E::Answer>, E::Error> {
        if let Some(reason) = cancel.reason() {
            return Err(E::stopped(reason));
        }
        let call = Arc::new(Call::new(windows.len()));
        {
            let mut state = self.shared.lock();
            if state.is_closed {
                return Err(E::stopped(CancelReason::Canceled));
            }
            let since = Instant::now();
            for (place, work) in windows.into_iter().enumerate() {
                let job = Job { work, call: Arc::clone(&call), place, cancel: cancel.clone(), since };
                state.queue.push(self.request, job);
            }
        }
        self.shared.changed.notify_all();
        let look = || if cancel.is_canceled() { Waiting::Stop } else { Waiting::GoOn };
        let answered = call.wait(look);
        if !matches!(answered, Some(Ok(_))) {
            let left = self.shared.lock().queue.remove(|job| Arc::ptr_eq(&job.call, &call));
            drop(left);
        }
        answered.unwrap_or_else(|| Err(E::stopped(cancel.reason().unwrap_or(CancelReason::Canceled))))
    }
}

impl<E: Engine> Drop for Client<E> {
    fn drop(&mut self) {
        let left = self.shared.lock().queue.leave(self.request);
        drop(left);
    }
}

impl<E: Engine> Shared<E> {
    /// Computes batches until the pool is closed.
    fn work(&self, thread: usize) {
        while let Some(batch) = self.next_batch(thread) {
            self.compute(&batch);
            drop(batch);
            let done = self.lock().running[thread].take();
            if done.is_some_and(|batch| batch.held > 0) {
                // Others may wait for the room.
                self.changed.notify_all();
            }
        }
    }

    /// Waits for windows and takes a batch of them, without those that nobody waits for.
    fn next_batch(&self, thread: usize) -> Option<Vec<Job<E>>> {
        let mut state = self.lock();
        loop {
            let gone = state.queue.remove(|job| !job.is_wanted());
            let held: usize = state.running.iter().flatten().map(|batch| batch.held).sum();
            let room = self.config.held_windows().saturating_sub(held);
            let batch = state.queue.take(
                |job: &Job<E>| {
                    let holds = E::holds(&job.work);
                    let most = if holds { self.config.held_batch() } else { self.config.max_batch };
                    let full = self.engine.most(&job.work, most).max(1);
                    Size { full, room: if holds { room } else { usize::MAX } }
                },
                |job: &Job<E>| E::rank(&job.work),
                |job: &Job<E>| E::key(&job.work),
            );
            if !batch.is_empty() {
                let held = batch.iter().filter(|job| E::holds(&job.work)).count();
                state.running[thread] = Some(Running { since: Instant::now(), held });
                drop(state);
                drop(gone);
                return Some(batch);
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn compute(&self, batch: &[Job<E>]) {
        let Some(first) = batch.first() else { return };
        batch.iter().for_each(|job| self.events.waited(job.since.elapsed()));
        let begun = Instant::now();
        let work: Vec<&E::Work> = batch.iter().map(|job| &job.work).collect();
        let done = self.run(&work);
        // Before the answers, so that who has its answer finds it counted.
        if done.is_ok() || batch.len() == 1 {
            self.events.computed(E::step(&first.work), batch.len(), begun.elapsed());
        }
        match done {
            Ok(answers) if answers.len() == batch.len() => {
                batch.iter().zip(answers).for_each(|(job, answer)| job.call.answer(job.place, answer));
            }
            Ok(_) => batch.iter().for_each(|job| job.call.fail(E::crashed())),
            Err(error) if batch.len() == 1 => first.call.fail(error),
            // One bad window must not fail the requests that it happened to be computed with.
            Err(error) => {
                tracing::debug!(%error, "a batch failed: its windows are computed one by one");
                batch.iter().filter(|job| job.is_wanted()).for_each(|job| self.compute(std::slice::from_ref(job)));
            }
        }
    }

    fn run(&self, work: &[&E::Work]) -> Result<Vec<E::Answer>, E::Error> {
        catch_unwind(AssertUnwindSafe(|| self.engine.run(work))).unwrap_or_else(|_| {
            tracing::error!("the engine panicked");
            Err(E::crashed())
        })
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
