//! All channels, or one, to mono.

use symphonia::core::audio::{ChannelLabel, Channels, Position};

use super::{AudioError, Channel};

/// Weights by which channels add up to mono; their sum is 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mixer {
    weights: Vec<f32>,
}

impl Mixer {
    /// Weights for `channels` of a file.
    pub(crate) fn new(channels: &Channels, choice: Channel) -> Result<Self, AudioError> {
        let count = channels.count();
        let weights = match choice {
            Channel::One(channel) if channel >= count => {
                return Err(AudioError::NoSuchChannel { channel, channels: count });
            }
            Channel::One(channel) => (0..count).map(|index| f32::from(u8::from(index == channel))).collect(),
            Channel::Mix => weights(channels),
        };
        Ok(Self { weights })
    }

    /// Mixes planes of equal length into `mono`, which is overwritten.
    pub(crate) fn mix(&self, planes: &[Vec<f32>], mono: &mut Vec<f32>) {
        mono.clear();
        mono.resize(planes.first().map_or(0, Vec::len), 0.0);
        for (&weight, plane) in self.weights.iter().zip(planes) {
            // A silent weight must not let a NaN through.
            if weight != 0.0 {
                mono.iter_mut().zip(plane).for_each(|(sum, &sample)| *sum += weight * sample);
            }
        }
    }
}

fn weights(channels: &Channels) -> Vec<f32> {
    let count = channels.count();
    let mut weights: Vec<f32> = match channels {
        Channels::Positioned(positions) => positions.iter().map(weight).collect(),
        Channels::Custom(labels) => labels
            .iter()
            .map(|label| match label {
                ChannelLabel::Positioned(position) => weight(*position),
                _ => 1.0,
            })
            .collect(),
        _ => vec![1.0; count],
    };
    let sum: f32 = weights.iter().sum();
    if sum > 0.0 {
        weights.iter_mut().for_each(|weight| *weight /= sum);
        weights
    } else {
        vec![1.0 / count.max(1) as f32; count]
    }
}

/// How much of a channel reaches the center, before the weights are brought to a sum of 1.
///
/// Source: the default levels of `swr_build_matrix` in libswresample (center and surround at -3 dB, no LFE).
fn weight(position: Position) -> f32 {
    const CENTER: Position = Position::FRONT_CENTER;
    const FRONT: Position = Position::FRONT_LEFT
        .union(Position::FRONT_RIGHT)
        .union(Position::FRONT_LEFT_CENTER)
        .union(Position::FRONT_RIGHT_CENTER);
    const LOW: Position = Position::LFE1.union(Position::LFE2);
    if CENTER.contains(position) {
        1.0
    } else if FRONT.contains(position) {
        std::f32::consts::FRAC_1_SQRT_2
    } else if LOW.contains(position) {
        0.0
    } else {
        0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use symphonia::core::audio::layouts;

    #[track_caller]
    fn check(channels: &Channels, expected: &[f32]) {
        let mixer = Mixer::new(channels, Channel::Mix).unwrap();
        assert_eq!(mixer.weights.len(), expected.len());
        for (weight, expected) in mixer.weights.iter().zip(expected) {
            assert!((weight - expected).abs() < 1e-6, "{:?} is not {expected:?}", mixer.weights);
        }
    }

    #[test]
    fn weights_are_those_of_swresample() {
        check(&layouts::CHANNEL_LAYOUT_MONO, &[1.0]);
        check(&layouts::CHANNEL_LAYOUT_STEREO, &[0.5, 0.5]);
        // FL FR FC LFE RL RR: sqrt(1/2) twice, 1, 0, 1/2 twice, over their sum.
        let sum = 2.0 + std::f32::consts::SQRT_2;
        let front = std::f32::consts::FRAC_1_SQRT_2 / sum;
        check(&layouts::CHANNEL_LAYOUT_5P1, &[front, front, 1.0 / sum, 0.0, 0.5 / sum, 0.5 / sum]);
        check(&Channels::Discrete(4), &[0.25; 4]);
        check(&Channels::Positioned(Position::LFE1), &[1.0]);
    }

    #[test]
    fn one_channel_is_taken_alone() {
        let mixer = Mixer::new(&layouts::CHANNEL_LAYOUT_STEREO, Channel::One(1)).unwrap();
        let mut mono = vec![9.0];
        mixer.mix(&[vec![f32::NAN, 0.5], vec![0.25, -0.5]], &mut mono);
        assert_eq!(mono, [0.25, -0.5]);
    }

    #[test]
    fn a_channel_that_is_not_there_is_refused() {
        let error = Mixer::new(&layouts::CHANNEL_LAYOUT_STEREO, Channel::One(2)).unwrap_err();
        assert!(matches!(error, AudioError::NoSuchChannel { channel: 2, channels: 2 }));
    }
}
