//! The places for connections, and who has to leave when all are taken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::activity::Activity;
use crate::stats::{Closed, Stats};

/// Connections beyond the bound, for probes and refusals, while all others are at work.
const SPARE: usize = 32;
/// How often it is looked for a place when even those are taken.
const LOOK: Duration = Duration::from_millis(20);

/// All places.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    taken: Mutex<Taken>,
    stats: Arc<Stats>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    places: HashMap<u64, Arc<Activity>>,
}

/// The place of one connection; it lasts until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    id: u64,
    connections: Arc<Connections>,
    pub(crate) activity: Arc<Activity>,
    is_spare: bool,
}

impl Connections {
    pub(crate) fn new(most: usize, stats: Arc<Stats>) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), taken: Mutex::default(), stats })
    }

    /// A place for a connection that was accepted; waits when none can be had.
    pub(crate) async fn place(self: &Arc<Self>) -> Place {
        loop {
            match self.try_place() {
                Some(place) => return place,
                None => tokio::time::sleep(LOOK).await,
            }
        }
    }

    fn try_place(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.lock();
        let is_full = taken.places.len() >= self.most && !self.evict_one(&mut taken);
        if is_full && taken.places.len() >= self.most + SPARE {
            return None;
        }
        let (id, activity) = (taken.next, Arc::new(Activity::new()));
        taken.next += 1;
        taken.places.insert(id, Arc::clone(&activity));
        self.stats.open.set(count(taken.places.len()));
        Some(Place { id, connections: Arc::clone(self), activity, is_spare: is_full })
    }

    /// Takes the place of the connection that has waited longest for a request.
    fn evict_one(&self, taken: &mut Taken) -> bool {
        loop {
            let waiting = taken.places.iter().filter_map(|(id, activity)| Some((activity.waits_since()?, *id)));
            let Some((_, longest)) = waiting.min() else { return false };
            // A request may have come meanwhile.
            if taken.places[&longest].evict() {
                taken.places.remove(&longest);
                self.stats.count(Closed::Evicted);
                return true;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether there are more connections than there may be, and this is one of those that came last.
    pub(crate) fn is_over(&self) -> bool {
        self.is_spare && self.connections.lock().places.len() > self.connections.most
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.connections.lock();
        taken.places.remove(&self.id);
        self.connections.stats.open.set(count(taken.places.len()));
    }
}

fn count(places: usize) -> i64 {
    i64::try_from(places).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(most: usize) -> Arc<Connections> {
        Connections::new(most, Arc::new(Stats::new("", false).expect("sound names")))
    }

    #[tokio::test(start_paused = true)]
    async fn who_waited_longest_leaves_first_and_who_works_stays() {
        let connections = places(3);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(connections.try_place().expect("there is room"));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(places[0].activity.begin());
        let fourth = connections.try_place().expect("one leaves");
        let evicted: Vec<bool> = places.iter().map(|place| place.activity.evicted.is_cancelled()).collect();
        assert_eq!(evicted, [false, true, false]);
        assert!(!fourth.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_work_a_few_more_come_in_to_be_refused() {
        let connections = places(2);
        let place = || {
            let place = connections.try_place()?;
            assert!(place.activity.begin());
            Some(place)
        };
        let working: Vec<_> = std::iter::from_fn(place).collect();
        let over: Vec<bool> = working.iter().map(Place::is_over).collect();
        assert_eq!((over.len(), connections.stats.open()), (2 + SPARE, count(2 + SPARE)));
        assert!(over[..2].iter().all(|is_over| !is_over) && over[2..].iter().all(|is_over| *is_over));
        drop(working);
        assert_eq!(connections.stats.open(), 0);
    }
}
