//! Language identification against transformers, and every way in which a folder may hold the same weights.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is the failure of the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use speech_flow_ctranslate2::{ComputeType, Library, ModelConfig};
use speech_flow_speech_engine::audio::{Audio, DecodeOptions, decode_file};
use speech_flow_speech_engine::cancel::Cancel;
use speech_flow_speech_engine::error::Error;
use speech_flow_speech_engine::language::{UNDETERMINED, WhisperLanguage};
use speech_flow_speech_engine::lid::{IdentifyOptions, LidModel};
use speech_flow_speech_engine::vad::SileroVad;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn engine() -> Arc<Library> {
    Library::open(None).unwrap_or_else(|error| panic!("{error}; hint: {}", error.hint().unwrap_or_default()))
}

fn load(folder: &Path) -> Result<LidModel, Error> {
    let config = ModelConfig { compute_type: ComputeType::Float32, ..ModelConfig::default() };
    LidModel::load(folder, &engine(), &config)
}

fn model() -> &'static LidModel {
    static MODEL: OnceLock<LidModel> = OnceLock::new();
    MODEL.get_or_init(|| load(&fixture("tiny-lid")).unwrap())
}

fn vad() -> SileroVad {
    SileroVad::load(&fixture("silero-vad")).unwrap()
}

fn clip(name: &str) -> Audio {
    decode_file(&fixture("audio").join(name), &DecodeOptions::default(), &Cancel::new()).unwrap()
}

fn logits(model: &LidModel, audio: &Audio) -> Vec<f32> {
    model.logits(audio.samples_f32(0..audio.samples().len())).unwrap()
}

fn difference(first: &[f32], second: &[f32]) -> f32 {
    assert_eq!(first.len(), second.len());
    first.iter().zip(second).map(|(first, second)| (first - second).abs()).fold(0.0, f32::max)
}

/// Logits that transformers 5.24 with torch gave in float32, of clips that decode alike everywhere.
const LOGITS: [(&str, [f32; 16]); 5] = [
    (
        "en04.flac",
        [
            5.7639, 3.354589, -2.925582, -2.052721, -3.318604, -2.123084, 0.205304, 3.247949, -1.025431, -0.040574,
            -6.664351, -1.896757, 0.375456, -2.40232, 0.574275, 3.718296,
        ],
    ),
    (
        "en05.wav",
        [
            2.786299, -0.79874, -5.51184, -4.133411, -0.981581, 1.145109, -1.05482, 3.476708, -0.567378, 4.544199,
            -3.214123, 1.459885, 0.182043, -0.645623, 1.22351, 1.143301,
        ],
    ),
    (
        "en12.flac",
        [
            3.219491, 0.992982, -2.843488, -3.023909, -1.049654, 1.870672, 3.147201, 1.761109, -1.255617, -2.059937,
            -6.540292, -3.669066, 1.286453, 1.169582, -2.453078, -2.594697,
        ],
    ),
    (
        "lid-eng.flac",
        [
            5.742846, -0.741466, 2.173019, -1.998196, -4.990174, 0.830463, -0.182351, -2.496091, 0.800831, 1.161919,
            -5.281348, -1.393718, -3.994966, -0.806266, 0.707603, 0.90868,
        ],
    ),
    (
        "lid-jpn.flac",
        [
            -4.33486, -0.635215, -0.010802, -1.983909, 0.893921, -2.203029, 1.633677, -0.700226, 0.296424, 2.820156,
            7.926179, 4.447888, 4.267752, 0.757824, 0.995703, -4.638241,
        ],
    ),
];

#[test]
fn logits_are_those_of_transformers() {
    for (name, expected) in LOGITS {
        let difference = difference(&logits(model(), &clip(name)), &expected);
        assert!(difference < 1e-4, "{name}: {difference}");
    }
}

#[test]
fn plain_mode_answers_what_transformers_answers() {
    let options = IdentifyOptions { plain: true, top_k: 3, ..IdentifyOptions::default() };
    for (name, language, whisper) in
        [("lid-eng.flac", "eng", "en"), ("lid-jpn.flac", "jpn", "ja"), ("en05.wav", "yue", "yue")]
    {
        let audio = clip(name);
        let found = model().identify(audio.samples(), &options, None, &Cancel::new()).unwrap();
        assert_eq!(found.language, language, "{name}");
        assert_eq!(found.whisper_language.known().map(|language| language.code()), Some(whisper), "{name}");
        assert_eq!((found.top.len(), found.windows), (3, 1));
        assert_eq!((&found.top[0].language, found.top[0].probability), (&found.language, found.probability));
        assert!(found.top.is_sorted_by(|first, second| first.probability >= second.probability));
    }
}

#[test]
fn only_the_first_thirty_seconds_are_heard_in_plain_mode() {
    let options = IdentifyOptions { plain: true, ..IdentifyOptions::default() };
    let long: Vec<i16> = clip("lid-eng.flac").samples().iter().cycle().take(40 * 16_000).copied().collect();
    let hear = |samples| model().identify(samples, &options, None, &Cancel::new()).unwrap();
    let found = hear(&long);
    assert_eq!(found.speech_seconds, 30.0);
    assert_eq!(found, hear(&long[..30 * 16_000]));
}

#[test]
fn speech_is_found_after_a_silence_that_the_plain_mode_does_not_outlast() {
    let clip = clip("lid-jpn.flac");
    let samples = [&[0; 31 * 16_000], clip.samples()].concat();
    let vad = vad();
    let options = IdentifyOptions::default();
    let found = model().identify(&samples, &options, Some(&vad), &Cancel::new()).unwrap();
    assert_eq!(found.language, "jpn");
    assert!((3.0..4.2).contains(&found.speech_seconds), "{found:?}");
    let plain = IdentifyOptions { plain: true, ..options };
    assert_ne!(model().identify(&samples, &plain, Some(&vad), &Cancel::new()).unwrap().language, "jpn");
}

#[test]
fn a_long_clip_is_heard_in_three_windows() {
    let clip = clip("lid-jpn.flac");
    let samples: Vec<i16> = clip.samples().iter().cycle().take(40 * 16_000).copied().collect();
    let found = model().identify(&samples, &IdentifyOptions::default(), Some(&vad()), &Cancel::new()).unwrap();
    assert_eq!((found.language.as_str(), found.windows), ("jpn", 3));
}

#[test]
fn silence_noise_and_next_to_nothing_are_undetermined() {
    let mut state = 1_u32;
    let noise: Vec<i16> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i16 >> 2
    })
    .take(80_000)
    .collect();
    let speech = clip("lid-eng.flac");
    for samples in [&[][..], &[0; 80_000], &noise, &speech.samples()[8_000..12_000]] {
        let found = model().identify(samples, &IdentifyOptions::default(), Some(&vad()), &Cancel::new()).unwrap();
        assert_eq!((found.language.as_str(), found.windows), (UNDETERMINED, 0), "{} samples", samples.len());
        assert_eq!(found.whisper_language, WhisperLanguage::UnknownLabel);
    }
    let plain = IdentifyOptions { plain: true, ..IdentifyOptions::default() };
    let found = model().identify(&[0; 399], &plain, None, &Cancel::new()).unwrap();
    assert_eq!(found.language, UNDETERMINED);
}

#[test]
fn an_unlikely_language_is_undetermined_but_listed() {
    let options = IdentifyOptions { min_probability: 0.999, ..IdentifyOptions::default() };
    let audio = clip("lid-eng.flac");
    let found = model().identify(audio.samples(), &options, Some(&vad()), &Cancel::new()).unwrap();
    assert_eq!((found.language.as_str(), found.top[0].language.as_str()), (UNDETERMINED, "eng"));
    assert!(found.probability > 0.5);
}

#[test]
fn a_canceled_token_and_options_without_a_meaning_end_the_work() {
    let cancel = Cancel::new();
    cancel.cancel();
    let hear = |options: &IdentifyOptions, cancel: &Cancel| model().identify(&[0; 8_000], options, None, cancel);
    assert!(matches!(hear(&IdentifyOptions::default(), &cancel), Err(Error::Canceled(_))));
    let default = IdentifyOptions::default;
    for options in [
        IdentifyOptions { windows: 0, ..default() },
        IdentifyOptions { window_s: 31.0, ..default() },
        IdentifyOptions { window_s: f64::NAN, ..default() },
        IdentifyOptions { top_k: 0, ..default() },
        IdentifyOptions { min_probability: 1.5, ..default() },
        IdentifyOptions { min_speech_s: -1.0, ..default() },
    ] {
        assert!(matches!(hear(&options, &Cancel::new()), Err(Error::Option { .. })), "{options:?}");
    }
}

/// The tensors of the tiny model: name, shape and numbers.
type Tensors = BTreeMap<String, (Value, Vec<f32>)>;

fn tensors() -> Tensors {
    let bytes = fs::read(fixture("tiny-lid/model.safetensors")).unwrap();
    let header_length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: BTreeMap<String, Value> = serde_json::from_slice(&bytes[8..8 + header_length]).unwrap();
    let data = &bytes[8 + header_length..];
    let entries = header.into_iter().filter(|(name, _)| name != "__metadata__");
    entries
        .map(|(name, entry)| {
            let offset = |index: usize| entry["data_offsets"][index].as_u64().unwrap() as usize;
            let words = data[offset(0)..offset(1)].as_chunks().0;
            (name, (entry["shape"].clone(), words.iter().map(|word| f32::from_le_bytes(*word)).collect()))
        })
        .collect()
}

/// A safetensors file of these tensors, whose numbers `encode` turns into bytes of the type `kind`.
fn safetensors(tensors: &Tensors, kind: &str, encode: impl Fn(f32) -> Vec<u8>) -> Vec<u8> {
    let (mut header, mut data) = (BTreeMap::new(), Vec::new());
    for (name, (shape, numbers)) in tensors {
        let start = data.len();
        data.extend(numbers.iter().flat_map(|number| encode(*number)));
        header.insert(name, json!({ "dtype": kind, "shape": shape, "data_offsets": [start, data.len()] }));
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

fn single(number: f32) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// A folder with the tiny model's settings and these files.
fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "preprocessor_config.json"] {
        fs::copy(fixture("tiny-lid").join(name), folder.path().join(name)).unwrap();
    }
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn logits_of(folder: &Path) -> Vec<f32> {
    LidModel::check(folder).unwrap();
    logits(&load(folder).unwrap(), &clip("lid-eng.flac"))
}

#[test]
fn the_old_names_of_a_weight_norm_give_the_same_logits() {
    let mut renamed = tensors();
    for (new, old) in
        [("parametrizations.weight.original0", "weight_g"), ("parametrizations.weight.original1", "weight_v")]
    {
        let prefix = "wav2vec2.encoder.pos_conv_embed.conv.";
        let tensor = renamed.remove(&format!("{prefix}{new}")).unwrap();
        renamed.insert(format!("{prefix}{old}"), tensor);
    }
    let folder = folder(&[("model.safetensors", safetensors(&renamed, "F32", single))]);
    assert_eq!(logits_of(folder.path()), logits(model(), &clip("lid-eng.flac")));
}

#[test]
fn shards_give_the_same_logits() {
    let mut first = tensors();
    let second = first.split_off("wav2vec2.encoder.layers.1");
    let names = |tensors: &Tensors, file: &str| -> Vec<(String, Value)> {
        tensors.keys().map(|name| (name.clone(), json!(file))).collect()
    };
    let map: serde_json::Map<String, Value> =
        names(&first, "model-1.safetensors").into_iter().chain(names(&second, "model-2.safetensors")).collect();
    let index = serde_json::to_vec(&json!({ "metadata": { "total_size": 1 }, "weight_map": map })).unwrap();
    let folder = folder(&[
        ("model-1.safetensors", safetensors(&first, "F32", single)),
        ("model-2.safetensors", safetensors(&second, "F32", single)),
        ("model.safetensors.index.json", index),
    ]);
    assert_eq!(logits_of(folder.path()), logits(model(), &clip("lid-eng.flac")));
}

#[test]
fn sixteen_bit_weights_give_what_the_same_numbers_give_in_thirty_two() {
    // Cut to what 16 bits hold: the upper half; and 10 bits of fraction within the exponents of a half.
    let brain = |number: f32| f32::from_bits(number.to_bits() & 0xffff_0000);
    let half = |number: f32| {
        if number.abs() < 2.0_f32.powi(-14) { 0.0 } else { f32::from_bits(number.to_bits() & 0xffff_e000) }
    };
    let encode_brain = |number: f32| number.to_bits().to_le_bytes()[2..].to_vec();
    let encode_half = |number: f32| {
        let bits = number.to_bits();
        let sign = (bits >> 16 & 0x8000) as u16;
        let magnitude = if number == 0.0 { 0 } else { ((bits >> 13 & 0x3ffff) - (112 << 10)) as u16 };
        (sign | magnitude).to_le_bytes().to_vec()
    };
    let plain = logits(model(), &clip("lid-eng.flac"));
    #[track_caller]
    fn check(cut: impl Fn(f32) -> f32, kind: &str, encode: impl Fn(f32) -> Vec<u8>, plain: &[f32], near: f32) {
        let mut tensors = tensors();
        tensors.values_mut().for_each(|(_, numbers)| numbers.iter_mut().for_each(|number| *number = cut(*number)));
        let wide = folder(&[("model.safetensors", safetensors(&tensors, "F32", single))]);
        let narrow = folder(&[("model.safetensors", safetensors(&tensors, kind, encode))]);
        let logits = logits_of(narrow.path());
        assert_eq!(logits, logits_of(wide.path()), "{kind}");
        assert!(difference(&logits, plain) < near, "{kind}: {logits:?}");
    }
    check(half, "F16", encode_half, &plain, 0.1);
    check(brain, "BF16", encode_brain, &plain, 1.0);
}

#[test]
fn folders_of_other_models_are_refused_with_the_reason() {
    #[track_caller]
    fn check(folder: &Path, reason: &str) {
        for error in [load(folder).unwrap_err(), LidModel::check(folder).unwrap_err()] {
            assert!(matches!(error, Error::ModelFile { .. }), "{error:?}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
    check(Path::new("/nowhere"), "config.json");
    check(&fixture("tiny-whisper"), "`model_type` is `whisper` instead of `wav2vec2`");
    check(folder(&[]).path(), "model.safetensors");

    let mut missing = tensors();
    missing.remove("wav2vec2.encoder.layers.2.final_layer_norm.bias");
    let folder_of = |tensors: &Tensors| folder(&[("model.safetensors", safetensors(tensors, "F32", single))]);
    check(folder_of(&missing).path(), "no float tensor `wav2vec2.encoder.layers.2.final_layer_norm.bias`");

    let mut reshaped = tensors();
    reshaped.get_mut("classifier.weight").unwrap().0 = json!([128, 16]);
    check(folder_of(&reshaped).path(), "`classifier.weight` has the shape [128, 16] instead of [16, 128]");

    let cut = fs::read(fixture("tiny-lid/model.safetensors")).unwrap();
    check(folder(&[("model.safetensors", cut[..cut.len() - 1].to_vec())]).path(), "model.safetensors");

    let rate = folder(&[("preprocessor_config.json", br#"{"sampling_rate": 8000}"#.to_vec())]);
    check(rate.path(), "16 kHz");
}

#[test]
fn eight_bit_weights_find_the_same_language() {
    let config = ModelConfig { compute_type: ComputeType::Int8, ..ModelConfig::default() };
    let model = LidModel::load(&fixture("tiny-lid"), &engine(), &config).unwrap();
    let audio = clip("lid-jpn.flac");
    let found = model.identify(audio.samples(), &IdentifyOptions::default(), Some(&vad()), &Cancel::new()).unwrap();
    assert_eq!(found.language, "jpn");
    assert_eq!(model.labels().len(), 16);
}
