//! The resampler keeps time, level and chunking apart.

use proptest::prelude::*;

use super::*;

fn resample(input: &[f32], rate: u32, chunk: usize) -> Vec<i16> {
    let mut resampler = Resampler::new(rate);
    let mut output = Vec::new();
    for part in input.chunks(chunk.max(1)) {
        resampler.push(part, &mut output);
    }
    resampler.finish(&mut output);
    output
}

fn sine(frequency: f64, rate: u32, seconds: f64) -> Vec<f32> {
    let count = (f64::from(rate) * seconds) as usize;
    (0..count)
        .map(|index| (0.5 * (std::f64::consts::TAU * frequency * index as f64 / f64::from(rate)).sin()) as f32)
        .collect()
}

#[test]
fn the_rate_of_the_models_passes_bit_for_bit() {
    let input: Vec<f32> = (-32768..=32767).map(|value| value as f32 / 32768.0).collect();
    let expected: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    assert_eq!(resample(&input, 16_000, 1000), expected);
}

#[test]
fn a_tone_keeps_its_phase_and_level() {
    for rate in [8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 44_101] {
        let output = resample(&sine(1000.0, rate, 0.5), rate, 997);
        let expected = sine(1000.0, SAMPLE_RATE, 0.5);
        assert_eq!(output.len(), expected.len(), "at {rate} Hz");
        // The edges are mirrored, which is not how a sine goes on.
        for index in 100..expected.len() - 100 {
            let difference = f32::from(output[index]) - expected[index] * 32768.0;
            assert!(difference.abs() < 24.0, "{difference} at sample {index} from {rate} Hz");
        }
    }
}

#[test]
fn what_cannot_be_heard_at_16_khz_is_taken_out() {
    let output = resample(&sine(12_000.0, 48_000, 0.2), 48_000, 480);
    let loudest = output[100..output.len() - 100].iter().map(|sample| sample.abs()).max();
    assert!(loudest < Some(4), "{loudest:?}");
}

#[test]
fn the_filter_bank_of_the_highest_rate_is_small() {
    for rate in [2_000, 2_001, 383_999, 384_000] {
        let bank = Bank::new(rate);
        assert!(bank.filters.len() * size_of::<f32>() < 8 << 20, "{} floats at {rate} Hz", bank.filters.len());
    }
}

proptest! {
    // Few cases: a filter bank for an odd rate takes longer to make than to use.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn duration_is_kept_to_a_sample(len in 0usize..3000, rate in 2_000u32..100_000, chunk in 1usize..4000) {
        let output = resample(&vec![0.25; len], rate, chunk);
        prop_assert_eq!(output.len() as u64, output_len(len as u64, rate));
        prop_assert!(output.iter().all(|&sample| (sample - 8192).abs() <= 1), "a constant stays a constant");
    }

    #[test]
    fn chunks_do_not_matter(
        input in proptest::collection::vec(-1.0f32..1.0, 0..2000),
        rate in prop_oneof![Just(8_000u32), Just(44_100), Just(48_000), 2_000u32..100_000],
        chunk in 1usize..700,
    ) {
        prop_assert_eq!(resample(&input, rate, chunk), resample(&input, rate, usize::MAX));
    }
}
