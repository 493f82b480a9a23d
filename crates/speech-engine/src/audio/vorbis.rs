//! How much memory the codebooks of a Vorbis stream ask for.
//!
//! Twenty bytes of a setup header can describe a codebook of 16 MB, and there may be 256 of them. The decoder bounds
//! each, but not their sum, so that is done here, before it runs.
//!
//! Source: Vorbis I specification, 3.2.1 and 4.2.4, <https://xiph.org/vorbis/doc/Vorbis_I_spec.html>.

/// Values in all codebooks together, at most; encoders use some 100,000.
pub(crate) const MAX_VALUES: u64 = 4 << 20;

const SETUP: &[u8] = b"\x05vorbis";
const CODEBOOK: u64 = 0x56_4342;

/// Values in the codebooks of `headers`, which may hold other headers too.
pub(crate) fn codebook_values(headers: &[u8]) -> u64 {
    // A comment may look like a setup header, so all that do are counted.
    let starts = (0..headers.len()).filter(|&start| headers[start..].starts_with(SETUP));
    starts.take(64).map(|start| setup_values(&headers[start + SETUP.len()..])).max().unwrap_or(0)
}

fn setup_values(setup: &[u8]) -> u64 {
    let (mut bits, mut values) = (Bits { bytes: setup, position: 0 }, 0);
    let Some(count) = bits.read(8) else { return 0 };
    for _ in 0..=count {
        // Where this ends early, so does the decoder.
        if values > MAX_VALUES || skip_codebook(&mut bits, &mut values).is_none() {
            break;
        }
    }
    values
}

fn skip_codebook(bits: &mut Bits<'_>, values: &mut u64) -> Option<()> {
    if bits.read(24)? != CODEBOOK {
        return None;
    }
    let (dimensions, entries) = (bits.read(16)?, bits.read(24)?);
    *values += entries * dimensions.max(1);
    if *values > MAX_VALUES {
        return None;
    }
    if bits.read(1)? == 1 {
        skip_ordered_lengths(bits, entries)?;
    } else if bits.read(1)? == 1 {
        for _ in 0..entries {
            if bits.read(1)? == 1 {
                bits.skip(5)?;
            }
        }
    } else {
        bits.skip(5 * entries)?;
    }
    match bits.read(4)? {
        0 => Some(()),
        kind @ (1 | 2) => {
            bits.skip(64)?;
            let width = bits.read(4)? + 1;
            bits.skip(1)?;
            let count = if kind == 1 { root(entries, dimensions) } else { entries * dimensions };
            bits.skip(width * count)
        }
        _ => None,
    }
}

fn skip_ordered_lengths(bits: &mut Bits<'_>, entries: u64) -> Option<()> {
    bits.skip(5)?;
    let mut known = 0;
    while known < entries {
        let width = u64::BITS - (entries - known).leading_zeros();
        known += bits.read(width)?;
    }
    (known == entries).then_some(())
}

/// The greatest number whose power by `dimensions` is at most `entries`.
fn root(entries: u64, dimensions: u64) -> u64 {
    let exponent = u32::try_from(dimensions).unwrap_or(u32::MAX);
    let fits = |value: u64| value.checked_pow(exponent).is_some_and(|power| power <= entries);
    let mut value = (entries as f64).powf(1.0 / dimensions as f64) as u64;
    while value > 0 && !fits(value) {
        value -= 1;
    }
    while value < entries && fits(value + 1) {
        value += 1;
    }
    value
}

/// Bits, the least significant of a byte first.
struct Bits<'b> {
    bytes: &'b [u8],
    position: u64,
}

impl Bits<'_> {
    fn read(&mut self, width: u32) -> Option<u64> {
        let mut value = 0;
        for bit in 0..width {
            let byte = *self.bytes.get(usize::try_from(self.position / 8).ok()?)?;
            value |= u64::from(byte >> (self.position % 8) & 1) << bit;
            self.position += 1;
        }
        Some(value)
    }

    fn skip(&mut self, width: u64) -> Option<()> {
        self.position += width;
        (self.position <= self.bytes.len() as u64 * 8).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes values of a number of bits, the least significant first.
    fn packed(fields: &[(u64, u32)]) -> Vec<u8> {
        let bits: Vec<u8> =
            fields.iter().flat_map(|&(value, width)| (0..width).map(move |bit| (value >> bit & 1) as u8)).collect();
        bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |value, bit| value << 1 | bit)).collect()
    }

    /// `count` codebooks of 2^17 entries in 32 dimensions, each in a few bytes.
    fn bomb(count: u64) -> Vec<u8> {
        let mut fields = vec![(count - 1, 8)];
        for _ in 0..count {
            fields.extend([(CODEBOOK, 24), (32, 16), (1 << 17, 24), (1, 1), (16, 5), (1 << 17, 18)]);
            fields.extend([(1, 4), (0, 32), (0, 32), (0, 4), (0, 1), (0, 1)]);
        }
        [SETUP, &packed(&fields)].concat()
    }

    #[test]
    fn a_bomb_of_codebooks_is_seen() {
        assert_eq!(codebook_values(&bomb(1)), 1 << 22);
        assert!(codebook_values(&bomb(2)) > MAX_VALUES);
        assert!(bomb(256).len() < 8000);
        assert!(codebook_values(&bomb(256)) > MAX_VALUES);
        assert_eq!(codebook_values(b"\x01vorbis"), 0);
    }

    #[test]
    fn a_real_setup_header_is_read_to_its_end() {
        let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/audio/en07.ogg");
        let bytes = std::fs::read(clip).unwrap();
        let values = codebook_values(&bytes[..8192.min(bytes.len())]);
        assert!((1_000..MAX_VALUES / 10).contains(&values), "{values} values");
    }

    #[test]
    fn roots_are_exact() {
        for (entries, dimensions, expected) in [(0, 2, 0), (1, 32, 1), (80, 4, 2), (81, 4, 3), (625, 4, 5), (7, 1, 7)] {
            assert_eq!(root(entries, dimensions), expected);
        }
    }
}
