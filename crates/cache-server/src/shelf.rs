//! Answers of the hub that are kept for a while.
//!
//! One request is on its way for each key, however many callers wait for it; it belongs to the shelf, so a
//! caller that leaves ends nothing. What has become old is asked for again; where the hub is down, refuses for
//! now or is slow, the old answer is given. What the hub says for sure, such as that a repository is gone, is
//! believed and ends the old answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use speech_flow_model_hub::HubError;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a refusal is believed.
const REFUSAL_TTL: Duration = Duration::from_secs(10);
/// How long a failure keeps the next request from being sent.
const FAILURE_TTL: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(crate) enum Unanswered {
    /// The hub refused, or could not be asked.
    Hub(Arc<HubError>),
    /// It did not answer in time; the request goes on.
    Slow(Duration),
    /// No hub is asked.
    Offline,
    /// The request ended without an answer, as when the server stops.
    Ended,
}

impl Unanswered {
    /// Whether the hub has said so for sure, rather than failed to say anything. A page of a proxy or an
    /// answer that cannot be read is nothing that the hub has said.
    pub(crate) fn is_definite(&self) -> bool {
        let Self::Hub(error) = self else { return false };
        matches!(
            **error,
            HubError::RepoNotFound { .. }
                | HubError::RevisionNotFound { .. }
                | HubError::FileNotFound { .. }
                | HubError::Unauthorized { .. }
                | HubError::Gated { .. }
                | HubError::Disabled { .. }
        )
    }
}

/// An answer and its age.
#[derive(Debug, Clone)]
pub(crate) struct Kept<V> {
    pub(crate) value: V,
    /// Since when it is known; `None` for one that an earlier process left.
    pub(crate) since: Option<Instant>,
    /// Why it could not be refreshed, where it is old.
    pub(crate) stale: Option<Unanswered>,
}

/// How long callers wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For an answer where none is known.
    pub(crate) first: Duration,
    /// For a newer one than is known.
    pub(crate) newer: Duration,
}

/// Keeps answers by key.
#[derive(Debug)]
pub(crate) struct Shelf<V> {
    slots: Mutex<HashMap<String, Arc<Slot<V>>>>,
    ttl: Duration,
    most: usize,
}

#[derive(Debug)]
struct Slot<V> {
    state: Mutex<State<V>>,
}

#[derive(Debug)]
struct State<V> {
    value: Option<(V, Option<Instant>)>,
    failed: Option<(Unanswered, Instant)>,
    /// Ends with the request that is on its way.
    flight: Option<watch::Receiver<()>>,
    used: Instant,
}

/// What is asked where the shelf has no fresh answer.
pub(crate) type Ask<V> = BoxFuture<'static, Result<V, Unanswered>>;

impl<V: Clone + Send + 'static> Shelf<V> {
    /// A shelf whose answers stay fresh for `ttl`; the least recently used beyond `most` go.
    pub(crate) fn new(ttl: Duration, most: usize) -> Self {
        Self { slots: Mutex::default(), ttl, most }
    }

    /// The answer for a key. `ask` is called when it is missing or old; `seed` gives what an earlier process
    /// knew, when the key is met for the first time.
    pub(crate) async fn get(
        &self,
        key: &str,
        patience: Patience,
        seed: impl Future<Output = Option<V>>,
        ask: impl FnOnce() -> Ask<V>,
    ) -> Result<Kept<V>, Unanswered> {
        let slot = match self.find(key) {
            Some(slot) => slot,
            None => self.put(key, seed.await),
        };
        let begun = Instant::now();
        let (mut flight, patience) = {
            let mut state = slot.lock();
            state.used = Instant::now();
            if let Some(settled) = state.settled(self.ttl) {
                return settled;
            }
            let has_old = state.value.is_some();
            let flight = match &state.flight {
                Some(flight) => flight.clone(),
                None => {
                    let flight = Arc::clone(&slot).start(ask());
                    state.flight = Some(flight.clone());
                    flight
                }
            };
            (flight, if has_old { patience.newer } else { patience.first })
        };
        // An error is the end of the flight, which is what is waited for.
        let in_time = tokio::time::timeout(patience, flight.changed()).await.is_ok();
        let state = slot.lock();
        // What came for this call is new enough for it, however short answers are kept.
        if in_time && let Some(settled) = state.settled(self.ttl.max(begun.elapsed())) {
            return settled;
        }
        let why = if in_time { Unanswered::Ended } else { Unanswered::Slow(patience) };
        state.old(why.clone()).ok_or(why)
    }

    /// Puts an answer down that came with another one.
    pub(crate) fn insert(&self, key: &str, value: V) {
        let slot = self.put(key, None);
        let mut state = slot.lock();
        (state.value, state.failed) = (Some((value, Some(Instant::now()))), None);
    }

    fn find(&self, key: &str) -> Option<Arc<Slot<V>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).get(key).map(Arc::clone)
    }

    fn put(&self, key: &str, seed: Option<V>) -> Arc<Slot<V>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(key) {
            return Arc::clone(slot);
        }
        if slots.len() >= self.most
            && let Some(oldest) = slots.iter().min_by_key(|(_, slot)| slot.lock().used).map(|(key, _)| key.clone())
        {
            slots.remove(&oldest);
        }
        let state = State { value: seed.map(|value| (value, None)), failed: None, flight: None, used: Instant::now() };
        let slot = Arc::new(Slot { state: Mutex::new(state) });
        slots.insert(key.to_owned(), Arc::clone(&slot));
        slot
    }
}

impl<V: Clone + Send + 'static> Slot<V> {
    fn lock(&self) -> std::sync::MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(self: Arc<Self>, ask: Ask<V>) -> watch::Receiver<()> {
        let (ended, flight) = watch::channel(());
        tokio::spawn(async move {
            let landing = Landing { slot: self };
            let answer = ask.await;
            let mut state = landing.slot.lock();
            match answer {
                Ok(value) => (state.value, state.failed) = (Some((value, Some(Instant::now()))), None),
                Err(error) => {
                    if error.is_definite() {
                        state.value = None;
                    }
                    state.failed = Some((error, Instant::now()));
                }
            }
            drop(state);
            drop(landing);
            drop(ended);
        });
        flight
    }
}

/// Clears the way for the next request, also where this one panics.
struct Landing<V: Clone + Send + 'static> {
    slot: Arc<Slot<V>>,
}

impl<V: Clone + Send + 'static> Drop for Landing<V> {
    fn drop(&mut self) {
        self.slot.lock().flight = None;
    }
}

impl<V: Clone> State<V> {
    /// What can be said without a request.
    fn settled(&self, ttl: Duration) -> Option<Result<Kept<V>, Unanswered>> {
        if let Some((value, Some(since))) = &self.value
            && since.elapsed() < ttl
        {
            return Some(Ok(Kept { value: value.clone(), since: Some(*since), stale: None }));
        }
        let (error, at) = self.failed.as_ref()?;
        let believed = if error.is_definite() { REFUSAL_TTL } else { FAILURE_TTL };
        if at.elapsed() >= believed {
            return None;
        }
        Some(self.old(error.clone()).ok_or_else(|| error.clone()))
    }

    fn old(&self, why: Unanswered) -> Option<Kept<V>> {
        let (value, since) = self.value.as_ref()?;
        Some(Kept { value: value.clone(), since: *since, stale: Some(why) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const PATIENCE: Patience = Patience { first: Duration::from_secs(8), newer: Duration::from_secs(1) };

    fn answer(value: u32) -> impl FnOnce() -> Ask<u32> {
        move || Box::pin(async move { Ok(value) })
    }

    fn failure() -> Ask<u32> {
        Box::pin(async { Err(Unanswered::Offline) })
    }

    #[tokio::test(start_paused = true)]
    async fn callers_share_one_request() {
        let shelf = Arc::new(Shelf::new(Duration::from_secs(60), 10));
        let asked = Arc::new(AtomicUsize::new(0));
        let callers = (0..50).map(|_| {
            let (shelf, asked) = (Arc::clone(&shelf), Arc::clone(&asked));
            tokio::spawn(async move {
                let ask = || -> Ask<u32> {
                    asked.fetch_add(1, Ordering::SeqCst);
                    Box::pin(async {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        Ok(7)
                    })
                };
                shelf.get("key", PATIENCE, async { None }, ask).await.expect("answers").value
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            assert_eq!(caller.await.expect("ends"), 7);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_kept_is_an_answer() {
        let shelf = Shelf::new(Duration::ZERO, 10);
        for value in [7, 8] {
            let slow = move || -> Ask<u32> {
                Box::pin(async move {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    Ok(value)
                })
            };
            let kept = shelf.get("key", PATIENCE, async { None }, slow).await.expect("answers");
            assert!(kept.stale.is_none() && kept.value == value);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_answer_is_better_than_none() {
        let shelf = Shelf::new(Duration::from_secs(60), 10);
        shelf.get("key", PATIENCE, async { None }, answer(1)).await.expect("answers");
        tokio::time::advance(Duration::from_secs(61)).await;
        let kept = shelf.get("key", PATIENCE, async { None }, failure).await.expect("the old one");
        assert_eq!((kept.value, kept.stale.is_some()), (1, true));
        tokio::time::advance(Duration::from_secs(3)).await;
        let slow = || -> Ask<u32> { Box::pin(std::future::pending()) };
        let started = Instant::now();
        let kept = shelf.get("key", PATIENCE, async { None }, slow).await.expect("the old one");
        assert_eq!((kept.value, started.elapsed()), (1, PATIENCE.newer));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_asked_for_again_at_once() {
        let shelf = Shelf::new(Duration::from_secs(60), 10);
        assert!(shelf.get("key", PATIENCE, async { None }, failure).await.is_err());
        assert!(shelf.get("key", PATIENCE, async { None }, answer(1)).await.is_err());
        tokio::time::advance(FAILURE_TTL).await;
        assert_eq!(shelf.get("key", PATIENCE, async { None }, answer(1)).await.expect("answers").value, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_panics_leaves_nobody_waiting() {
        let shelf = Shelf::<u32>::new(Duration::from_secs(60), 10);
        let broken = || -> Ask<u32> { Box::pin(async { panic!("broken") }) };
        assert!(matches!(shelf.get("key", PATIENCE, async { None }, broken).await, Err(Unanswered::Ended)));
        assert_eq!(shelf.get("key", PATIENCE, async { None }, answer(1)).await.expect("answers").value, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_recently_used_goes_first() {
        let shelf = Shelf::new(Duration::from_secs(60), 2);
        for (key, value) in [("a", 1), ("b", 2), ("a", 1), ("c", 3)] {
            tokio::time::advance(Duration::from_secs(1)).await;
            shelf.get(key, PATIENCE, async { None }, answer(value)).await.expect("answers");
        }
        assert_eq!(shelf.get("a", PATIENCE, async { None }, answer(9)).await.expect("kept").value, 1);
        assert_eq!(shelf.get("b", PATIENCE, async { None }, answer(9)).await.expect("asked").value, 9);
    }
}
