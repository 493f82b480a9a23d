//! The last layers: from the encoder's hidden states to a number for each label.

use crate::error::Error;
use crate::lid::checkpoint::Checkpoint;
use crate::lid::config::LidConfig;

/// Mean over time, projector, classifier. The mean comes first here: the projector is linear, so it does not matter.
#[derive(Debug)]
pub(super) struct Head {
    projector: Linear,
    classifier: Linear,
}

/// `weights * input + bias`; a row of weights for each output.
#[derive(Debug)]
struct Linear {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Head {
    pub(super) fn read(config: &LidConfig, checkpoint: &Checkpoint) -> Result<Self, Error> {
        Ok(Self {
            projector: Linear::read(checkpoint, "projector", config.projected, config.hidden)?,
            classifier: Linear::read(checkpoint, "classifier", config.labels.len(), config.projected)?,
        })
    }

    /// The logits of hidden states `[frames, width]`.
    pub(super) fn logits(&self, hidden: &[f32], width: usize) -> Vec<f32> {
        let mut sums = vec![0.0_f64; width];
        let frames = hidden.chunks_exact(width);
        let count = frames.len().max(1) as f64;
        for frame in frames {
            for (sum, value) in sums.iter_mut().zip(frame) {
                *sum += f64::from(*value);
            }
        }
        let mean: Vec<f32> = sums.iter().map(|sum| (sum / count) as f32).collect();
        self.classifier.apply(&self.projector.apply(&mean))
    }
}

impl Linear {
    fn read(checkpoint: &Checkpoint, name: &str, outputs: usize, inputs: usize) -> Result<Self, Error> {
        let numbers = |part: &str, shape: &[usize]| {
            let tensor = checkpoint.tensor(&format!("{name}.{part}"), shape)?;
            tensor.numbers(0, tensor.count as usize).map_err(|error| checkpoint.unreadable(error))
        };
        Ok(Self { weights: numbers("weight", &[outputs, inputs])?, bias: numbers("bias", &[outputs])? })
    }

    fn apply(&self, input: &[f32]) -> Vec<f32> {
        let rows = self.weights.chunks_exact(input.len());
        rows.zip(&self.bias)
            .map(|(row, bias)| row.iter().zip(input).fold(*bias, |sum, (weight, value)| sum + weight * value))
            .collect()
    }
}
