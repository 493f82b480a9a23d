//! The speech of a clip: found, put end to end, and its times turned back into those of the clip.

use crate::audio::Audio;
use crate::cancel::Cancel;
use crate::error::Error;
use crate::vad::{SAMPLE_RATE, SileroVad, SpeechSpan, SpeechTimestampsMap, VadOptions};
use crate::whisper::Segment;

/// The spans of speech of a clip.
pub(super) fn find(
    vad: Option<&SileroVad>,
    audio: &Audio,
    options: &VadOptions,
    cancel: &Cancel,
) -> Result<Vec<SpeechSpan>, Error> {
    let Some(vad) = vad else {
        return Err(Error::option("vad_filter", "needs a model of voice activity, and none is loaded"));
    };
    vad.speech_timestamps(audio.samples(), options, cancel)
}

/// Seconds that samples take.
pub(super) fn seconds(samples: usize) -> f64 {
    samples as f64 / SAMPLE_RATE as f64
}

/// Samples of the spans.
pub(super) fn samples(spans: &[SpeechSpan]) -> usize {
    spans.iter().map(|span| span.samples()).sum()
}

/// Turns the times of a segment in the speech put end to end into times of the clip.
///
/// Both times of a word are taken from the span that its middle is in, so that no word reaches over a silence.
pub(super) fn restore(map: &SpeechTimestampsMap, segment: &mut Segment) {
    let Some(words) = segment.words.as_mut().filter(|words| !words.is_empty()) else {
        segment.start = map.original_time(segment.start, false);
        segment.end = map.original_time(segment.end, true);
        return;
    };
    for word in words.iter_mut() {
        let span = map.span_index(f64::midpoint(word.start, word.end), false);
        word.start = map.original_time_in(word.start, span);
        word.end = map.original_time_in(word.end, span);
    }
    if let [first, .., last] | [first @ last] = &words[..] {
        segment.start = first.start;
        segment.end = last.end;
    }
}
