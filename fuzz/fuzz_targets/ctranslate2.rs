//! The header and table of a CTranslate2 model, `model.bin`.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_fit_to_show, bounded};
use speech_flow_model_manager::validate::ctranslate2::{Ct2Error, Ct2Model, read_model};
use speech_flow_model_manager::validate::sniff::{is_json_message, sniff};

fuzz_target!(|bytes: &[u8]| {
    match read(bytes, bytes.len() as u64) {
        Ok(model) => check(bytes, &model),
        Err(error) => assert_fit_to_show(&error),
    }
    // The length may not be the file's any more: it was cut while it was read.
    for len in [bytes.len() as u64 + 1, u64::MAX] {
        if let Err(error) = read(bytes, len) {
            assert_fit_to_show(&error);
        }
    }
});

fn read(bytes: &[u8], len: u64) -> Result<Ct2Model, Ct2Error> {
    bounded(bytes.len(), 64, || read_model(Cursor::new(bytes), len))
}

fn check(bytes: &[u8], model: &Ct2Model) {
    assert!((1..=6).contains(&model.binary_version));
    assert!(model.data_bytes < bytes.len() as u64);
    // A variable has a name, a rank, a type and a length; an alias two texts.
    let least = 12 * u64::from(model.variables) + 6 * u64::from(model.aliases);
    assert!(least.saturating_sub(4 * u64::from(model.variables)) <= bytes.len() as u64);
    assert!(!model.spec.contains('\0'));
    for cut in [bytes.len() - 1, bytes.len() / 2, 0] {
        assert!(read_model(Cursor::new(&bytes[..cut]), cut as u64).is_err(), "{cut} bytes pass as a whole model");
    }
    let longer = [bytes, &[0]].concat();
    assert!(read_model(Cursor::new(&longer), longer.len() as u64).is_err(), "bytes after the end pass");
    assert_eq!(sniff(bytes, bytes.len() as u64), None, "a model is taken for something else");
    assert!(!is_json_message(bytes, bytes.len() as u64), "a model is taken for a message");
}
