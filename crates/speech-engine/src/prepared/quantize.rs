//! Number formats as CTranslate2 converts them when it loads a model.
//!
//! Source: `quantize_s8_row` in `src/cpu/kernels.cc` and `Model::ensure_dtype` in `src/models/model.cc` of CTranslate2
//! 4.8.4. Every step is one rounding of 32-bit arithmetic, so the results are the same bits on every machine.

use super::format::DataType;

/// Decodes little-endian numbers of a float type into 32-bit floats, which hold each of them exactly.
pub(super) fn to_f32(bytes: &[u8], data_type: DataType, into: &mut Vec<f32>) {
    into.clear();
    let halves = || bytes.as_chunks::<2>().0.iter().map(|half| u16::from_le_bytes(*half));
    match data_type {
        DataType::Float16 => into.extend(halves().map(half_to_f32)),
        DataType::Bfloat16 => into.extend(halves().map(|half| f32::from_bits(u32::from(half) << 16))),
        _ => into.extend(bytes.as_chunks::<4>().0.iter().map(|single| f32::from_le_bytes(*single))),
    }
}

/// The value of an IEEE 754 half, without a branch for the common ones.
fn half_to_f32(half: u16) -> f32 {
    let (sign, rest) = (u32::from(half & 0x8000) << 16, u32::from(half & 0x7fff));
    // Exponent and fraction at the places of a single, whose bias is greater by 112: the product with 2^112 puts it
    // right, and turns the halves below 2^-14 into normal singles.
    let magnitude = f32::from_bits(rest << 13) * f32::from_bits((127 + 112) << 23);
    let infinite = if rest >= 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(sign | infinite | magnitude.to_bits())
}

/// Quantizes one row into `into` and gives its scale: 127 by the greatest magnitude, or 1 for zeros.
/// `None` where the row has no finite scale.
pub(super) fn row_to_int8(row: &[f32], into: &mut Vec<u8>) -> Option<f32> {
    if !row.iter().all(|value| value.is_finite()) {
        return None;
    }
    let greatest = row.iter().fold(0.0_f32, |greatest, value| greatest.max(value.abs()));
    let scale = if greatest == 0.0 { 1.0 } else { 127.0 / greatest };
    if !scale.is_finite() {
        return None;
    }
    // Adding and taking away 1.5 * 2^23 leaves no bits for a fraction: it rounds to the nearest integer, ties to even.
    const ROUND: f32 = 12_582_912.0;
    into.extend(row.iter().map(|value| ((value * scale + ROUND) - ROUND) as i8 as u8));
    Some(scale)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The value by the definition of the format.
    fn by_definition(half: u16) -> f32 {
        let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
        let (exponent, fraction) = (i32::from(half >> 10 & 31), f32::from(half & 0x3ff));
        match exponent {
            0 => sign * fraction * 2.0_f32.powi(-24),
            31 if fraction == 0.0 => sign * f32::INFINITY,
            31 => f32::NAN,
            _ => sign * (1024.0 + fraction) * 2.0_f32.powi(exponent - 25),
        }
    }

    #[test]
    fn every_half_has_its_value() {
        for half in 0..=u16::MAX {
            let (found, expected) = (half_to_f32(half), by_definition(half));
            assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(), "{half:#x}: {found}");
        }
    }

    #[test]
    fn brain_floats_are_the_upper_half_of_singles() {
        let mut values = Vec::new();
        to_f32(&[0x80, 0x3f, 0x20, 0xc1], DataType::Bfloat16, &mut values);
        assert_eq!(values, [1.0, -10.0]);
    }

    #[track_caller]
    fn quantized(row: &[f32], expected: &[i8], expected_scale: f32) {
        let mut bytes = Vec::new();
        assert_eq!(row_to_int8(row, &mut bytes), Some(expected_scale));
        assert_eq!(bytes.iter().map(|byte| *byte as i8).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_greatest_magnitude_becomes_127_and_ties_go_to_even() {
        quantized(&[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -127.0], &[127, 0, 2, 2, 0, -2, -127], 1.0);
        quantized(&[-2.0, 1.0, 0.0], &[-127, 64, 0], 63.5);
        quantized(&[0.0, -0.0], &[0, 0], 1.0);
    }

    #[test]
    fn rows_without_a_finite_scale_are_refused() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(1)] {
            assert_eq!(row_to_int8(&[1e-40, value], &mut Vec::new()), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn rounding_is_that_of_the_standard_library(row in prop::collection::vec(-1e3_f32..1e3, 1..50)) {
            let mut bytes = Vec::new();
            let scale = row_to_int8(&row, &mut bytes).unwrap();
            for (value, byte) in row.iter().zip(bytes) {
                prop_assert_eq!(byte as i8, (value * scale).round_ties_even() as i8);
            }
        }
    }
}
