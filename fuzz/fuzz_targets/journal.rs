//! The journal of an unfinished download, as any bytes that may stand in its place.

#![no_main]

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_fit_to_show, bounded};
use speech_flow_model_cache::parse_journal;

fuzz_target!(|bytes: &[u8]| {
    let journal = match bounded(bytes.len(), 8, || parse_journal(bytes)) {
        Ok(journal) => journal,
        Err(error) => return assert_fit_to_show(&error),
    };
    let size = journal.header.size;
    assert!(journal.recorded.iter().all(|range| range.start < range.end && range.end <= size));
    assert_eq!(journal.recorded.len() + journal.recorded.missing(size).len(), size);
    // Cutting off the torn end, as the next writer does, changes nothing.
    let whole = usize::try_from(journal.valid_len).expect("no longer than the bytes");
    assert_eq!(parse_journal(&bytes[..whole]).as_ref(), Ok(&journal));
    // The same ranges written anew say the same.
    let mut anew = journal.header.encode().to_vec();
    journal.recorded.iter().for_each(|range| anew.extend(journal.header.encode_record(&range)));
    let again = parse_journal(&anew).expect("what was written");
    assert_eq!((again.header, again.recorded, again.valid_len), (journal.header, journal.recorded, anew.len() as u64));
});
