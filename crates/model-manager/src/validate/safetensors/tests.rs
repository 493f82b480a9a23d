//! Files that are whole, and files that are not.

use proptest::prelude::*;

use super::*;

/// A file with this header and as many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(std::iter::repeat_n(0, data));
    bytes
}

fn read(bytes: &[u8]) -> Result<SafetensorsHeader, SafetensorsError> {
    read_header(bytes, bytes.len() as u64)
}

const TWO: &str = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[3],"data_offsets":[8,14]},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}  "#;

#[test]
fn reads_the_trained_models() {
    for (model, dtype) in [("tiny-lid", "F32"), ("tiny-whisper", "F16")] {
        let path = format!("{}/../../fixtures/{model}/model.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).expect("the fixture");
        let header = read(&bytes).expect("a header");
        assert_eq!(header.main_type(), Some(dtype), "{model}");
        assert!(header.tensors.len() > 50, "{model}");
    }
}

#[test]
fn tensors_come_in_the_order_of_their_data() {
    let header = read(&file(TWO, 14)).expect("a header");
    let names: Vec<&str> = header.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!((names, header.data_bytes), (vec!["a", "b"], 14));
    assert_eq!(header.tensor("b").map(|tensor| tensor.shape.clone()), Some(vec![3]));
}

#[test]
fn a_wrong_length_is_found_to_the_byte() {
    let error = read(&file(TWO, 13)).expect_err("short").to_string();
    assert!(error.ends_with(": it is truncated"), "{error}");
    assert!(matches!(read(&file(TWO, 15)), Err(SafetensorsError::Length { expected, len }) if len == expected + 1));
    let whole = file(TWO, 14);
    for len in 0..whole.len() {
        assert!(read(&whole[..len]).is_err(), "accepted {len} bytes");
    }
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    #[track_caller]
    fn check(header: &str, data: usize, expected: &str) {
        let message = read(&file(header, data)).expect_err("refused").to_string();
        assert!(message.contains(expected), "{message}");
    }
    check("[]", 0, "it does not begin with `{`");
    check("{\"a\":1}", 0, "invalid type");
    check(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}"#, 8, "which are not F32 of shape [1]");
    check(r#"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#, 4, "unknown type \"F99\"");
    check(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4, "ends before it begins");
    check(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8, "begins at byte 4 of the data, not at 0");
    check(
        r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
        6,
        "begins at byte 2 of the data, not at 4",
    );
    check(
        r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
        2,
        "stands in the header twice",
    );
    check(
        r#"{"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#,
        8,
        "which are not F64 of shape",
    );
    check(
        r#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,18446744073709551615]}}"#,
        0,
        "which are not U8 of shape [0]",
    );
    check(&format!("{{\"a\":{}1", "[".repeat(10_000)), 0, "malformed");
}

#[test]
fn the_length_of_the_header_is_bounded_before_it_is_read() {
    for claimed in [0, 1, 100, MAX_HEADER + 1, u64::MAX] {
        let mut bytes = claimed.to_le_bytes().to_vec();
        bytes.extend(b"{}  ");
        assert!(matches!(read(&bytes), Err(SafetensorsError::HeaderLength { header, .. }) if header == claimed));
    }
}

#[test]
fn an_index_lists_each_shards_tensors() {
    let index = br#"{"metadata":{"total_size":1},"weight_map":{"a":"s1","b":"s2","c":"s1"}}"#;
    let shards = check_index(index).expect("an index");
    assert_eq!(shards["s1"], ["a", "c"]);
    for text in ["", "{}", "[]", r#"[{"a":"s1"}]"#, r#"{"weight_map":{}}"#, r#"{"weight_map":{"a":1}}"#] {
        assert!(check_index(text.as_bytes()).is_err(), "accepted {text}");
    }
}

proptest! {
    #[test]
    fn no_mutation_panics(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = file(TWO, 14);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = read(&bytes);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        let _ = check_index(&bytes);
    }
}
