//! Times as subtitles have them.

/// How a format writes its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeStyle {
    /// Whether hours stand there even when there are none.
    pub(super) always_hours: bool,
    /// What stands before the milliseconds.
    pub(super) decimal_mark: char,
}

/// A time in seconds, to the millisecond: `[hh:]mm:ss.mmm`. Half a millisecond goes to the even one.
///
/// Source: `format_timestamp` in `whisper/utils.py`. What is no time, or before the start, is the start.
pub(super) fn timestamp(seconds: f64, style: TimeStyle) -> String {
    let milliseconds = (seconds.max(0.0) * 1000.0).round_ties_even() as u64;
    let (hours, minutes) = (milliseconds / 3_600_000, milliseconds / 60_000 % 60);
    let (seconds, milliseconds) = (milliseconds / 1000 % 60, milliseconds % 1000);
    let hours = if style.always_hours || hours > 0 { format!("{hours:02}:") } else { String::new() };
    format!("{hours}{minutes:02}:{seconds:02}{}{milliseconds:03}", style.decimal_mark)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SRT: TimeStyle = TimeStyle { always_hours: true, decimal_mark: ',' };
    const VTT: TimeStyle = TimeStyle { always_hours: false, decimal_mark: '.' };

    #[track_caller]
    fn check(seconds: f64, srt: &str, vtt: &str) {
        assert_eq!(timestamp(seconds, SRT), srt);
        assert_eq!(timestamp(seconds, VTT), vtt);
    }

    #[test]
    fn times_are_as_whisper_writes_them() {
        check(0.0, "00:00:00,000", "00:00.000");
        check(1.5, "00:00:01,500", "00:01.500");
        check(59.9996, "00:01:00,000", "01:00.000");
        check(3_599.999, "00:59:59,999", "59:59.999");
        check(3_661.001, "01:01:01,001", "01:01:01.001");
        check(360_000.0, "100:00:00,000", "100:00:00.000");
        check(0.0005, "00:00:00,000", "00:00.000");
        check(0.0015, "00:00:00,002", "00:00.002");
    }

    #[test]
    fn what_is_no_time_is_the_start() {
        check(-1.0, "00:00:00,000", "00:00.000");
        check(f64::NAN, "00:00:00,000", "00:00.000");
    }

    proptest! {
        #[test]
        fn a_time_reads_back_to_the_millisecond(milliseconds in 0_u64..1_000_000_000) {
            let text = timestamp(milliseconds as f64 / 1000.0, SRT);
            let numbers: Vec<u64> = text.split([':', ',']).map(|part| part.parse().unwrap()).collect();
            prop_assert_eq!(numbers[0] * 3_600_000 + numbers[1] * 60_000 + numbers[2] * 1000 + numbers[3], milliseconds);
            prop_assert!(numbers[1] < 60 && numbers[2] < 60 && numbers[3] < 1000);
        }
    }
}
