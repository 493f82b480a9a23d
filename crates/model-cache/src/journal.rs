//! The journal of a partial: which bytes of `data` are safe on disk.
//!
//! ```text
//! header, 64 bytes   magic "SFLOWJNL" | version u32 | kind u32 (1 SHA-256, 2 git SHA-1) | size u64
//!                    | digest, padded with zeros to 32 | reserved u32 | CRC-32 of the 60 bytes before
//! record, 20 bytes   start u64 | end u64 | CRC-32 of the header's CRC and the 16 bytes before
//! ```
//!
//! All numbers are little-endian. A record is appended only after the bytes that it names were synced,
//! so whatever of the journal survives a crash is true. A torn end is what a crash leaves and is cut
//! off; anything else that does not add up means that the file is not what we wrote, and the download
//! starts over. The digest is the ETag as well: a file that changed on the hub has another journal.

use std::ops::Range;

use speech_flow_model_types::{Digest, RangeSet};

const MAGIC: &[u8; 8] = b"SFLOWJNL";
const VERSION: u32 = 1;

/// Length of the header in bytes.
pub(crate) const HEADER_LEN: usize = 64;
/// Length of a record in bytes.
pub(crate) const RECORD_LEN: usize = 20;

/// Longest journal that is read. A record stands for a segment, so a real one is far shorter.
pub(crate) const MAX_JOURNAL_LEN: u64 = 64 << 20;

/// What a journal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalHeader {
    /// Hash that the whole content must have.
    pub digest: Digest,
    /// Length of the whole content in bytes.
    pub size: u64,
}

/// What a journal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// What it is about.
    pub header: JournalHeader,
    /// The bytes that are safe.
    pub recorded: RangeSet,
    /// Length of the journal without its torn end.
    pub valid_len: u64,
}

/// The bytes are no journal that this version wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJournal {
    /// The header is short, of another version or damaged.
    #[error("the journal's header is damaged or of another version")]
    Header,
    /// A record before the last one is damaged or impossible.
    #[error("record {0} of the journal is damaged")]
    Record(usize),
}

impl JournalHeader {
    /// The header's bytes, with which a journal begins.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.size.to_le_bytes());
        let (kind, digest): (u32, &[u8]) = match &self.digest {
            Digest::Sha256(digest) => (1, digest),
            Digest::GitSha1(digest) => (2, digest),
        };
        bytes[12..16].copy_from_slice(&kind.to_le_bytes());
        bytes[24..24 + digest.len()].copy_from_slice(digest);
        let crc = crc32(&[&bytes[..60]]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// A record's bytes, to be appended to the journal of this header.
    pub fn encode_record(&self, range: &Range<u64>) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        bytes[..8].copy_from_slice(&range.start.to_le_bytes());
        bytes[8..16].copy_from_slice(&range.end.to_le_bytes());
        let crc = crc32(&[&self.encode()[60..], &bytes[..16]]);
        bytes[16..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let digest = match u32_at(bytes, 12) {
            1 => Digest::Sha256(bytes[24..56].try_into().ok()?),
            2 => Digest::GitSha1(bytes[24..44].try_into().ok()?),
            _ => return None,
        };
        let header = Self { digest, size: u64_at(bytes, 16) };
        // Encoding is canonical, so this compares magic, version, padding and CRC in one go.
        (header.encode() == *bytes).then_some(header)
    }
}

/// Reads a journal.
///
/// # Errors
/// [`InvalidJournal`] when the bytes are not a whole journal with at most a torn end.
pub fn parse_journal(bytes: &[u8]) -> Result<Journal, InvalidJournal> {
    let (header, records) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(InvalidJournal::Header)?;
    let header = JournalHeader::decode(header).ok_or(InvalidJournal::Header)?;
    let mut recorded = Vec::new();
    let mut valid = 0;
    for (number, record) in records.chunks(RECORD_LEN).enumerate() {
        match decode_record(&header, record) {
            Some(range) => recorded.push(range),
            None if is_torn_end(&records[valid..]) => break,
            None => return Err(InvalidJournal::Record(number)),
        }
        valid += RECORD_LEN;
    }
    Ok(Journal { header, recorded: recorded.into_iter().collect(), valid_len: (HEADER_LEN + valid) as u64 })
}

fn decode_record(header: &JournalHeader, record: &[u8]) -> Option<Range<u64>> {
    let record: &[u8; RECORD_LEN] = record.try_into().ok()?;
    let range = u64_at(record, 0)..u64_at(record, 8);
    let possible = range.start < range.end && range.end <= header.size;
    (possible && header.encode_record(&range) == *record).then_some(range)
}

/// What a crash can leave behind the last whole record: one that was not written out, or length without
/// content (zeros).
fn is_torn_end(rest: &[u8]) -> bool {
    rest.len() <= RECORD_LEN || rest.iter().all(|byte| *byte == 0)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// CRC-32 of IEEE 802.3 over the parts one after the other.
fn crc32(parts: &[&[u8]]) -> u32 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    !bytes.fold(u32::MAX, |crc, byte| CRC_TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ crc >> 8)
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ crc >> 1 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(header: &JournalHeader, ranges: &[Range<u64>]) -> Vec<u8> {
        let mut bytes = header.encode().to_vec();
        ranges.iter().for_each(|range| bytes.extend(header.encode_record(range)));
        bytes
    }

    fn header() -> impl Strategy<Value = JournalHeader> {
        let digest =
            prop_oneof![any::<[u8; 32]>().prop_map(Digest::Sha256), any::<[u8; 20]>().prop_map(Digest::GitSha1)];
        (digest, 1_u64..10_000).prop_map(|(digest, size)| JournalHeader { digest, size })
    }

    fn written() -> impl Strategy<Value = (JournalHeader, Vec<Range<u64>>)> {
        header().prop_flat_map(|header| {
            let range =
                (0..header.size, 1_u64..500).prop_map(move |(start, len)| start..(start + len).min(header.size));
            (Just(header), proptest::collection::vec(range, 0..12))
        })
    }

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(&[b"123456789"]), 0xcbf4_3926);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read((header, ranges) in written()) {
            let bytes = write(&header, &ranges);
            let journal = parse_journal(&bytes).expect("valid");
            prop_assert_eq!(journal.header, header);
            prop_assert_eq!(journal.valid_len, bytes.len() as u64);
            prop_assert_eq!(journal.recorded, ranges.into_iter().collect::<RangeSet>());
        }

        #[test]
        fn a_torn_journal_yields_its_whole_records((header, ranges) in written(), cut in 0_usize..400, zeros in 0_usize..70) {
            let mut bytes = write(&header, &ranges);
            bytes.truncate(cut.max(HEADER_LEN));
            let whole = (bytes.len() - HEADER_LEN) / RECORD_LEN;
            if (bytes.len() - HEADER_LEN).is_multiple_of(RECORD_LEN) {
                bytes.extend(vec![0; zeros]);
            }
            let journal = parse_journal(&bytes).expect("a torn end is no fault");
            prop_assert_eq!(journal.recorded, ranges[..whole].iter().cloned().collect::<RangeSet>());
        }

        #[test]
        fn damage_never_yields_a_range_that_was_not_recorded(
            (header, ranges) in written(), at in any::<prop::sample::Index>(), flip in 1_u8..,
        ) {
            let mut bytes = write(&header, &ranges);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(journal) = parse_journal(&bytes) {
                prop_assert_eq!(journal.header, header);
                let truth: RangeSet = ranges.into_iter().collect();
                prop_assert!(journal.recorded.iter().all(|range| truth.contains(&range)));
            }
        }

        #[test]
        fn records_of_another_file_are_refused((header, ranges) in written(), other in header()) {
            prop_assume!(header != other && ranges.len() > 1);
            let mut bytes = other.encode().to_vec();
            bytes.extend(&write(&header, &ranges)[HEADER_LEN..]);
            prop_assert_eq!(parse_journal(&bytes), Err(InvalidJournal::Record(0)));
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_journal(&bytes);
        }
    }
}
