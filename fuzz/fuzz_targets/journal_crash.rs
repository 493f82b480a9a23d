//! The journal of a download that was killed: written, cut, filled with zeros or damaged in one byte.
//!
//! Random bytes never pass the checksums, so this target writes a journal first.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use speech_flow_model_cache::{JournalHeader, parse_journal};
use speech_flow_model_types::{Digest, RangeSet};

const HEADER_LEN: usize = 64;
const RECORD_LEN: usize = 20;

#[derive(Debug, Arbitrary)]
struct Crash {
    digest: [u8; 32],
    is_small_file: bool,
    size: u64,
    ranges: Vec<(u64, u64)>,
    /// How many bytes of the journal were written out.
    written: u16,
    /// How many zeros stand after them.
    zeros: u8,
    /// Which byte is another than the one that was written.
    damage: Option<(u16, u8)>,
}

fuzz_target!(|crash: Crash| {
    let size = crash.size.max(1);
    let digest = match crash.is_small_file {
        true => Digest::GitSha1(crash.digest[..20].try_into().expect("20 bytes")),
        false => Digest::Sha256(crash.digest),
    };
    let header = JournalHeader { digest, size };
    let ranges: Vec<_> = crash
        .ranges
        .iter()
        .map(|(start, len)| (start % size, *len))
        .map(|(start, len)| start..start.saturating_add(len.max(1)).min(size))
        .collect();
    let mut bytes = header.encode().to_vec();
    ranges.iter().for_each(|range| bytes.extend(header.encode_record(range)));
    bytes.truncate(usize::from(crash.written).max(HEADER_LEN));
    let whole = (bytes.len() - HEADER_LEN) / RECORD_LEN;
    if (bytes.len() - HEADER_LEN).is_multiple_of(RECORD_LEN) {
        bytes.extend(vec![0; usize::from(crash.zeros)]);
    }
    let truth: RangeSet = ranges[..whole].iter().cloned().collect();
    match crash.damage.filter(|(_, flip)| *flip != 0) {
        None => {
            let journal = parse_journal(&bytes).expect("what a crash leaves is no fault");
            assert_eq!((journal.header, journal.recorded), (header, truth));
        }
        Some((at, flip)) => {
            let at = usize::from(at) % bytes.len();
            bytes[at] ^= flip;
            if let Ok(journal) = parse_journal(&bytes) {
                assert_eq!(journal.header, header);
                assert!(journal.recorded.iter().all(|range| truth.contains(&range)), "a range that was never recorded");
            }
        }
    }
});
