//! `model.bin` as it is read to be prepared: its headers are sound or refused with one line, and what is made of a
//! sound one is a model of its own, as large as it says.

#![no_main]

use std::fs;
use std::io::Cursor;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_fit_to_show, assert_one_line, bounded, folder_in_memory};
use speech_flow_speech_engine::ctranslate2::ComputeType;
use speech_flow_speech_engine::prepared::{Contents, PrepareError, inspect, prepare};

/// Numbers are converted by way of buffers of some megabytes, however large the model is.
const BUFFERS: usize = 4 << 20;

fuzz_target!(|bytes: &[u8]| {
    // The length may not be the file's any more: it was cut while it was read.
    for length in [bytes.len() as u64 + 1, u64::MAX] {
        if let Err(error) = read(bytes, length) {
            assert_fit_to_show(&error);
        }
    }
    match read(bytes, bytes.len() as u64) {
        Ok(contents) => check(bytes, &contents),
        Err(error) => assert_fit_to_show(&error),
    }
});

fn read(bytes: &[u8], length: u64) -> Result<Contents, PrepareError> {
    bounded(bytes.len(), 64, || inspect(Path::new("model.bin"), Cursor::new(bytes), length))
}

fn check(bytes: &[u8], contents: &Contents) {
    assert_one_line(&contents.specification);
    assert!(contents.variables <= bytes.len());
    let folder = folder_in_memory();
    fs::write(folder.path().join("model.bin"), bytes).expect("a file");
    let out = folder.path().join("prepared");
    for compute_type in [ComputeType::Float32, ComputeType::Int8Float32] {
        match bounded(bytes.len() + BUFFERS, 1, || prepare(folder.path(), &out, compute_type)) {
            Ok(prepared) => {
                prepared.verify().expect("the bytes that were written");
                let file = fs::File::open(out.join("model.bin")).expect("the prepared weights");
                let made = inspect(Path::new("model.bin"), file, prepared.bytes).expect("a sound file");
                assert_eq!(made.specification, contents.specification);
            }
            Err(error) => assert_fit_to_show(&error),
        }
    }
}
