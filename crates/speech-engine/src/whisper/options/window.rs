//! How much of the encoder's 30 seconds a window fills.

use serde::{Deserialize, Serialize};

use crate::features::WINDOW_FRAMES;

/// How much of the encoder's 30 seconds a window fills.
///
/// Whisper is trained on windows of 30 seconds, most of which is padding where a clip is short, and the padding costs as
/// much as sound does: the cost of attention grows with the square of the length. A fitted window takes a fraction
/// of the time and of the memory, at the price of text that is not always that of the full window. Where the result is
/// repetitive or improbable, the window is heard again in full. The documentation of the benchmarks has the word error
/// rates of both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderWindow {
    /// All of it, as the model was trained.
    #[default]
    Full,
    /// The sound and some silence after it.
    Fitted,
}

/// Frames of a fitted window at least: shorter ones make the model repeat itself.
const LEAST: usize = 1000;
/// Frames of silence after the sound at least.
const SILENCE: usize = 300;
/// Lengths are multiples of it, so that windows of several clips fit into one batch.
const STEP: usize = 500;

impl EncoderWindow {
    /// The name in options and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Fitted => "fitted",
        }
    }

    /// Whether the window of so much sound is shorter than a full one.
    pub(crate) fn is_fitted(self, sound: usize) -> bool {
        self.frames(sound) < WINDOW_FRAMES
    }

    /// Frames of 10 ms of the encoder's input for so many frames of sound; 3,000 at most.
    pub(crate) fn frames(self, sound: usize) -> usize {
        match self {
            Self::Full => WINDOW_FRAMES,
            Self::Fitted => (sound + SILENCE).next_multiple_of(STEP).clamp(LEAST, WINDOW_FRAMES),
        }
    }
}

/// Tokens that so many frames of speech have at most. Nobody speaks twenty tokens a second for long, but a model that
/// repeats itself goes on to the end of its 448.
pub(crate) fn most_tokens(sound: usize) -> usize {
    16 + sound / 5
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fitted_window_holds_the_sound_and_silence() {
        let frames = |sound| EncoderWindow::Fitted.frames(sound);
        assert_eq!((frames(0), frames(250), frames(701), frames(1200)), (1000, 1000, 1500, 1500));
        assert_eq!((frames(2700), frames(2999), frames(3000)), (3000, 3000, 3000));
        assert_eq!(EncoderWindow::Full.frames(5), 3000);
    }

    proptest! {
        #[test]
        fn no_sound_is_cut(sound in 0..=WINDOW_FRAMES) {
            let frames = EncoderWindow::Fitted.frames(sound);
            prop_assert!((sound..=WINDOW_FRAMES).contains(&frames));
        }
    }
}
