//! The input of Wav2Vec2: samples with zero mean and unit variance.

/// Added to the variance, so that silence stays silence.
const EPSILON: f32 = 1e-7;

/// Brings `samples` to zero mean and unit variance, in place.
///
/// Sums are in f64, so that a long clip does not lose the digits of its mean; single steps are in f32, as there.
///
/// Source: `zero_mean_unit_var_norm` of `Wav2Vec2FeatureExtractor` in transformers.
pub fn wav2vec2_normalize(samples: &mut [f32]) {
    if samples.is_empty() {
        return;
    }
    let count = samples.len() as f64;
    let mean = (samples.iter().map(|&sample| f64::from(sample)).sum::<f64>() / count) as f32;
    let squares: f64 = samples.iter().map(|&sample| f64::from((sample - mean) * (sample - mean))).sum();
    let deviation = ((squares / count) as f32 + EPSILON).sqrt();
    for sample in samples {
        *sample = (*sample - mean) / deviation;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_is_zero_and_variance_one() {
        let mut samples: Vec<f32> = (0..16_000).map(|index| 0.3 + 0.01 * ((index * 7919) % 101) as f32).collect();
        wav2vec2_normalize(&mut samples);
        let count = samples.len() as f64;
        let mean = samples.iter().map(|&sample| f64::from(sample)).sum::<f64>() / count;
        let variance = samples.iter().map(|&sample| (f64::from(sample) - mean).powi(2)).sum::<f64>() / count;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-3, "mean {mean}, variance {variance}");
    }

    #[test]
    fn silence_stays_silence() {
        let mut samples = vec![0.25; 100];
        wav2vec2_normalize(&mut samples);
        assert_eq!(samples, vec![0.0; 100]);
        wav2vec2_normalize(&mut []);
    }
}
