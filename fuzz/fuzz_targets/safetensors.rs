//! The header of a safetensors file.

#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_fit_to_show, bounded};
use speech_flow_model_manager::validate::safetensors::{SafetensorsError, SafetensorsHeader, read_header};
use speech_flow_model_manager::validate::sniff::{is_json_message, sniff};

fuzz_target!(|bytes: &[u8]| {
    let len = bytes.len() as u64;
    let error = match read(bytes, len) {
        Ok(header) => return check(bytes, len, &header),
        Err(error) => error,
    };
    assert_fit_to_show(&error);
    // The data is never read, so a short input can stand for a large file: of the length that its header describes.
    if let SafetensorsError::Length { expected, .. } = error
        && let Ok(header) = read(bytes, expected)
    {
        check(bytes, expected, &header);
    }
});

fn read(bytes: &[u8], len: u64) -> Result<SafetensorsHeader, SafetensorsError> {
    bounded(bytes.len(), 48, || read_header(bytes, len))
}

fn check(bytes: &[u8], len: u64, header: &SafetensorsHeader) {
    let mut covered = 0;
    let mut names = HashSet::new();
    for tensor in &header.tensors {
        assert_eq!(tensor.data.0, covered, "a gap or an overlap");
        assert!(tensor.data.1 >= tensor.data.0);
        covered = tensor.data.1;
        assert!(names.insert(&tensor.name), "a name twice");
        if tensor.data.1 > tensor.data.0 {
            // An element has at least four bits.
            let elements = tensor.shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size));
            assert!(elements.is_some_and(|elements| elements / 2 <= tensor.data.1 - tensor.data.0));
        }
    }
    assert_eq!(header.data_bytes, covered);
    assert!(header.data_bytes < len, "more data than file");
    assert_eq!(header.main_type().is_some(), !header.tensors.is_empty());
    // One byte more or less is another file.
    for other in [len - 1, len + 1] {
        assert!(read_header(bytes, other).is_err(), "{other} bytes pass as {len}");
    }
    assert_eq!(sniff(bytes, len), None, "a model is taken for something else");
    assert!(!is_json_message(bytes, len), "a model is taken for a message");
}
