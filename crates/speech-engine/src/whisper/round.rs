//! Rounding as Python rounds: halves go to the even neighbor.

/// The nearest whole number of frames, from 0.
pub(super) fn round_to_frames(seconds: f64) -> usize {
    // The cast saturates: a negative or absurd time is cut to the range.
    (seconds * crate::whisper::FRAMES_PER_SECOND as f64).round_ties_even() as usize
}

/// `value` with `decimals` decimals, rounded as NumPy does.
pub(super) fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round_ties_even() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_the_even_neighbor() {
        assert_eq!((round_to_frames(0.125), round_to_frames(0.375)), (12, 38));
        assert_eq!((round(0.125, 2), round(0.375, 2)), (0.12, 0.38));
    }

    #[test]
    fn a_time_before_the_start_is_the_start() {
        assert_eq!(round_to_frames(-1.0), 0);
    }
}
