//! Which frames of the audio are transcribed, and what the next window of them is.

use crate::whisper::round::round_to_frames;
use crate::whisper::{Clips, FRAME_SECONDS};

/// A stretch of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameRange {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The stretches of `clips` in audio of `content` frames, in order.
pub(super) fn stretches(clips: &Clips, content: usize) -> Vec<FrameRange> {
    match clips {
        Clips::Whole => vec![FrameRange { start: 0, end: content }],
        Clips::Parts(parts) => parts
            .iter()
            .map(|part| FrameRange {
                start: round_to_frames(part.start),
                end: part.end.map_or(content, round_to_frames).min(content),
            })
            .collect(),
    }
}

/// A window of the audio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    /// First frame.
    pub(super) seek: usize,
    /// Frames of sound in it; the rest of the window is padding.
    pub(super) frames: usize,
    /// Frames that a window has at most.
    pub(super) max_frames: usize,
}

impl Window {
    /// The window at `seek` in `stretch`.
    pub(super) fn at(seek: usize, stretch: FrameRange, max_frames: usize) -> Self {
        Self { seek, frames: stretch.end.saturating_sub(seek).min(max_frames), max_frames }
    }

    /// Seconds at which it starts.
    pub(super) fn start(self) -> f64 {
        self.seek as f64 * FRAME_SECONDS
    }

    /// Seconds at which it would end without the end of the audio.
    pub(super) fn full_end(self) -> f64 {
        (self.seek + self.max_frames) as f64 * FRAME_SECONDS
    }

    /// Seconds of sound in it.
    pub(super) fn duration(self) -> f64 {
        self.frames as f64 * FRAME_SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_end_with_the_audio() {
        let stretch = |start, end| FrameRange { start, end };
        assert_eq!(stretches(&Clips::Whole, 500), [stretch(0, 500)]);
        assert_eq!(stretches(&Clips::from_points(&[1.0, 2.0, 4.5]), 500), [stretch(100, 200), stretch(450, 500)]);
        assert_eq!(stretches(&Clips::from_points(&[1.0, 9.0]), 500), [stretch(100, 500)]);
    }

    #[test]
    fn a_window_ends_with_its_stretch() {
        let window = Window::at(2900, FrameRange { start: 0, end: 3100 }, 3000);
        assert_eq!((window.frames, window.start(), window.full_end()), (200, 29.0, 59.0));
    }
}
