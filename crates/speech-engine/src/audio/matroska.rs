//! What a Matroska or WebM file says about its own length.
//!
//! The demuxer refuses a file whose outermost element claims more bytes than there are, if it knows how many there
//! are, and calls the end of a whole file an error, if it does not. So the claim is read first.
//!
//! Source: RFC 8794 (EBML), 4 and 5; RFC 9559 (Matroska), 5.1.

/// Bytes from the start of a file in which both headers are found.
pub(crate) const HEAD_BYTES: usize = 512;

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;

/// What the outermost element claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Not Matroska, or a file that is as long as it says.
    Whole,
    /// More than there is: the file was cut.
    More,
    /// Nothing: recorded live, it ends where the bytes end.
    Open,
}

impl Claim {
    /// The claim of a file of `len` bytes that begins with `head`.
    pub(crate) fn read(head: &[u8], len: u64) -> Self {
        match segment_end(head) {
            Some(Some(end)) if end > len => Self::More,
            Some(None) => Self::Open,
            _ => Self::Whole,
        }
    }
}

/// Where the segment ends (`None` inside if it does not say); `None` for another format.
fn segment_end(head: &[u8]) -> Option<Option<u64>> {
    let (header_size, at) = element(head, 0, EBML)?;
    let start = at.checked_add(usize::try_from(header_size?).ok()?)?;
    let (size, at) = element(head, start, SEGMENT)?;
    match size {
        Some(size) => Some(Some((at as u64).checked_add(size)?)),
        None => Some(None),
    }
}

/// The size of the element `id` at `at` (`None` if it is "unknown"), and where its content starts.
fn element(head: &[u8], at: usize, id: u32) -> Option<(Option<u64>, usize)> {
    let rest = head.get(at..)?.strip_prefix(&id.to_be_bytes())?;
    let first = *rest.first()?;
    let width = first.leading_zeros() as usize + 1;
    let bytes = rest.get(..width)?;
    let marked = bytes.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    let all = 1u64.checked_shl(7 * width as u32)? - 1;
    let size = marked & all;
    Some(((size != all).then_some(size), at + 4 + width))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = &[0x1a, 0x45, 0xdf, 0xa3, 0x82, 1, 2, 0x18, 0x53, 0x80, 0x67, 0x41, 0x00];

    #[test]
    fn a_claim_beyond_the_end_is_seen() {
        assert_eq!(segment_end(HEAD), Some(Some(13 + 256)));
        assert_eq!(Claim::read(HEAD, 268), Claim::More);
        assert_eq!(Claim::read(HEAD, 269), Claim::Whole);
    }

    #[test]
    fn a_live_stream_claims_nothing() {
        for unknown in [&[0xff][..], &[0x7f, 0xff], &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(Claim::read(&[&HEAD[..11], unknown].concat(), 100), Claim::Open);
        }
    }

    #[test]
    fn other_bytes_claim_nothing() {
        for cut in 0..HEAD.len() {
            assert_eq!(Claim::read(&HEAD[..cut], 0), Claim::Whole);
        }
        assert_eq!(segment_end(b"RIFF0000WAVEfmt "), None);
        assert_eq!(segment_end(&[0x1a, 0x45, 0xdf, 0xa3, 0, 0]), None);
    }
}
