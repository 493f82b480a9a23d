//! Models that are whole, and models that are not.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn fixture() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/tiny-whisper-ct2/model.bin");
    std::fs::read(path).expect("the fixture")
}

fn read(bytes: &[u8]) -> Result<Ct2Model, Ct2Error> {
    read_model(Cursor::new(bytes), bytes.len() as u64)
}

fn text(text: &str) -> Vec<u8> {
    let len = u16::try_from(text.len() + 1).expect("a short text");
    [&len.to_le_bytes()[..], text.as_bytes(), &[0]].concat()
}

/// A model of the given version with one variable `w` of two 16-bit numbers, and an alias where there are any.
fn small(version: u32) -> Vec<u8> {
    let number = |number: u32| number.to_le_bytes().to_vec();
    let mut bytes = number(version);
    if version >= 2 {
        bytes.extend([text("WhisperSpec"), number(3)].concat());
    }
    bytes.extend([number(1), text("w"), vec![1], number(2)].concat());
    // Type float16 and 4 bytes, or items of 2 bytes and 2 of them.
    bytes.extend(if version >= 4 { [vec![4], number(4)].concat() } else { [vec![2], number(2)].concat() });
    bytes.extend([1, 2, 3, 4]);
    if version >= 3 {
        bytes.extend([number(1), text("v"), text("w")].concat());
    }
    bytes
}

#[test]
fn an_error_shows_no_control_character_of_the_file() {
    let mut bytes = small(6);
    let name = bytes.windows(3).position(|bytes| bytes == b"\0w\0").expect("the variable") + 1;
    bytes[name] = 0x1b;
    for len in name + 2..bytes.len() {
        let error = read(&bytes[..len]).expect_err("truncated").to_string();
        assert!(!error.chars().any(char::is_control), "{error:?}");
    }
}

#[test]
fn reads_the_trained_model() {
    let model = read(&fixture()).expect("a model");
    assert_eq!(
        model,
        Ct2Model {
            binary_version: 6,
            spec: "WhisperSpec".to_owned(),
            spec_revision: 3,
            variables: 98,
            aliases: 1,
            data_bytes: model.data_bytes,
            main_type: DataType::Float16,
            n_mels: Some(80),
            vocabulary: Some(2289),
            width: Some(128),
            decoder_layers: 2,
            matrix_numbers: 1_407_104,
            other_numbers: 339_851,
            largest_numbers: 292_992,
        }
    );
}

#[test]
fn every_version_of_the_layout_is_read() {
    for version in 1..=6 {
        let model = read(&small(version)).expect("a model");
        assert_eq!((model.binary_version, model.variables, model.data_bytes), (version, 1, 4));
    }
    assert!(matches!(read(&small(7)), Err(Ct2Error::Version(7))));
    assert!(matches!(read(b"GGUF"), Err(Ct2Error::Version(_))));
}

#[test]
fn a_cut_is_found_wherever_it_is() {
    for version in 1..=6 {
        let whole = small(version);
        for len in 0..whole.len() {
            let result = read(&whole[..len]);
            assert!(matches!(result, Err(Ct2Error::Truncated { .. })), "version {version} at {len}: {result:?}");
        }
    }
    let whole = fixture();
    let error = read(&whole[..whole.len() / 2]).expect_err("truncated");
    assert!(error.to_string().starts_with("it is truncated: the data of \""), "{error}");
}

#[test]
fn bytes_after_the_end_are_found() {
    let mut bytes = fixture();
    let end = bytes.len() as u64;
    bytes.push(0);
    assert!(matches!(read(&bytes), Err(Ct2Error::TooLong { end: found, extra: 1 }) if found == end));
}

#[test]
fn fields_that_no_writer_puts_there_are_refused() {
    #[track_caller]
    fn check(change: impl Fn(&mut Vec<u8>), expected: &str) {
        let mut bytes = small(6);
        change(&mut bytes);
        let message = read(&bytes).expect_err("refused").to_string();
        assert!(message.contains(expected), "{message}");
    }
    // Offsets into `small(6)`: 4 + 14 + 4 bytes of head, then the number of variables at 22.
    check(|bytes| bytes[22..26].fill(0xff), "4294967295 variables, more than");
    check(|bytes| bytes[29] = 1, "is no text that ends with a zero byte");
    check(|bytes| bytes[28] = 0xff, "is not UTF-8 text");
    check(|bytes| bytes[30] = 200, "has rank 200");
    check(|bytes| bytes[31] = 9, "which are not float16 of shape [9]");
    check(|bytes| bytes[35] = 77, "unknown data type 77");
    check(|bytes| *bytes.last_mut().expect("bytes") = 1, "is no text that ends with a zero byte");
    check(
        |bytes| {
            let name = bytes.len() - 2;
            bytes[name] = b'x';
        },
        "alias of the unknown variable \"x\"",
    );
}

proptest! {
    #[test]
    fn no_mutation_panics(version in 1_u32..=6, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = small(version);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = read(&bytes);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }
}
