//! Whisper on the tiny model of the fixtures, compared with what CTranslate2's Python module computes.
//!
//! The expected numbers are in `golden/whisper.json`, written by `golden/make.py`.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use speech_flow_ctranslate2::{
    Alignment, ComputeType, Error, GenerateOptions, Generation, Library, ModelConfig, Tensor, Whisper,
};

const START: u32 = 682;
const ENGLISH: u32 = 683;
const TRANSCRIBE: u32 = 783;
const NO_TIMESTAMPS: u32 = 787;
const PROMPT: &[u32] = &[START, ENGLISH, TRANSCRIBE];
const PLAIN: &[u32] = &[START, ENGLISH, TRANSCRIBE, NO_TIMESTAMPS];
const TEXTS: [&[u32]; 2] = [&[300, 301, 302, 303], &[400, 401, 402]];

fn engine() -> Arc<Library> {
    Library::open(None).unwrap_or_else(|error| panic!("{error}; hint: {}", error.hint().unwrap_or_default()))
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn config(compute_type: ComputeType) -> ModelConfig {
    ModelConfig { compute_type, ..ModelConfig::default() }
}

fn tiny() -> Whisper {
    Whisper::load(&engine(), &fixture("tiny-whisper-ct2"), &config(ComputeType::Float32)).expect("the fixture loads")
}

/// 80 x 3000 floats; the same generator is in `golden/make.py`.
fn features(seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..80 * 3000_u32)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 8) as f32 / 16_777_216.0;
            let wave = ((i % 3000) / 75 % 8) as f32 / 8.0;
            noise + wave - 0.5
        })
        .collect()
}

/// Both windows of the golden file in one batch.
fn both(model: &Whisper) -> [Tensor; 1] {
    [model.encode(&[features(1), features(2)].concat(), 2).expect("the windows have the model's shape")]
}

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/whisper.json")).expect("the golden file is JSON")
}

#[track_caller]
fn near(found: f32, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().expect("a number");
    assert!((f64::from(found) - expected).abs() <= tolerance, "{found} is not {expected}");
}

#[track_caller]
fn check_generations(found: &[Generation], expected: &Value) {
    let expected = expected.as_array().expect("a list");
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        near(found.no_speech_probability, &expected["no_speech_probability"], 1e-4);
        let expected = expected["hypotheses"].as_array().expect("a list");
        assert_eq!(found.hypotheses.len(), expected.len());
        for (found, expected) in found.hypotheses.iter().zip(expected) {
            assert_eq!(serde_json::json!(found.tokens), expected["tokens"]);
            near(found.score, &expected["score"], 1e-4);
        }
    }
}

fn short(beam_size: usize) -> GenerateOptions {
    GenerateOptions { beam_size, max_length: 60, return_no_speech_prob: true, ..GenerateOptions::default() }
}

#[test]
fn the_model_says_what_it_is() {
    let model = tiny();
    assert_eq!((model.n_mels(), model.is_multilingual(), model.num_languages()), (80, true, 99));
    assert_eq!((model.vocabulary_size(), model.max_positions(), model.max_frames()), (2289, 448, 3000));
    assert_eq!(model.compute_type(), ComputeType::Float32);
    let large = Whisper::load(&engine(), &fixture("tiny-whisper-v3-ct2"), &config(ComputeType::Default));
    assert_eq!(large.expect("the fixture loads").n_mels(), 128);
}

#[test]
fn encoder_outputs_equal_pythons() {
    let [encoded] = both(&tiny());
    assert_eq!(encoded.shape(), [2, 1500, 128]);
    let values = encoded.to_vec().unwrap();
    let picked = (0..2 * 1500).filter(|frame| frame % 1500 % 500 == 0).flat_map(|frame| {
        let values = &values;
        (0..128).step_by(16).map(move |column| values[frame * 128 + column])
    });
    let golden = golden();
    let expected = golden["encoded"].as_array().expect("a list");
    assert_eq!(picked.clone().count(), expected.len());
    for (found, expected) in picked.zip(expected) {
        near(found, expected, 1e-4);
    }
}

#[test]
fn languages_equal_pythons() {
    let model = tiny();
    let found = model.detect_language(&both(&model)).unwrap();
    let golden = golden();
    let expected = golden["languages"].as_array().expect("a list");
    assert_eq!(found.len(), 2);
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.len(), 99);
        for ((token, probability), expected) in found.iter().zip(expected.as_array().expect("a list")).take(4) {
            assert_eq!(expected[0], token.as_str());
            near(*probability, &expected[1], 1e-4);
        }
    }
}

#[test]
fn tokens_and_scores_equal_pythons() {
    let model = tiny();
    let encoded = both(&model);
    let golden = golden();
    check_generations(&model.generate(&encoded, &[PROMPT, PROMPT], &short(5)).unwrap(), &golden["beam"]);
    check_generations(&model.generate(&encoded, &[PLAIN, PLAIN], &short(1)).unwrap(), &golden["greedy"]);
    let three = GenerateOptions {
        num_hypotheses: 3,
        max_length: 40,
        patience: 1.5,
        length_penalty: 0.5,
        repetition_penalty: 1.2,
        no_repeat_ngram_size: 3,
        ..short(4)
    };
    check_generations(&model.generate(&encoded, &[PROMPT, PROMPT], &three).unwrap(), &golden["three"]);
}

#[test]
fn alignments_equal_pythons() {
    let model = tiny();
    let found = model.align(&both(&model), PROMPT, &TEXTS, &[3000, 1200], 7).unwrap();
    let golden = golden();
    let expected = golden["aligned"].as_array().expect("a list");
    assert_eq!(found.len(), 2);
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(serde_json::json!(found.pairs), expected["pairs"]);
        let expected = expected["token_probabilities"].as_array().expect("a list");
        assert_eq!(found.token_probabilities.len(), expected.len());
        for (found, expected) in found.token_probabilities.iter().zip(expected) {
            near(*found, expected, 1e-5);
        }
    }
}

/// A batch equals its rows alone, but for the order of additions.
#[track_caller]
fn check_alike(batch: &[Generation], single: &Generation, row: usize) {
    let (batch, single) = (&batch[row], single);
    assert_eq!(batch.hypotheses.len(), single.hypotheses.len());
    for (batch, single) in batch.hypotheses.iter().zip(&single.hypotheses) {
        assert_eq!(batch.tokens, single.tokens);
        assert!((batch.score - single.score).abs() < 1e-4, "{} is not {}", batch.score, single.score);
    }
}

#[test]
fn a_batch_of_two_equals_the_two_alone() {
    let model = tiny();
    let batch = model.generate(&both(&model), &[PROMPT, PROMPT], &short(5)).unwrap();
    let aligned = model.align(&both(&model), PROMPT, &TEXTS, &[3000, 1200], 7).unwrap();
    for (row, seed) in [1, 2].into_iter().enumerate() {
        let encoded = [model.encode(&features(seed), 1).unwrap()];
        let single = model.generate(&encoded, &[PROMPT], &short(5)).unwrap();
        check_alike(&batch, &single[0], row);
        let alone: Vec<Alignment> = model.align(&encoded, PROMPT, &[TEXTS[row]], &[[3000, 1200][row]], 7).unwrap();
        assert_eq!(alone[0].pairs, aligned[row].pairs);
    }
}

#[test]
fn rows_cut_a_batch_and_calls_join_them_again() {
    let model = tiny();
    let both = both(&model);
    let [encoded] = &both;
    let (first, second) = (encoded.rows(0..1).unwrap(), encoded.rows(1..2).unwrap());
    assert_eq!((first.shape(), second.shape()), (&[1, 1500, 128][..], &[1, 1500, 128][..]));
    let all = encoded.to_vec().unwrap();
    assert_eq!(first.to_vec().unwrap(), all[..1500 * 128]);
    assert_eq!(second.to_vec().unwrap(), all[1500 * 128..]);

    let whole = model.generate(&both, &[PROMPT, PROMPT], &short(5)).unwrap();
    assert_ne!(whole[0], whole[1]);
    let parts = [&first, &second];
    assert_eq!(model.generate(&parts, &[PROMPT, PROMPT], &short(5)).unwrap(), whole);
    let more = model.generate(&[&second, encoded, &second], &[PROMPT; 4], &short(5)).unwrap();
    for (found, row) in more.iter().zip([1, 0, 1, 1]) {
        check_alike(&whole, found, row);
    }
    assert_eq!(model.detect_language(&parts).unwrap(), model.detect_language(&both).unwrap());
    assert_eq!(
        model.align(&parts, PROMPT, &TEXTS, &[3000, 1200], 7).unwrap(),
        model.align(&both, PROMPT, &TEXTS, &[3000, 1200], 7).unwrap()
    );

    for rows in [0..0, 1..3, 2..3] {
        assert!(matches!(encoded.rows(rows), Err(Error::InvalidInput { .. })));
    }
    let other = model.encode(&features(1)[..80 * 100], 1).unwrap();
    assert!(matches!(model.generate(&[&first, &other], &[PROMPT, PROMPT], &short(5)), Err(Error::InvalidInput { .. })));
    let none: [Tensor; 0] = [];
    assert!(matches!(model.generate(&none, &[], &short(5)), Err(Error::InvalidInput { .. })));
}

#[test]
fn tensors_outlive_their_model() {
    let [encoded] = both(&tiny());
    assert_eq!(encoded.rows(1..2).unwrap().to_vec().unwrap(), encoded.to_vec().unwrap()[1500 * 128..]);
}

#[test]
fn eight_threads_share_a_model_of_two_replicas() {
    let config = ModelConfig { replicas: 2, ..config(ComputeType::Float32) };
    let model = Whisper::load(&engine(), &fixture("tiny-whisper-ct2"), &config).unwrap();
    let expected: Vec<_> = [1, 2]
        .map(|seed| {
            let encoded = [model.encode(&features(seed), 1).unwrap()];
            model.generate(&encoded, &[PROMPT], &short(5)).unwrap()
        })
        .into();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (model, expected) = (&model, &expected);
            scope.spawn(move || {
                for round in 0..3 {
                    let which = (thread + round) % 2;
                    let encoded = [model.encode(&features(which as u32 + 1), 1).unwrap()];
                    let found = model.generate(&encoded, &[PROMPT], &short(5)).unwrap();
                    assert_eq!(found, expected[which], "thread {thread} round {round}");
                }
            });
        }
    });
}

#[test]
fn calls_that_do_not_fit_the_model_are_refused() {
    let model = tiny();
    let encoded = both(&model);
    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: Result<T, Error>) {
        assert!(matches!(result, Err(Error::InvalidInput { .. })), "{result:?}");
    }
    refused(model.encode(&[0.0; 81], 1));
    refused(model.encode(&vec![0.0; 80 * 3002], 1));
    refused(model.generate(&encoded, &[PROMPT], &short(5)));
    refused(model.generate(&encoded, &[PROMPT, &[START, 2289]], &short(5)));
    // Neither has the start token, or it is not at one place.
    refused(model.generate(&encoded, &[&[1, 2], &[1, 2]], &short(5)));
    refused(model.generate(&encoded, &[PROMPT, &[1, START, ENGLISH, TRANSCRIBE]], &short(5)));
    let too_many = GenerateOptions { num_hypotheses: 6, ..short(5) };
    refused(model.generate(&encoded, &[PROMPT, PROMPT], &too_many));
    let too_long = GenerateOptions { max_length: 2, ..short(5) };
    refused(model.generate(&encoded, &[PROMPT, PROMPT], &too_long));
    refused(model.align(&encoded, PROMPT, &TEXTS, &[3000], 7));
    refused(model.align(&encoded, PROMPT, &[&[2289], &[1]], &[3000, 3000], 7));
    // A tensor of a model of another width.
    let other = Whisper::load(&engine(), &fixture("tiny-whisper-v3-ct2"), &config(ComputeType::Float32)).unwrap();
    let foreign = [model.encode(&features(1), 1).unwrap()];
    if other.encode(&vec![0.0; 128 * 100], 1).unwrap().shape()[2] != foreign[0].shape()[2] {
        refused(other.generate(&foreign, &[PROMPT], &short(1)));
    }
}

#[test]
fn a_window_without_frames_aligns_to_nothing() {
    let model = tiny();
    let found = model.align(&both(&model), PROMPT, &TEXTS, &[0, 1], 7).unwrap();
    assert!(found.iter().all(|alignment| alignment.pairs.is_empty()));
    // More frames than the window has are those that it has.
    let all = model.align(&both(&model), PROMPT, &TEXTS, &[3000, 3000], 7).unwrap();
    assert_eq!(model.align(&both(&model), PROMPT, &TEXTS, &[usize::MAX, 9999], 7).unwrap(), all);
}

#[test]
fn every_compute_type_of_the_cpu_works_and_says_which_it_is() {
    let library = engine();
    let types = library.supported_compute_types(speech_flow_ctranslate2::Device::Cpu).unwrap();
    assert!(types.contains(&ComputeType::Float32) && types.contains(&ComputeType::Int8), "{types:?}");
    for compute_type in types {
        let model = Whisper::load(&library, &fixture("tiny-whisper-ct2"), &config(compute_type)).unwrap();
        let expected = if compute_type == ComputeType::Int8 { ComputeType::Int8Float32 } else { compute_type };
        assert_eq!(model.compute_type(), expected);
        assert_eq!(model.generate(&both(&model), &[PROMPT, PROMPT], &short(5)).unwrap().len(), 2);
    }
}
