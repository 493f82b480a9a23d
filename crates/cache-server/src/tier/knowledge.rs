//! What is known of the store, so that its faults cost little.
//!
//! Several failures in a row close it for a while, then one request tries it again. A blob that failed, or is
//! not there, is not asked for again at once, so that the other parts of its file do not wait as well.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use speech_flow_model_types::Digest;
use tokio::time::Instant;

/// Failures in a row after which nothing is asked.
const FAILURES: u32 = 3;
/// How long nothing is asked then.
const PAUSE: Duration = Duration::from_secs(30);
/// How long a missing blob is taken for missing.
const MISSING_FOR: Duration = Duration::from_secs(10);
/// How long a damaged blob is left alone, unless it is written anew.
const DAMAGED_FOR: Duration = Duration::from_secs(3600);
/// Blobs that are remembered.
const MOST: usize = 10_000;

/// Whether and what to ask.
#[derive(Debug, Default)]
pub(super) struct Knowledge {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    closed_until: Option<Instant>,
    avoided: HashMap<Digest, Instant>,
    /// Blobs of which bytes came from the store and that are not verified yet.
    unverified: HashSet<Digest>,
    /// Objects that are to be replaced.
    damaged: HashSet<Digest>,
}

impl Knowledge {
    /// Whether a blob may be asked for now.
    pub(super) fn may_ask(&self, digest: &Digest, now: Instant) -> bool {
        let mut state = self.lock();
        if state.avoided.get(digest).is_some_and(|until| now < *until) {
            return false;
        }
        match state.closed_until {
            Some(until) if now < until => false,
            Some(_) => {
                // This request tries it; the others wait for what comes of it.
                state.closed_until = Some(now + PAUSE);
                true
            }
            None => true,
        }
    }

    /// It answered.
    pub(super) fn answered(&self) {
        let mut state = self.lock();
        (state.failures, state.closed_until) = (0, None);
    }

    /// Bytes of a blob come from it.
    pub(super) fn serves(&self, digest: &Digest) {
        let mut state = self.lock();
        bound(&mut state.unverified);
        state.unverified.insert(*digest);
    }

    /// It said that it does not have a blob.
    pub(super) fn missing(&self, digest: &Digest, now: Instant) {
        self.answered();
        self.lock().avoid(digest, now, MISSING_FOR);
    }

    /// It failed, or was too slow. Whether that closed it.
    pub(super) fn failed(&self, digest: &Digest, now: Instant) -> bool {
        let mut state = self.lock();
        state.avoid(digest, now, PAUSE);
        state.failures = state.failures.saturating_add(1);
        let closes = state.failures >= FAILURES;
        if closes {
            state.closed_until = Some(now + PAUSE);
        }
        closes && state.failures == FAILURES
    }

    /// An object cannot be the blob that it is named after.
    pub(super) fn damaged(&self, digest: &Digest, now: Instant) {
        let mut state = self.lock();
        state.avoid(digest, now, DAMAGED_FOR);
        bound(&mut state.damaged);
        state.damaged.insert(*digest);
    }

    /// The bytes of a blob were wrong; whether some came from the store, which then has a damaged object.
    pub(super) fn distrust(&self, digest: &Digest, now: Instant) -> bool {
        let came_from_it = self.verified(digest);
        if came_from_it {
            self.damaged(digest, now);
        }
        came_from_it
    }

    /// The bytes of a blob were right; whether some came from the store.
    pub(super) fn verified(&self, digest: &Digest) -> bool {
        self.lock().unverified.remove(digest)
    }

    /// Whether the object is to be replaced.
    pub(super) fn is_damaged(&self, digest: &Digest) -> bool {
        self.lock().damaged.contains(digest)
    }

    /// A blob was written into it.
    pub(super) fn stored(&self, digest: &Digest) {
        let mut state = self.lock();
        state.damaged.remove(digest);
        state.avoided.remove(digest);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn avoid(&mut self, digest: &Digest, now: Instant, how_long: Duration) {
        if self.avoided.len() >= MOST {
            self.avoided.retain(|_, until| now < *until);
        }
        if self.avoided.len() >= MOST {
            self.avoided.clear();
        }
        let until = self.avoided.entry(*digest).or_insert(now);
        *until = (*until).max(now + how_long);
    }
}

/// Forgetting costs a request, or an upload of what is there.
fn bound<T: Hash + Eq>(set: &mut HashSet<T>) {
    if set.len() >= MOST {
        set.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Digest = Digest::Sha256([1; 32]);
    const B: Digest = Digest::Sha256([2; 32]);

    fn other(number: u8) -> Digest {
        Digest::GitSha1([number; 20])
    }

    #[test]
    fn failures_in_a_row_close_the_store_and_one_request_opens_it() {
        let (knowledge, now) = (Knowledge::default(), Instant::now());
        assert!(!knowledge.failed(&other(1), now));
        knowledge.answered();
        assert!(!knowledge.failed(&other(2), now));
        assert!(!knowledge.failed(&other(3), now));
        assert!(knowledge.may_ask(&A, now));
        assert!(knowledge.failed(&other(4), now), "the third in a row");
        assert!(!knowledge.may_ask(&A, now));
        let later = now + PAUSE;
        assert!(knowledge.may_ask(&A, later));
        assert!(!knowledge.may_ask(&B, later), "one tries it");
        knowledge.answered();
        assert!(knowledge.may_ask(&B, later));
    }

    #[test]
    fn a_blob_that_is_missing_or_failed_is_left_alone_for_a_while() {
        let (knowledge, now) = (Knowledge::default(), Instant::now());
        knowledge.missing(&A, now);
        assert!(!knowledge.may_ask(&A, now) && knowledge.may_ask(&B, now));
        assert!(knowledge.may_ask(&A, now + MISSING_FOR));
        knowledge.failed(&B, now);
        assert!(!knowledge.may_ask(&B, now + MISSING_FOR) && knowledge.may_ask(&B, now + PAUSE));
    }

    #[test]
    fn a_damaged_object_is_one_that_brought_bytes_and_ends_when_it_is_written_anew() {
        let (knowledge, now) = (Knowledge::default(), Instant::now());
        assert!(!knowledge.distrust(&A, now), "the bytes were the hub's");
        knowledge.serves(&A);
        assert!(knowledge.distrust(&A, now));
        assert!(knowledge.is_damaged(&A) && !knowledge.may_ask(&A, now + PAUSE));
        assert!(!knowledge.verified(&A), "the second attempt came from the hub");
        knowledge.stored(&A);
        assert!(!knowledge.is_damaged(&A) && knowledge.may_ask(&A, now));
    }
}
