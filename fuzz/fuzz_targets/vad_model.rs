//! The ONNX file of a voice activity model: it is that model, or it is refused with one line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_fit_to_show, bounded};
use speech_flow_speech_engine::vad::SileroVad;

fuzz_target!(|bytes: &[u8]| {
    // A whole model is larger than any input.
    let error = bounded(bytes.len(), 8, || SileroVad::from_bytes(bytes)).expect_err("a model of a few bytes");
    assert_fit_to_show(&error);
});
