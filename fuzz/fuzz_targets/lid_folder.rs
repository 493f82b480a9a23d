//! A folder of a language identification model: whatever its files hold, it is a model of the one shape that the
//! engine computes, whole and within its files, or refused with one line.
//!
//! Input: files one after the other, each a byte that chooses its name, a length in two bytes (little-endian)
//! and its content. What is not given is taken from a sound model of one layer.

#![no_main]

use std::fs;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use speech_flow_fuzz::{assert_fit_to_show, assert_one_line, bounded, folder_in_memory};
use speech_flow_speech_engine::lid::LidModel;

const NAMES: [&str; 6] = [
    "config.json",
    "preprocessor_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "one.safetensors",
    "two.safetensors",
];

fuzz_target!(|bytes: &[u8]| {
    let folder = folder_in_memory();
    let put = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).expect("a file");
    let (config, weights) = sound();
    put("config.json", config);
    put("model.safetensors", weights);
    let mut input = bytes.len() + config.len() + weights.len();
    let mut rest = bytes;
    while let [name, low, high, after @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (content, next) = after.split_at(len);
        match (NAMES[usize::from(*name) % NAMES.len()], content) {
            // Shards are read only where there is no single file.
            ("model.safetensors", []) => fs::remove_file(folder.path().join("model.safetensors")).unwrap_or_default(),
            // Too much to write for each input: the first bytes of the sound file may differ.
            ("model.safetensors", start) if start.len() < weights.len() => {
                put("model.safetensors", &[start, &weights[start.len()..]].concat());
            }
            (name, content) => put(name, content),
        }
        input += len;
        rest = next;
    }
    if let Err(error) = bounded(input, 64, || LidModel::check(folder.path())) {
        assert_fit_to_show(&error);
        error.hint().iter().for_each(|hint| assert_one_line(hint));
    }
});

/// Settings and weights of a model as small as the shape allows.
fn sound() -> (&'static [u8], &'static [u8]) {
    static SOUND: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    let (config, weights) = SOUND.get_or_init(|| (config(), weights()));
    (config, weights)
}

fn config() -> Vec<u8> {
    let config = json!({
        "model_type": "wav2vec2", "architectures": ["Wav2Vec2ForSequenceClassification"],
        "feat_extract_norm": "layer", "conv_bias": true, "do_stable_layer_norm": true,
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 1,
        "conv_dim": [1, 1, 1, 1, 1, 1, 1], "num_conv_pos_embeddings": 2, "classifier_proj_size": 1,
        "id2label": { "0": "eng" },
    });
    config.to_string().into_bytes()
}

fn weights() -> Vec<u8> {
    let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
    let mut both = |name: String, weight: &[usize], bias: usize| {
        shapes.push((format!("{name}.weight"), weight.to_vec()));
        shapes.push((format!("{name}.bias"), vec![bias]));
    };
    for (index, taps) in [10, 3, 3, 3, 3, 2, 2].into_iter().enumerate() {
        let layer = format!("wav2vec2.feature_extractor.conv_layers.{index}");
        both(format!("{layer}.conv"), &[1, 1, taps], 1);
        both(format!("{layer}.layer_norm"), &[1], 1);
    }
    both("wav2vec2.feature_projection.layer_norm".to_owned(), &[1], 1);
    both("wav2vec2.feature_projection.projection".to_owned(), &[16, 1], 16);
    both("wav2vec2.encoder.layer_norm".to_owned(), &[16], 16);
    let layer = |part: &str| format!("wav2vec2.encoder.layers.0.{part}");
    for part in ["q", "k", "v", "out"] {
        both(layer(&format!("attention.{part}_proj")), &[16, 16], 16);
    }
    both(layer("layer_norm"), &[16], 16);
    both(layer("final_layer_norm"), &[16], 16);
    both(layer("feed_forward.intermediate_dense"), &[1, 16], 1);
    both(layer("feed_forward.output_dense"), &[16, 1], 16);
    both("projector".to_owned(), &[1, 16], 1);
    both("classifier".to_owned(), &[1, 1], 1);
    let convolution = "wav2vec2.encoder.pos_conv_embed.conv";
    shapes.push((format!("{convolution}.bias"), vec![16]));
    shapes.push((format!("{convolution}.weight_g"), vec![1, 1, 2]));
    shapes.push((format!("{convolution}.weight_v"), vec![16, 1, 2]));

    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in shapes {
        let start = end;
        end += shape.iter().product::<usize>() * 4;
        let entry: Value = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] });
        header.insert(name, entry);
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0x3f; end]].concat()
}
