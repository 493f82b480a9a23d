//! Sizes as people read and write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes; `Display` is binary units with one decimal, `1.4 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// The text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a size such as `500MB`, `20GiB` or a number of bytes", .0.escape_debug())]
pub struct InvalidByteSize(pub String);

const UNITS: [(&str, u64); 13] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match steps.iter().find(|(_, unit)| self.0 >= *unit) {
            Some((name, unit)) => f.pad(&format!("{:.1} {name}", self.0 as f64 / *unit as f64)),
            None => f.pad(&format!("{} B", self.0)),
        }
    }
}

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, InvalidByteSize> {
        let invalid = || InvalidByteSize(text.to_owned());
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(split);
        let unit = unit.trim().to_ascii_lowercase();
        let scale = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?.1;
        // A whole number stays exact; a float would round what is above 2^53.
        if let Some(bytes) = number.parse().ok().and_then(|whole: u64| whole.checked_mul(scale)) {
            return Ok(Self(bytes));
        }
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let bytes = number * scale as f64;
        if bytes.is_finite() && bytes < u64::MAX as f64 { Ok(Self(bytes as u64)) } else { Err(invalid()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        #[track_caller]
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(text.parse::<ByteSize>().ok().map(|size| size.0), expected, "{text:?}");
        }
        check("0", Some(0));
        check("1024", Some(1024));
        check("1.5 GiB", Some(3 << 29));
        check("20G", Some(20 << 30));
        check("500MB", Some(500_000_000));
        check("9007199254740993", Some((1 << 53) + 1));
        check("18446744073709551615", Some(u64::MAX));
        check("18446744073709551616", None);
        check("", None);
        check("-1", None);
        check("1.2.3", None);
        check("12 parsecs", None);
        check("99999999999999999999999G", None);
    }

    #[test]
    fn shows_binary_units() {
        assert_eq!(ByteSize(0).to_string(), "0 B");
        assert_eq!(ByteSize(1536).to_string(), "1.5 KiB");
        assert_eq!(ByteSize(3_087_000_000).to_string(), "2.9 GiB");
    }
}
