//! Models of the shape of real ones: every tensor with its name and size, and a hole where its numbers would be. They
//! take no room on the disk, and say all that memory is computed from.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

/// As CTranslate2 numbers its formats.
const FLOAT16: u8 = 4;

/// `Systran/faster-whisper-large-v3`: 32 and 32 layers of 1280 channels, 128 mel bins, 51866 tokens, in float16.
pub(crate) fn whisper_large_v3(folder: &Path) {
    let (width, layers, tokens, mels) = (1280_u32, 32, 51_866, 128);
    let mut variables: Vec<(String, Vec<u32>)> = vec![
        ("decoder/embeddings/weight".into(), vec![tokens, width]),
        ("decoder/position_encodings/encodings".into(), vec![448, width]),
        ("encoder/conv1/weight".into(), vec![width, mels, 3]),
        ("encoder/conv2/weight".into(), vec![width, width, 3]),
        ("encoder/position_encodings/encodings".into(), vec![1500, width]),
    ];
    for (side, has_cross) in [("decoder", true), ("encoder", false)] {
        for layer in 0..layers {
            let mut add =
                |name: &str, shape: &[u32]| variables.push((format!("{side}/layer_{layer}/{name}"), shape.into()));
            if has_cross {
                add("attention/layer_norm/gamma", &[width]);
                add("attention/linear_0/weight", &[width, width]);
                add("attention/linear_1/weight", &[2 * width, width]);
                add("attention/linear_2/weight", &[width, width]);
            }
            add("ffn/layer_norm/gamma", &[width]);
            add("ffn/linear_0/weight", &[4 * width, width]);
            add("ffn/linear_1/weight", &[width, 4 * width]);
            add("self_attention/linear_0/weight", &[3 * width, width]);
            add("self_attention/linear_1/weight", &[width, width]);
        }
    }
    std::fs::create_dir_all(folder).expect("makes the folder");
    let mut file = BufWriter::new(File::create(folder.join("model.bin")).expect("creates"));
    let text = |file: &mut BufWriter<File>, text: &str| {
        file.write_all(&u16::try_from(text.len() + 1).expect("short").to_le_bytes()).expect("writes");
        file.write_all(text.as_bytes()).expect("writes");
        file.write_all(&[0]).expect("writes");
    };
    file.write_all(&6_u32.to_le_bytes()).expect("writes");
    text(&mut file, "WhisperSpec");
    file.write_all(&3_u32.to_le_bytes()).expect("writes");
    file.write_all(&u32::try_from(variables.len()).expect("few").to_le_bytes()).expect("writes");
    for (name, shape) in &variables {
        text(&mut file, name);
        file.write_all(&[u8::try_from(shape.len()).expect("small")]).expect("writes");
        shape.iter().for_each(|size| file.write_all(&size.to_le_bytes()).expect("writes"));
        let bytes = 2 * shape.iter().product::<u32>();
        file.write_all(&[FLOAT16]).expect("writes");
        file.write_all(&bytes.to_le_bytes()).expect("writes");
        file.seek(SeekFrom::Current(bytes.into())).expect("seeks");
    }
    // No aliases.
    file.write_all(&0_u32.to_le_bytes()).expect("writes");
    file.flush().expect("writes");
}

/// `facebook/mms-lid-126`: 48 layers of 1280 channels behind seven convolutions, in float32.
pub(crate) fn mms_lid(folder: &Path) {
    let (width, inner, layers, languages) = (1280_u64, 5120_u64, 48, 126);
    let mut tensors: Vec<(String, Vec<u64>)> = vec![
        ("classifier.weight".into(), vec![languages, 1024]),
        ("projector.weight".into(), vec![1024, width]),
        ("wav2vec2.feature_projection.projection.weight".into(), vec![width, 512]),
        ("wav2vec2.encoder.pos_conv_embed.conv.weight".into(), vec![width, 80, 128]),
    ];
    for (layer, kernel) in [10, 3, 3, 3, 3, 2, 2].into_iter().enumerate() {
        let channels = if layer == 0 { 1 } else { 512 };
        let name = format!("wav2vec2.feature_extractor.conv_layers.{layer}.conv.weight");
        tensors.push((name, vec![512, channels, kernel]));
    }
    for layer in 0..layers {
        let mut add = |name: &str, shape: [u64; 2]| {
            tensors.push((format!("wav2vec2.encoder.layers.{layer}.{name}.weight"), shape.into()));
        };
        for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            add(&format!("attention.{part}"), [width, width]);
        }
        add("feed_forward.intermediate_dense", [inner, width]);
        add("feed_forward.output_dense", [width, inner]);
    }
    let mut header = serde_json::Map::new();
    let mut end = 0_u64;
    for (name, shape) in &tensors {
        let start = end;
        end += 4 * shape.iter().product::<u64>();
        header
            .insert(name.clone(), serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] }));
    }
    let header = serde_json::Value::Object(header).to_string();
    std::fs::create_dir_all(folder).expect("makes the folder");
    let mut file = File::create(folder.join("model.safetensors")).expect("creates");
    file.write_all(&(header.len() as u64).to_le_bytes()).expect("writes");
    file.write_all(header.as_bytes()).expect("writes");
    file.set_len(8 + header.len() as u64 + end).expect("sets the length");
    let config = serde_json::json!({
        "hidden_size": width, "intermediate_size": inner, "num_attention_heads": 16,
        "conv_dim": [512, 512, 512, 512, 512, 512, 512], "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    });
    std::fs::write(folder.join("config.json"), config.to_string()).expect("writes");
}
