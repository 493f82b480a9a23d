//! WAV files, written by the byte.

/// How samples are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    U8,
    S16,
    S24,
    S32,
    F32,
    F64,
    MuLaw,
    ALaw,
}

impl Format {
    /// Format tag and bytes per sample.
    fn tag_and_width(self) -> (u16, u16) {
        match self {
            Self::U8 => (1, 1),
            Self::S16 => (1, 2),
            Self::S24 => (1, 3),
            Self::S32 => (1, 4),
            Self::F32 => (3, 4),
            Self::F64 => (3, 8),
            Self::ALaw => (6, 1),
            Self::MuLaw => (7, 1),
        }
    }

    fn store(self, sample: i16, bytes: &mut Vec<u8>) {
        let wide = i32::from(sample);
        let float = f64::from(sample) / 32768.0;
        match self {
            Self::U8 => bytes.push(((wide + 32768) >> 8) as u8),
            Self::S16 => bytes.extend(sample.to_le_bytes()),
            Self::S24 => bytes.extend(&(wide << 8).to_le_bytes()[..3]),
            Self::S32 => bytes.extend((wide << 16).to_le_bytes()),
            Self::F32 => bytes.extend((float as f32).to_le_bytes()),
            Self::F64 => bytes.extend(float.to_le_bytes()),
            Self::MuLaw => bytes.push(mu_law(wide)),
            Self::ALaw => bytes.push(a_law(wide)),
        }
    }
}

/// Source: ITU-T G.711, with the bias of 33 at 14 bits.
fn mu_law(sample: i32) -> u8 {
    let magnitude = (sample.abs() + 132).min(32767);
    let exponent = (31 - (magnitude as u32).leading_zeros()) - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 15;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (exponent as u8) << 4 | mantissa as u8)
}

/// Source: ITU-T G.711.
fn a_law(sample: i32) -> u8 {
    let magnitude = if sample < 0 { -sample - 1 } else { sample };
    let exponent = (31 - (magnitude.max(1) as u32).leading_zeros()).saturating_sub(7);
    let mantissa = if exponent == 0 { magnitude >> 4 } else { magnitude >> (exponent + 3) } & 15;
    let sign = if sample < 0 { 0 } else { 0x80 };
    (sign | (exponent as u8) << 4 | mantissa as u8) ^ 0x55
}

/// A recording; all channels have the same length.
#[derive(Debug, Clone)]
pub(crate) struct Wav {
    pub(crate) rate: u32,
    pub(crate) channels: Vec<Vec<i16>>,
}

impl Wav {
    pub(crate) fn bytes(&self, format: Format) -> Vec<u8> {
        let ((tag, width), channels) = (format.tag_and_width(), self.channels.len() as u16);
        let mut samples = Vec::new();
        for frame in 0..self.channels.first().map_or(0, Vec::len) {
            self.channels.iter().for_each(|channel| format.store(channel[frame], &mut samples));
        }
        // All but plain PCM have a length of extra parameters behind the others.
        let extra: &[u8] = if tag == 1 { &[] } else { &[0, 0] };
        let mut bytes = b"RIFF".to_vec();
        bytes.extend((36 + extra.len() as u32 + samples.len() as u32).to_le_bytes());
        bytes.extend(b"WAVEfmt ");
        bytes.extend((16 + extra.len() as u32).to_le_bytes());
        bytes.extend(tag.to_le_bytes());
        bytes.extend(channels.to_le_bytes());
        bytes.extend(self.rate.to_le_bytes());
        bytes.extend(self.rate.wrapping_mul(u32::from(width * channels)).to_le_bytes());
        bytes.extend((width * channels).to_le_bytes());
        bytes.extend((width * 8).to_le_bytes());
        bytes.extend(extra);
        bytes.extend(b"data");
        bytes.extend((samples.len() as u32).to_le_bytes());
        bytes.extend(samples);
        bytes
    }
}
