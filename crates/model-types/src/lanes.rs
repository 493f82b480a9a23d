//! How many lanes a download may use. Pure: time and bytes are parameters.
//!
//! More connections help until something on the way collapses under them: clients that only ever add
//! connections were seen to fall from hundreds of MB/s to less than one, while four fixed ones stayed fast
//! (huggingface_hub#4893). So the governor starts at the configured number and moves downward when goodput
//! falls far below the best it has seen, and comes back one lane at a time.

use std::time::Duration;

/// Goodput below this share of the best counts as a collapse.
const COLLAPSE: f64 = 0.4;
/// Windows in a row without a collapse before a lane comes back.
const CALM_WINDOWS: u32 = 6;
/// What is left of the best goodput after each window: a network that became slower for good becomes
/// the new measure in about a minute instead of being taken for a collapse forever.
const MEMORY: f64 = 0.95;

/// Adapts the number of lanes to the goodput they bring.
#[derive(Debug, Clone)]
pub struct LaneGovernor {
    most: usize,
    lanes: usize,
    window: Duration,
    window_start: Duration,
    bytes: u64,
    /// Whether fewer lanes than allowed had work at some moment of the window.
    starved: bool,
    /// Best bytes per second seen, fading.
    best: f64,
    calm: u32,
}

impl LaneGovernor {
    /// Starts with all lanes open. Goodput is judged once per window.
    ///
    /// # Panics
    /// When `lanes` is 0.
    pub fn new(lanes: usize, window: Duration, now: Duration) -> Self {
        assert!(lanes > 0, "a download needs a lane");
        Self { most: lanes, lanes, window, window_start: now, bytes: 0, starved: false, best: 0.0, calm: 0 }
    }

    /// Lanes that may be open now; at least 1.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// When the running window ends.
    pub fn window_end(&self) -> Duration {
        self.window_start + self.window
    }

    /// Counts bytes that arrived, with the number of lanes that have work. Once per window the allowed
    /// lanes may change; the answer is the number from now on.
    ///
    /// Only a window in which every allowed lane was busy throughout says something about the network:
    /// at the end of a download goodput falls because there is nothing left to fetch.
    pub fn received(&mut self, bytes: u64, busy: usize, now: Duration) -> usize {
        self.bytes += bytes;
        self.starved |= busy < self.lanes;
        let elapsed = now.saturating_sub(self.window_start);
        if elapsed >= self.window {
            let goodput = self.bytes as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
            // A window many times too long was a pause (a rate limit, a full disk), not a measurement.
            if !self.starved && elapsed < self.window * 8 {
                self.judge(goodput);
            }
            self.bytes = 0;
            self.starved = false;
            self.window_start = now;
        }
        self.lanes
    }

    /// A server asked for fewer requests, or cut a connection: one lane fewer.
    pub fn refused(&mut self) -> usize {
        self.lanes = (self.lanes - 1).max(1);
        self.calm = 0;
        self.lanes
    }

    fn judge(&mut self, goodput: f64) {
        if goodput < self.best * COLLAPSE {
            self.lanes = (self.lanes / 2).max(1);
            self.calm = 0;
        } else {
            self.calm += 1;
            if self.calm >= CALM_WINDOWS && self.lanes < self.most {
                self.lanes += 1;
                self.calm = 0;
            }
        }
        self.best = (self.best * MEMORY).max(goodput);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(5);

    /// Runs windows in which a network gives `goodput(lanes)` bytes per second; returns the lanes after each.
    fn run(governor: &mut LaneGovernor, from: u64, windows: u64, goodput: impl Fn(usize) -> u64) -> Vec<usize> {
        let at = |window: u64| WINDOW * u32::try_from(window + 1).expect("small");
        let step = |window| {
            let lanes = governor.lanes();
            governor.received(goodput(lanes) * WINDOW.as_secs(), lanes, at(window))
        };
        (from..from + windows).map(step).collect()
    }

    #[test]
    fn a_network_that_collapses_under_many_lanes_keeps_a_few() {
        let mut governor = LaneGovernor::new(8, WINDOW, Duration::ZERO);
        run(&mut governor, 0, 4, |_| 300_000_000);
        let collapsed = |lanes: usize| if lanes > 4 { 1_000_000 } else { 300_000_000 };
        let lanes = run(&mut governor, 4, 40, collapsed);
        assert_eq!(lanes[0], 4, "the first bad window closes half of them");
        let slow = lanes.iter().filter(|lanes| **lanes > 4).count();
        assert!(slow * 5 < lanes.len(), "{lanes:?}");
    }

    #[test]
    fn lanes_come_back_one_at_a_time() {
        let mut governor = LaneGovernor::new(8, WINDOW, Duration::ZERO);
        run(&mut governor, 0, 2, |_| 100);
        run(&mut governor, 2, 1, |_| 1);
        let lanes = run(&mut governor, 3, 24, |_| 100);
        assert_eq!((lanes[0], lanes[5], lanes[11], lanes[23]), (4, 5, 6, 8));
    }

    #[test]
    fn a_network_that_is_slow_for_good_gets_its_lanes_back() {
        let mut governor = LaneGovernor::new(8, WINDOW, Duration::ZERO);
        run(&mut governor, 0, 2, |_| 1000);
        let lanes = run(&mut governor, 2, 100, |_| 100);
        assert_eq!(*lanes.iter().min().expect("some"), 1);
        assert_eq!(lanes.last(), Some(&8), "{lanes:?}");
    }

    #[test]
    fn the_tail_of_a_download_is_no_collapse() {
        let mut governor = LaneGovernor::new(8, WINDOW, Duration::ZERO);
        run(&mut governor, 0, 3, |_| 1000);
        assert_eq!(governor.received(1, 2, WINDOW * 4), 8);
    }

    proptest! {
        #[test]
        fn lanes_stay_between_one_and_all(most in 1_usize..32, steps in proptest::collection::vec((0_u64..1_000_000, 0_u64..20, any::<bool>()), 0..200)) {
            let mut governor = LaneGovernor::new(most, WINDOW, Duration::ZERO);
            let mut now = Duration::ZERO;
            for (bytes, seconds, refused) in steps {
                now += Duration::from_secs(seconds);
                let lanes = if refused { governor.refused() } else { governor.received(bytes, most, now) };
                prop_assert!((1..=most).contains(&lanes));
            }
        }
    }
}
