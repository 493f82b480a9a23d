//! Windows are parts of one spectrogram; the shortcuts for quiet frames change nothing.

use proptest::prelude::*;

use super::*;

/// All frames by the definition: no shortcut for the loudest bin or for quiet ones.
fn plain(mel: &LogMel, samples: Samples<'_>) -> Vec<f32> {
    let frames = frames_of(samples);
    let mut frame = mel.frame();
    let mut values = vec![0.0; mel.n_mels() * frames];
    for column in 0..frames {
        load(mel, samples, column, &mut frame);
        for (row, energy) in mel.energies(&mut frame).enumerate() {
            values[row * frames + column] = energy.max(LEAST_ENERGY).log10();
        }
    }
    let loudest = values.iter().copied().fold(f32::MIN, f32::max);
    values.iter().map(|value| (value.max(loudest - RANGE) + 4.0) / 4.0).collect()
}

/// Noise whose loudness changes from frame to frame, over many powers of ten.
fn clip() -> impl Strategy<Value = Vec<i16>> {
    let part = (0u32..16, proptest::collection::vec(any::<i16>(), 0..700));
    proptest::collection::vec(part, 0..6).prop_map(|parts| {
        parts.into_iter().flat_map(|(quieter, part)| part.into_iter().map(move |sample| sample >> quieter)).collect()
    })
}

#[test]
fn silence_is_the_least_value() {
    let mel = LogMel::new(80);
    for len in [0, 1, 159, 160, 16_000] {
        let samples = vec![0i16; len];
        let features = WhisperFeatures::new(&mel, &samples[..]);
        assert_eq!(features.frames(), len / HOP + 1);
        assert!(features.window(0, usize::MAX).iter().all(|&value| value == -1.5));
    }
}

#[test]
fn the_end_of_a_clip_is_where_the_frames_end() {
    let mel = LogMel::new(80);
    let samples = vec![1000i16; 1600];
    let features = WhisperFeatures::new(&mel, &samples[..]);
    assert_eq!(features.window(9, 5).len(), 80 * 2);
    assert_eq!(features.window(11, 5), [0.0; 0]);
    assert_eq!(features.padded_window(50, 5, WINDOW_FRAMES), vec![0.0; 80 * WINDOW_FRAMES]);
}

#[test]
fn padding_and_trimming_keep_the_rows() {
    let features = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    assert_eq!(pad_or_trim(&features, 2, 4), [1.0, 2.0, 3.0, 0.0, 4.0, 5.0, 6.0, 0.0]);
    assert_eq!(pad_or_trim(&features, 2, 2), [1.0, 2.0, 4.0, 5.0]);
    assert_eq!(pad_or_trim(&[], 0, 4), [0.0; 0]);
}

#[test]
fn mirrors_double_no_end() {
    let places: Vec<usize> = (0..9).map(|distance| mirrored(distance, 4)).collect();
    assert_eq!(places, [0, 1, 2, 3, 2, 1, 0, 1, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn shortcuts_change_nothing(samples in clip(), n_mels in prop_oneof![Just(80usize), Just(128)]) {
        let mel = LogMel::new(n_mels);
        let features = WhisperFeatures::new(&mel, &samples[..]);
        prop_assert_eq!(features.window(0, usize::MAX), plain(&mel, Samples::from(&samples[..])));
    }

    #[test]
    fn a_window_is_a_part_of_the_whole(
        samples in clip(),
        start in 0usize..30,
        frames in 0usize..30,
        width in prop::sample::select(vec![1, 20, WINDOW_FRAMES]),
    ) {
        let mel = LogMel::new(80);
        let features = WhisperFeatures::new(&mel, &samples[..]);
        let (whole, all) = (features.window(0, usize::MAX), features.frames());
        let window = features.window(start, frames);
        let kept = frames.min(all.saturating_sub(start));
        for row in 0..80 {
            let expected = if kept == 0 { &[] } else { &whole[row * all + start..][..kept] };
            prop_assert_eq!(&window[row * kept..][..kept], expected);
        }
        prop_assert_eq!(features.padded_window(start, frames, width), pad_or_trim(&window, 80, width));
    }

    #[test]
    fn floats_and_integers_sound_the_same(samples in clip()) {
        let mel = LogMel::new(80);
        let floats: Vec<f32> = samples.iter().map(|&sample| to_f32(sample)).collect();
        let (integers, floats) = (WhisperFeatures::new(&mel, &samples[..]), WhisperFeatures::new(&mel, &floats[..]));
        prop_assert_eq!(integers.window(0, usize::MAX), floats.window(0, usize::MAX));
    }
}
