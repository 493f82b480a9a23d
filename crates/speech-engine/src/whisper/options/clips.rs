//! Which parts of the audio to transcribe.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::error::Error;

/// A part of the audio, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Start.
    pub start: f64,
    /// End; the end of the audio where it is not given.
    #[serde(default)]
    pub end: Option<f64>,
}

/// The parts of the audio to transcribe, one after another.
///
/// Written as `"0,3.5,10"`, as a list of the same numbers, or as a list of spans: `[{"start": 0, "end": 3.5}]`.
/// Without the last end, the last part goes on to the end of the audio.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Clips {
    /// All of it.
    #[default]
    Whole,
    /// These parts. Never empty.
    Parts(Vec<Span>),
}

impl Clips {
    /// The parts between each two of `points`.
    pub fn from_points(points: &[f64]) -> Self {
        if points.is_empty() || points == [0.0] {
            return Self::Whole;
        }
        let span = |pair: &[f64]| Span { start: pair[0], end: pair.get(1).copied() };
        Self::Parts(points.chunks(2).map(span).collect())
    }

    /// Seconds at which the first part starts.
    pub(crate) fn start(&self) -> f64 {
        match self {
            Self::Whole => 0.0,
            Self::Parts(spans) => spans.first().map_or(0.0, |span| span.start),
        }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let Self::Parts(spans) = self else { return Ok(()) };
        for (index, span) in spans.iter().enumerate() {
            let seconds = |value: f64| value.is_finite() && value >= 0.0;
            if !seconds(span.start) || !span.end.is_none_or(seconds) {
                return Err(Error::option("clip_timestamps", "has a time that is not a number of seconds from 0"));
            }
            if span.end.is_some_and(|end| end < span.start) {
                let problem = format!("has a part that ends before it starts, at {} s", span.start);
                return Err(Error::option("clip_timestamps", problem));
            }
            if span.end.is_none() && index + 1 < spans.len() {
                return Err(Error::option("clip_timestamps", "lacks the end of a part that is not the last"));
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for Clips {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut points = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let Ok(point) = part.parse() else {
                return Err(Error::option("clip_timestamps", format!("has `{part}` where seconds are expected")));
            };
            points.push(point);
        }
        Ok(Self::from_points(&points))
    }
}

impl<'de> Deserialize<'de> for Clips {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Points(Vec<f64>),
            Spans(Vec<Span>),
        }
        match Option::<Form>::deserialize(deserializer)? {
            None => Ok(Self::Whole),
            Some(Form::Text(text)) => text.parse().map_err(D::Error::custom),
            Some(Form::Points(points)) => Ok(Self::from_points(&points)),
            Some(Form::Spans(spans)) => Ok(Self::Parts(spans)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Clips {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn all_spellings_mean_the_same() {
        let parts = Clips::Parts(vec![Span { start: 0.0, end: Some(3.5) }, Span { start: 10.0, end: None }]);
        for text in [r#""0,3.5, 10""#, "[0, 3.5, 10]", r#"[{"start": 0, "end": 3.5}, {"start": 10}]"#] {
            assert_eq!(read(text), parts, "{text}");
        }
    }

    #[test]
    fn zero_is_the_whole_clip() {
        for text in [r#""0""#, r#""""#, "[]", "[0.0]", "null"] {
            assert_eq!(read(text), Clips::Whole, "{text}");
        }
    }

    #[test]
    fn refuses_parts_without_an_order() {
        for text in [r#""3,1""#, "[-1, 2]", r#"[{"start": 0}, {"start": 4}]"#] {
            assert!(read(text).validate().is_err(), "{text}");
        }
        assert!("1,x".parse::<Clips>().is_err());
    }
}
