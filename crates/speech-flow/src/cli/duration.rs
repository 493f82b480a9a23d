//! Durations as people write them.

use std::time::Duration;

const UNITS: [(&str, u64); 6] = [("", 1), ("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)];

/// Reads a whole number with `s`, `m`, `h`, `d` or `w`; without a unit it is seconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let refused = || "it takes a number with `s`, `m`, `h`, `d` or `w`, such as `12h` or `30d`".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?.1;
    let number: u64 = number.parse().map_err(|_| refused())?;
    number.checked_mul(scale).map(Duration::from_secs).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        #[track_caller]
        fn check(text: &str, seconds: Option<u64>) {
            assert_eq!(parse_duration(text).ok(), seconds.map(Duration::from_secs), "{text:?}");
        }
        check("90", Some(90));
        check("12h", Some(43_200));
        check("30d", Some(2_592_000));
        check("2w", Some(1_209_600));
        check("", None);
        check("h", None);
        check("-1d", None);
        check("1.5h", None);
        check("3 fortnights", None);
        check("99999999999999999999w", None);
        check("18446744073709551615w", None);
    }
}
