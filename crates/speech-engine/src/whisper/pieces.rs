//! The pieces of a clip that are decoded side by side.

use crate::audio::Audio;
use crate::cancel::Cancel;
use crate::error::Error;
use crate::vad::{SAMPLE_RATE, SpeechChunk, SpeechSpan, SpeechTimestampsMap, collect_chunks};
use crate::whisper::speech::{self, seconds};
use crate::whisper::{Clips, Models, TranscribeOptions, VadParameters};

/// The pieces of a clip.
pub(super) struct Cut {
    pub(super) pieces: Vec<SpeechChunk>,
    /// The way back to times of the clip, where pieces leave silence out.
    pub(super) map: Option<SpeechTimestampsMap>,
    /// Samples in them.
    pub(super) speech_samples: usize,
}

/// Cuts at the clips that are asked for, or else at silence, or else not at all.
pub(super) fn cut(
    models: Models<'_>,
    audio: &Audio,
    options: &TranscribeOptions,
    cancel: &Cancel,
) -> Result<Cut, Error> {
    let samples = audio.samples().len();
    let chunk_seconds = options.chunk_length.unwrap_or(models.backend.model().chunk_length) as f64;
    if let Clips::Parts(_) = &options.clip_timestamps {
        let pieces = clip_pieces(&options.clip_timestamps, samples, chunk_seconds)?;
        let speech_samples = pieces.iter().map(SpeechChunk::samples).sum();
        return Ok(Cut { pieces, map: None, speech_samples });
    }
    let spans = if options.vad_filter.unwrap_or(true) {
        let vad_options = VadParameters::complete_for_batches(options.vad_parameters.as_ref(), chunk_seconds)?;
        speech::find(models.vad, audio, &vad_options, cancel)?
    } else if seconds(samples) < chunk_seconds {
        vec![SpeechSpan { start: 0, end: samples }]
    } else {
        return Err(Error::NotInBatchedMode {
            option: "vad_filter",
            reason: "without it, audio that is longer than a window needs `clip_timestamps`",
        });
    };
    let mut pieces = collect_chunks(&spans, chunk_seconds);
    pieces.retain(|piece| piece.samples() > 0);
    let speech_samples = speech::samples(&spans);
    Ok(Cut { pieces, map: Some(SpeechTimestampsMap::new(&spans)), speech_samples })
}

/// A piece for each clip, whose times are those of the whole audio.
fn clip_pieces(clips: &Clips, samples: usize, chunk_seconds: f64) -> Result<Vec<SpeechChunk>, Error> {
    let Clips::Parts(parts) = clips else { return Ok(Vec::new()) };
    let sample = |seconds: f64| ((seconds * SAMPLE_RATE as f64) as usize).min(samples);
    let mut pieces = Vec::with_capacity(parts.len());
    for part in parts {
        let span = SpeechSpan { start: sample(part.start), end: part.end.map_or(samples, sample) };
        if seconds(span.samples()) > chunk_seconds {
            let problem = format!("has a part longer than a window of the batched mode, {chunk_seconds} s");
            return Err(Error::option("clip_timestamps", problem));
        }
        if span.samples() > 0 {
            pieces.push(SpeechChunk { offset: span.start, spans: vec![span] });
        }
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_are_pieces_with_the_times_of_the_audio() {
        let pieces = clip_pieces(&Clips::from_points(&[1.0, 2.5, 3.0]), 10 * SAMPLE_RATE, 30.0).unwrap();
        let times: Vec<_> = pieces.iter().map(|piece| (piece.offset_s(), piece.duration_s())).collect();
        assert_eq!(times, [(1.0, 1.5), (3.0, 7.0)]);
    }

    #[test]
    fn a_clip_behind_the_audio_is_no_piece() {
        assert_eq!(clip_pieces(&Clips::from_points(&[20.0, 25.0]), 10 * SAMPLE_RATE, 30.0).unwrap(), []);
    }

    #[test]
    fn a_clip_longer_than_a_window_is_refused() {
        assert!(clip_pieces(&Clips::from_points(&[0.0, 40.0]), 50 * SAMPLE_RATE, 30.0).is_err());
    }
}
