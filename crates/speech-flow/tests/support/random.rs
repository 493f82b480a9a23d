//! Random choices that a failed run can make again.

use std::fmt::Arguments;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Set to a printed seed, the choices are made again.
const SEED: &str = "SPEECH_FLOW_TEST_SEED";

/// SplitMix64.
pub(crate) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// Starts with the seed of the environment, or with the time, and prints it.
    pub(crate) fn start() -> Self {
        let from_environment = std::env::var(SEED).ok().map(|seed| seed.parse().expect("the seed is a number"));
        let seed = from_environment.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
            now.as_nanos() as u64
        });
        note(format_args!("{SEED}={seed}"));
        Self { seed, state: seed }
    }

    /// The seed, for messages of failed checks.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// A time shorter than this, to the microsecond.
    pub(crate) fn shorter_than(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.below(longest.as_micros() as u64))
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Prints a line that the runner shows when the test fails.
#[expect(clippy::print_stdout, reason = "it belongs to the test's own output, which the runner keeps")]
pub(crate) fn note(line: Arguments<'_>) {
    println!("{line}");
}
