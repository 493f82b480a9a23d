use std::path::PathBuf;
use std::sync::OnceLock;

use fearless_simd::Level;
use proptest::prelude::*;

use super::*;
use crate::audio::{self, DecodeOptions};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

fn vad() -> SileroVad {
    static VAD: OnceLock<SileroVad> = OnceLock::new();
    VAD.get_or_init(|| SileroVad::load(&fixtures().join("silero-vad")).unwrap()).clone()
}

fn clip(name: &str) -> Vec<i16> {
    let path = fixtures().join("audio").join(name);
    audio::decode_file(&path, &DecodeOptions::default(), &Cancel::new()).unwrap().samples().to_vec()
}

/// Noise that any program can make again.
fn noise(samples: usize) -> Vec<i16> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i16 >> 2
    };
    (0..samples).map(|_| next()).collect()
}

/// The probabilities are those that ONNX Runtime 1.32 gave through faster-whisper 1.2.1.
#[track_caller]
fn check(samples: &[i16], expected: &[f32]) {
    let probabilities = vad().probabilities(samples, &Cancel::new()).unwrap();
    assert_eq!(probabilities.len(), expected.len());
    for (index, (probability, expected)) in probabilities.iter().zip(expected).enumerate() {
        assert!((probability - expected).abs() < 1e-5, "window {index}: {probability} instead of {expected}");
    }
}

#[test]
fn probabilities_of_speech_are_those_of_onnx_runtime() {
    check(
        &clip("en12.flac"),
        &[
            0.078630, 0.022461, 0.012788, 0.005886, 0.003851, 0.003000, 0.002356, 0.002325, 0.065138, 0.410495,
            0.596127, 0.877562, 0.908230, 0.889461, 0.878571, 0.917898, 0.944539, 0.953351, 0.961174, 0.956191,
            0.957320, 0.958023, 0.963300, 0.979163, 0.977021, 0.979766, 0.979490, 0.978019, 0.871591, 0.603322,
            0.051531, 0.427111, 0.708965, 0.946926, 0.969991, 0.974874, 0.973890, 0.970075, 0.961255, 0.599824,
            0.360155, 0.751373, 0.685339, 0.519156, 0.398744, 0.258458, 0.364898, 0.796603, 0.969261, 0.964287,
            0.976956, 0.972894, 0.981729, 0.986839, 0.988760, 0.988215, 0.987993, 0.986697, 0.983570, 0.986972,
            0.988865, 0.987304, 0.884995, 0.235326, 0.777068, 0.753267, 0.457059, 0.494764, 0.403982, 0.921894,
            0.979126, 0.983203, 0.985047, 0.983897, 0.979222, 0.972921, 0.971632, 0.977811, 0.982172, 0.984050,
            0.985563, 0.978397, 0.984523, 0.978225, 0.972769, 0.744873, 0.169990, 0.105278, 0.059720, 0.038443,
            0.028838, 0.023768, 0.022142, 0.020569, 0.019460, 0.017653, 0.016474, 0.015760, 0.015567,
        ],
    );
}

#[test]
fn the_last_window_holds_the_rest_and_always_ends_in_silence() {
    check(&[], &[0.0238286]);
    check(&noise(1), &[0.00986072]);
    // What is in the last 64 samples of the last window does not count.
    for samples in [448, 449, 511] {
        check(&noise(samples), &[0.0565962]);
    }
    check(&noise(512), &[0.0316542, 0.0439282]);
    check(&noise(513), &[0.0316542, 0.0437318]);
    check(&noise(1000), &[0.0316542, 0.0475898]);
}

#[test]
fn a_clip_of_more_than_one_block_keeps_its_state() {
    check(
        &noise(9000),
        &[
            0.0316542, 0.0306774, 0.0335638, 0.0199636, 0.0191424, 0.0167947, 0.01508, 0.0137317, 0.0139186,
            0.00762373, 0.0156288, 0.0157644, 0.0144574, 0.0255335, 0.0233577, 0.0165913, 0.0172766, 0.0176242,
        ],
    );
}

#[test]
fn spans_of_the_clips_are_those_of_faster_whisper() {
    // Another resampler may give a sample more or less at the end.
    let table = [
        ("en04.flac", 2304, 46578, 0),
        ("en05.wav", 0, 40036, 0),
        ("en09.44k-stereo.flac", 3840, 48376, 2),
        ("en12.flac", 0, 50333, 0),
        ("fr02.48k-f32.wav", 256, 53700, 2),
        ("lid-eng.flac", 0, 71757, 0),
        ("lid-jpn.flac", 0, 58605, 0),
    ];
    for (name, start, end, tolerance) in table {
        let samples = clip(name);
        let spans = vad().speech_timestamps(&samples, &VadOptions::default(), &Cancel::new()).unwrap();
        assert_eq!(spans.len(), 1, "{name}");
        assert_eq!(spans[0].start, start, "{name}");
        assert!(spans[0].end.abs_diff(end) <= tolerance, "{name}: {spans:?}");
    }
    let samples = clip("lid-jpn.flac");
    let options = VadOptions { max_speech_duration_s: 3.0, ..VadOptions::default() };
    let spans = vad().speech_timestamps(&samples, &options, &Cancel::new()).unwrap();
    assert_eq!(spans, [SpeechSpan { start: 0, end: 35072 }, SpeechSpan { start: 35072, end: 58605 }]);
}

#[test]
fn silence_and_noise_have_no_speech() {
    for samples in [vec![0; 80_000], noise(80_000)] {
        let spans = vad().speech_timestamps(&samples, &VadOptions::default(), &Cancel::new()).unwrap();
        assert_eq!(spans, []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn pieces_of_any_length_give_what_the_whole_clip_gives(
        samples in 0_usize..20_000,
        pieces in proptest::collection::vec(1_usize..9_000, 1..6),
    ) {
        let samples = noise(samples);
        let whole = vad().probabilities(&samples, &Cancel::new()).unwrap();
        prop_assert_eq!(whole.len(), samples.len() / WINDOW + 1);
        let mut stream = vad().stream();
        let mut probabilities = Vec::new();
        let mut rest = samples.iter().map(|sample| f32::from(*sample) / 32768.0).peekable();
        for piece in pieces.iter().cycle() {
            if rest.peek().is_none() {
                break;
            }
            stream.push(rest.by_ref().take(*piece), &mut probabilities);
        }
        stream.finish(&mut probabilities);
        prop_assert_eq!(probabilities, whole);
    }
}

#[test]
fn a_processor_without_wide_registers_gives_the_same() {
    let samples = clip("en12.flac");
    let samples = || samples.iter().map(|sample| f32::from(*sample) / 32768.0);
    let (mut wide, mut narrow) = (Vec::new(), Vec::new());
    for (level, probabilities) in [(Level::new(), &mut wide), (Level::baseline(), &mut narrow)] {
        let mut stream = VadStream::with_level(Arc::clone(&vad().weights), level);
        stream.push(samples(), probabilities);
        stream.finish(probabilities);
    }
    assert!(wide.iter().zip(&narrow).all(|(wide, narrow)| (wide - narrow).abs() < 1e-5), "{narrow:?}");
}

#[test]
fn a_canceled_token_stops_the_work() {
    let cancel = Cancel::new();
    cancel.cancel();
    assert!(matches!(vad().probabilities(&[0; 1000], &cancel), Err(Error::Canceled(_))));
}

#[test]
fn a_folder_without_the_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = SileroVad::load(folder.path()).unwrap_err();
    assert!(error.to_string().contains("silero_vad_v6.onnx"), "{error}");
}

/// The model with `what` in place of the first `name`, which has the same length.
fn changed(name: &[u8], what: &[u8]) -> String {
    assert_eq!(name.len(), what.len());
    let mut bytes = std::fs::read(fixtures().join("silero-vad").join(SileroVad::FILE)).unwrap();
    // The last place is the tensor's own name; places before are uses by the graph's nodes.
    let place = bytes.windows(name.len()).rposition(|window| window == name).unwrap();
    bytes[place..place + what.len()].copy_from_slice(what);
    let error = SileroVad::from_bytes(&bytes).unwrap_err();
    std::error::Error::source(&error).unwrap().to_string()
}

#[test]
fn models_of_another_shape_are_refused_with_the_reason() {
    assert_eq!(
        changed(b"encoder.conv_layers.3.bias", b"encoder.conv_layers.4.bias"),
        "the graph has a tensor `encoder.conv_layers.4.bias` of shape [128], which the model does not have"
    );
    assert_eq!(
        changed(b"encoder.conv_layers.2.bias", b"encoder.conv_layers.1.bias"),
        "the graph has the tensor `encoder.conv_layers.1.bias` twice"
    );
    // Sizes are numbers of field 1, so each has the key 8 before it.
    assert_eq!(
        changed(&[8, 64, 8, 64, 8, 3], &[8, 64, 8, 3, 8, 64]),
        "tensor `encoder.conv_layers.2.weight` has the shape [64, 3, 64] instead of [64, 64, 3]"
    );
    assert_eq!(
        changed(&[8, 64, 8, 64, 8, 3], &[8, 64, 8, 64, 8, 4]),
        "tensor `encoder.conv_layers.2.weight` has 49152 bytes, which its shape [64, 64, 4] does not fit"
    );
    for bytes in [&b""[..], b"not a model", &[0x3a, 0]] {
        assert!(SileroVad::from_bytes(bytes).is_err(), "{bytes:?}");
    }
}
