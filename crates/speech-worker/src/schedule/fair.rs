//! A queue that serves requests in turn. Pure.
//!
//! Each request has an account of the windows that were computed for it. The one with the lowest goes first; a
//! request that comes, or comes back, starts where the last one that was served stood, so that nobody is paid for
//! having been away. Source: start-time fair queueing, Goyal, Vin and Cheng, 1996.

use std::collections::{HashMap, VecDeque};

/// Which request a window belongs to.
pub(crate) type RequestId = u64;

/// Windows of many requests.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    lanes: HashMap<RequestId, Lane<T>>,
    clock: u64,
    arrivals: u64,
    len: usize,
}

#[derive(Debug)]
struct Lane<T> {
    served: u64,
    /// When the request put its oldest window in; of two that were served alike, who waits longer goes first.
    since: u64,
    windows: VecDeque<T>,
}

/// How many windows can be taken together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// In a batch that is full.
    pub(crate) full: usize,
    /// Now.
    pub(crate) room: usize,
}

/// A request's next window among those of the others.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    served: u64,
    rank: u8,
    since: u64,
    request: RequestId,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), clock: 0, arrivals: 0, len: 0 }
    }
}

impl<T> FairQueue<T> {
    /// Windows that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts a window at the end of its request's windows.
    pub(crate) fn push(&mut self, request: RequestId, window: T) {
        self.arrivals += 1;
        let (clock, now) = (self.clock, self.arrivals);
        let lane =
            self.lanes.entry(request).or_insert_with(|| Lane { served: clock, since: now, windows: VecDeque::new() });
        if lane.windows.is_empty() {
            (lane.served, lane.since) = (lane.served.max(clock), now);
        }
        lane.windows.push_back(window);
        self.len += 1;
    }

    /// Takes windows that can be computed together: first the one whose turn it is, then those that have the same
    /// key, a window from each request in turn, up to as many as `size` says of the first.
    ///
    /// `rank` is the number of a window's step. Of requests that were served alike, the lower goes first, so that the
    /// batch of a late step fills. Once it is full it goes before, as what is half done holds memory: but only if its
    /// request is no further ahead than its window's own steps before.
    pub(crate) fn take<K: PartialEq>(
        &mut self,
        size: impl Fn(&T) -> Size,
        rank: impl Fn(&T) -> u8,
        key: impl Fn(&T) -> K,
    ) -> Vec<T> {
        let order = self.order(|window| (size(window).room > 0).then(|| rank(window)));
        let Some(first) = order.first() else { return Vec::new() };
        self.clock = self.clock.max(first.served);
        let next = self.late_and_full(&order, &size, &key).unwrap_or(first);
        let Some(window) = self.front(next) else { return Vec::new() };
        let Size { full, room } = size(window);
        let (wanted, max) = (key(window), full.min(room).max(1));
        let mut taken = Vec::new();
        loop {
            let before = taken.len();
            for Turn { request, .. } in &order {
                let Some(lane) = self.lanes.get_mut(request) else { continue };
                let fits = taken.len() < max && lane.windows.front().is_some_and(|window| key(window) == wanted);
                if fits && let Some(window) = lane.windows.pop_front() {
                    lane.served += 1;
                    taken.push(window);
                }
            }
            if taken.len() == before {
                self.len -= taken.len();
                return taken;
            }
        }
    }

    /// The requests with windows that have a rank, whose turn it is first.
    fn order(&self, rank: impl Fn(&T) -> Option<u8>) -> Vec<Turn> {
        let turn = |(request, lane): (&RequestId, &Lane<T>)| {
            let rank = rank(lane.windows.front()?)?;
            Some(Turn { served: lane.served, rank, since: lane.since, request: *request })
        };
        let mut order: Vec<Turn> = self.lanes.iter().filter_map(turn).collect();
        order.sort_unstable();
        order
    }

    /// Of each later step than the first one's, the latest step first, the window whose turn it is, if its batch is
    /// full.
    fn late_and_full<'a, K: PartialEq>(
        &self,
        order: &'a [Turn],
        size: impl Fn(&T) -> Size,
        key: impl Fn(&T) -> K,
    ) -> Option<&'a Turn> {
        let first = order.first()?;
        let mut late: Vec<&Turn> = Vec::new();
        for turn in order.iter().filter(|turn| turn.rank > first.rank) {
            if late.iter().all(|other| other.rank != turn.rank) {
                late.push(turn);
            }
        }
        late.sort_unstable_by_key(|turn| std::cmp::Reverse(turn.rank));
        late.into_iter().filter(|turn| turn.served <= first.served + u64::from(turn.rank)).find(|turn| {
            let Some(window) = self.front(turn) else { return false };
            let (wanted, Size { full, room }) = (key(window), size(window));
            let of = |lane: &Lane<T>| lane.windows.iter().take(full).take_while(|window| key(window) == wanted).count();
            full <= room && order.iter().filter_map(|turn| self.lanes.get(&turn.request)).map(of).sum::<usize>() >= full
        })
    }

    fn front(&self, turn: &Turn) -> Option<&T> {
        self.lanes.get(&turn.request)?.windows.front()
    }

    /// Takes the windows of all requests out that `gone` is true for.
    pub(crate) fn remove(&mut self, gone: impl Fn(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        for lane in self.lanes.values_mut() {
            let (out, kept) = std::mem::take(&mut lane.windows).into_iter().partition(&gone);
            lane.windows = kept;
            removed.extend::<VecDeque<T>>(out);
        }
        self.len -= removed.len();
        removed
    }

    /// Closes a request's account, and drops what it left.
    pub(crate) fn leave(&mut self, request: RequestId) -> Vec<T> {
        let left: Vec<T> = self.lanes.remove(&request).map(|lane| lane.windows.into()).unwrap_or_default();
        self.len -= left.len();
        left
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A window: its request, its kind, its number.
    type Window = (RequestId, char, usize);

    fn take(queue: &mut FairQueue<Window>, max: usize) -> Vec<Window> {
        queue.take(|_| Size { full: max, room: max }, |window| u8::from(window.1 == 'g'), |window| window.1)
    }

    #[test]
    fn a_short_request_is_served_before_the_rest_of_a_long_one() {
        let mut queue = FairQueue::default();
        (0..100).for_each(|number| queue.push(1, (1, 'e', number)));
        assert_eq!(take(&mut queue, 1), [(1, 'e', 0)]);
        queue.push(2, (2, 'e', 0));
        assert_eq!(take(&mut queue, 1), [(2, 'e', 0)]);
        assert_eq!(take(&mut queue, 1), [(1, 'e', 1)]);
    }

    #[test]
    fn windows_of_several_requests_share_a_batch() {
        let mut queue = FairQueue::default();
        (0..5).for_each(|number| queue.push(1, (1, 'e', number)));
        (2..=4).for_each(|request| queue.push(request, (request, 'e', 0)));
        assert_eq!(take(&mut queue, 5), [(1, 'e', 0), (2, 'e', 0), (3, 'e', 0), (4, 'e', 0), (1, 'e', 1)]);
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn what_cannot_be_computed_together_is_not() {
        let mut queue = FairQueue::default();
        queue.push(1, (1, 'g', 0));
        queue.push(2, (2, 'e', 0));
        queue.push(3, (3, 'g', 0));
        assert_eq!(take(&mut queue, 8), [(2, 'e', 0)], "of those served alike, the lower rank goes first");
        assert_eq!(take(&mut queue, 8), [(1, 'g', 0), (3, 'g', 0)]);
        assert!(take(&mut queue, 8).is_empty());
    }

    #[test]
    fn a_full_batch_of_a_late_step_is_finished_before_more_is_begun() {
        let mut queue = FairQueue::default();
        (1..=4).for_each(|request| queue.push(request, (request, 'e', 0)));
        let mut steps = Vec::new();
        while queue.len() > 0 {
            let size = |window: &Window| Size { full: if window.1 == 'e' { 1 } else { 2 }, room: 2 };
            let batch = queue.take(size, |window| u8::from(window.1 == 'g'), |window| window.1);
            for window in batch.iter().filter(|window| window.1 == 'e') {
                queue.push(window.0, (window.0, 'g', 0));
            }
            steps.push((batch[0].1, batch.len()));
        }
        assert_eq!(steps, [('e', 1), ('e', 1), ('g', 2), ('e', 1), ('e', 1), ('g', 2)]);
    }

    #[test]
    fn what_has_no_room_waits_and_lets_others_go_before() {
        let mut queue = FairQueue::default();
        (1..=3).for_each(|request| queue.push(request, (request, 'g', 0)));
        queue.push(4, (4, 'e', 0));
        queue.push(5, (5, 'e', 0));
        let mut take = |room: usize| {
            let size = |window: &Window| match window.1 {
                'e' => Size { full: 1, room: usize::MAX },
                _ => Size { full: 2, room },
            };
            queue.take(size, |window| u8::from(window.1 == 'g'), |window| window.1)
        };
        assert_eq!(take(0), [(4, 'e', 0)]);
        assert_eq!(take(1), [(5, 'e', 0)], "the batch would not be full");
        assert!(take(0).is_empty());
        assert_eq!(take(1), [(1, 'g', 0)], "there is nothing else to do");
        assert_eq!(take(2), [(2, 'g', 0), (3, 'g', 0)]);
    }

    #[test]
    fn full_batches_of_a_long_request_hold_a_new_one_back_by_their_steps_only() {
        let mut queue = FairQueue::default();
        (0..16).for_each(|number| queue.push(1, (1, 'e', number)));
        (0..16).for_each(|_| drop(take(&mut queue, 1)));
        (0..16).for_each(|number| queue.push(1, (1, 'g', number)));
        queue.push(2, (2, 'e', 0));
        let first: Vec<Window> = (0..2).flat_map(|_| take(&mut queue, 2)).collect();
        assert_eq!(first, [(1, 'g', 0), (1, 'g', 1), (2, 'e', 0)]);
    }

    #[test]
    fn who_comes_back_is_not_paid_for_the_time_away() {
        let mut queue = FairQueue::default();
        queue.push(1, (1, 'e', 0));
        take(&mut queue, 1);
        (0..10).for_each(|number| queue.push(2, (2, 'e', number)));
        (0..8).for_each(|_| drop(take(&mut queue, 1)));
        (1..6).for_each(|number| queue.push(1, (1, 'e', number)));
        let turns: Vec<RequestId> = (0..4).flat_map(|_| take(&mut queue, 1)).map(|window| window.0).collect();
        assert_eq!(turns.iter().filter(|request| **request == 2).count(), 2, "{turns:?}");
    }

    #[test]
    fn what_nobody_waits_for_goes() {
        let mut queue = FairQueue::default();
        (0..3).for_each(|number| queue.push(1, (1, 'e', number)));
        queue.push(2, (2, 'e', 0));
        assert_eq!(queue.remove(|window| window.2 == 1), [(1, 'e', 1)]);
        assert_eq!(queue.leave(1).len(), 2);
        assert_eq!((queue.len(), take(&mut queue, 8)), (1, vec![(2, 'e', 0)]));
    }

    proptest! {
        #[test]
        fn every_window_comes_out_once_and_in_its_requests_order(
            pushes in prop::collection::vec((0..6_u64, prop::bool::ANY), 0..80),
            max in 1..9_usize,
        ) {
            let mut queue = FairQueue::default();
            let mut out = Vec::new();
            for (number, (request, encode)) in pushes.iter().enumerate() {
                queue.push(*request, (*request, if *encode { 'e' } else { 'g' }, number));
                if number % 3 == 0 {
                    out.extend(take(&mut queue, max));
                }
            }
            while queue.len() > 0 {
                let batch = take(&mut queue, max);
                prop_assert!(!batch.is_empty() && batch.len() <= max);
                prop_assert!(batch.iter().all(|window| window.1 == batch[0].1));
                out.extend(batch);
            }
            prop_assert_eq!(out.len(), pushes.len());
            for request in 0..6 {
                let of: Vec<usize> = out.iter().filter(|window| window.0 == request).map(|window| window.2).collect();
                prop_assert!(of.is_sorted());
            }
        }

        #[test]
        fn no_request_waits_for_more_than_a_window_of_each_other(lengths in prop::collection::vec(1..30_usize, 2..6)) {
            let mut queue = FairQueue::default();
            for (request, length) in lengths.iter().enumerate() {
                (0..*length).for_each(|number| queue.push(request as u64, (request as u64, 'e', number)));
            }
            let mut served = vec![0_usize; lengths.len()];
            while queue.len() > 0 {
                for window in take(&mut queue, 1) {
                    served[window.0 as usize] += 1;
                }
                let waiting: Vec<usize> =
                    served.iter().zip(&lengths).filter(|(served, length)| served < length).map(|(served, _)| *served).collect();
                if let (Some(least), Some(most)) = (waiting.iter().min(), waiting.iter().max()) {
                    prop_assert!(most - least <= 1);
                }
            }
        }
    }
}
