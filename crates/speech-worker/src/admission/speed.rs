//! How many seconds of audio a second of work does.

/// After so many seconds of work, what was measured before counts a third.
const MEMORY_S: f64 = 60.0;
/// How many seconds of work the first guess weighs: few, as it comes from a warm-up, whose fixed costs make it low.
const GUESS_S: f64 = 1.0;

/// A mean that forgets. Pure: told how much was done in how much time.
#[derive(Debug, Clone)]
pub(crate) struct Speed {
    audio_s: f64,
    busy_s: f64,
}

impl Speed {
    /// A speed that is only guessed.
    pub(crate) fn guessed(speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self { audio_s: speed * GUESS_S, busy_s: GUESS_S }
    }

    /// So much time went by with work to do.
    pub(crate) fn work(&mut self, busy_s: f64) {
        let fade = (-busy_s / MEMORY_S).exp();
        self.audio_s *= fade;
        self.busy_s = self.busy_s * fade + busy_s;
    }

    /// So much audio was done.
    pub(crate) fn done(&mut self, audio_s: f64) {
        self.audio_s += audio_s;
    }

    /// Seconds of audio in a second of work; never zero.
    pub(crate) fn value(&self) -> f64 {
        (self.audio_s / self.busy_s).max(0.001)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_takes_the_place_of_the_guess() {
        let mut speed = Speed::guessed(1.0);
        for _ in 0..300 {
            speed.work(1.0);
            speed.done(20.0);
        }
        assert!((speed.value() - 20.0).abs() < 1.0, "{}", speed.value());
    }

    #[test]
    fn nonsense_is_no_guess() {
        assert_eq!(Speed::guessed(f64::NAN).value(), 1.0);
        assert_eq!(Speed::guessed(0.0).value(), 1.0);
    }

    #[test]
    fn a_worker_that_gets_nothing_done_is_slow_not_infinitely_slow() {
        let mut speed = Speed::guessed(10.0);
        (0..10_000).for_each(|_| speed.work(1.0));
        assert_eq!(speed.value(), 0.001);
    }
}
