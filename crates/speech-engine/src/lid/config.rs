//! `config.json` of a language identification model: read, and refused where the engine would compute another model.
//!
//! CTranslate2's Wav2Vec2 has strides, paddings, groups, norms and activations of MMS-LID built in and would not notice
//! another shape. So every setting that changes the forward pass is checked here.
//!
//! Source: `Wav2Vec2Config` and `Wav2Vec2ForSequenceClassification` in transformers, `layers/wav2vec2.cc` in
//! CTranslate2.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// No file of settings is larger.
const MAX_JSON_BYTES: u64 = 4 << 20;

/// Groups of the positional convolution.
pub(super) const GROUPS: usize = 16;

/// Taps of the engine's positional convolution. Fewer taps are padded with zeros.
pub(super) const TAPS: usize = 128;

/// Taps of the seven convolutions of the feature extractor; their strides are [`STRIDES`].
pub(super) const KERNELS: [usize; 7] = [10, 3, 3, 3, 3, 2, 2];
const STRIDES: [usize; 7] = [5, 2, 2, 2, 2, 2, 2];

/// Bounds within which products of sizes cannot overflow; MMS has 1280, 5120, 48 and up to 4017.
const MAX_WIDTH: usize = 1 << 15;
const MAX_LAYERS: usize = 1 << 10;
const MAX_LABELS: usize = 1 << 15;
const MAX_LABEL_BYTES: usize = 64;

/// What the model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LidConfig {
    /// Width of the transformer.
    pub(super) hidden: usize,
    /// Width inside its feed-forward parts.
    pub(super) intermediate: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    /// Channels of each convolution of the feature extractor.
    pub(super) channels: [usize; 7],
    /// Taps of the positional convolution, at most [`TAPS`].
    pub(super) taps: usize,
    /// Width between projector and classifier.
    pub(super) projected: usize,
    /// The labels, in the order of the outputs.
    pub(super) labels: Vec<String>,
    /// Whether samples are brought to zero mean and unit variance first.
    pub(super) normalizes: bool,
}

/// `config.json`, with transformers' defaults for what it leaves out.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    model_type: String,
    architectures: Vec<String>,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    layer_norm_eps: f64,
    feat_extract_norm: String,
    feat_extract_activation: String,
    conv_dim: Vec<usize>,
    conv_stride: Vec<usize>,
    conv_kernel: Vec<usize>,
    conv_bias: bool,
    num_conv_pos_embeddings: usize,
    num_conv_pos_embedding_groups: usize,
    conv_pos_batch_norm: bool,
    do_stable_layer_norm: bool,
    use_weighted_layer_sum: bool,
    classifier_proj_size: usize,
    add_adapter: bool,
    adapter_attn_dim: Option<usize>,
    id2label: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model_type: String::new(),
            architectures: Vec::new(),
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".to_owned(),
            layer_norm_eps: 1e-5,
            feat_extract_norm: "group".to_owned(),
            feat_extract_activation: "gelu".to_owned(),
            conv_dim: vec![512; 7],
            conv_stride: STRIDES.to_vec(),
            conv_kernel: KERNELS.to_vec(),
            conv_bias: false,
            num_conv_pos_embeddings: TAPS,
            num_conv_pos_embedding_groups: GROUPS,
            conv_pos_batch_norm: false,
            do_stable_layer_norm: false,
            use_weighted_layer_sum: false,
            classifier_proj_size: 256,
            add_adapter: false,
            adapter_attn_dim: None,
            id2label: BTreeMap::new(),
        }
    }
}

/// `preprocessor_config.json`, with the feature extractor's defaults.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Preprocessing {
    do_normalize: bool,
    sampling_rate: u32,
    feature_size: u32,
}

impl Default for Preprocessing {
    fn default() -> Self {
        Self { do_normalize: true, sampling_rate: 16_000, feature_size: 1 }
    }
}

impl LidConfig {
    /// Reads and checks the settings in `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("config.json");
        let settings: Settings = read_json(&path)?.ok_or_else(|| Error::model_file(path.clone(), "it is not there"))?;
        let mut config = Self::checked(settings).map_err(|problem| Error::model_file(path, problem))?;
        let path = folder.join("preprocessor_config.json");
        let preprocessing: Preprocessing = read_json(&path)?.unwrap_or_default();
        if preprocessing.sampling_rate != 16_000 || preprocessing.feature_size != 1 {
            return Err(Error::model_file(path, "the model does not hear mono audio at 16 kHz"));
        }
        config.normalizes = preprocessing.do_normalize;
        Ok(config)
    }

    fn checked(settings: Settings) -> Result<Self, String> {
        if settings.model_type != "wav2vec2" {
            return Err(format!("`model_type` is {} instead of `wav2vec2`", shown(&settings.model_type)));
        }
        if !settings.architectures.iter().any(|name| name == "Wav2Vec2ForSequenceClassification") {
            return Err("`architectures` has no `Wav2Vec2ForSequenceClassification`".to_owned());
        }
        let only = |name: &str, has: &str, instead: &str| {
            Err(format!("`{name}` is {} instead of `{instead}`: only the shape of MMS-LID is served", shown(has)))
        };
        let texts = [
            ("hidden_act", &settings.hidden_act, "gelu"),
            ("feat_extract_norm", &settings.feat_extract_norm, "layer"),
            ("feat_extract_activation", &settings.feat_extract_activation, "gelu"),
        ];
        for (name, has, instead) in texts {
            if has != instead {
                return only(name, has, instead);
            }
        }
        let switches = [
            ("conv_bias", settings.conv_bias, true),
            ("do_stable_layer_norm", settings.do_stable_layer_norm, true),
            ("conv_pos_batch_norm", settings.conv_pos_batch_norm, false),
            ("use_weighted_layer_sum", settings.use_weighted_layer_sum, false),
            ("add_adapter", settings.add_adapter, false),
        ];
        for (name, has, instead) in switches {
            if has != instead {
                return only(name, if has { "true" } else { "false" }, if instead { "true" } else { "false" });
            }
        }
        let lists =
            [("conv_kernel", &settings.conv_kernel, &KERNELS), ("conv_stride", &settings.conv_stride, &STRIDES)];
        for (name, has, instead) in lists {
            if has != instead {
                return only(name, &format!("{has:?}"), &format!("{instead:?}"));
            }
        }
        if settings.num_conv_pos_embedding_groups != GROUPS {
            let has = settings.num_conv_pos_embedding_groups.to_string();
            return only("num_conv_pos_embedding_groups", &has, "16");
        }
        if let Some(size) = settings.adapter_attn_dim {
            return only("adapter_attn_dim", &size.to_string(), "null");
        }
        // The feature extractor's norms have a fixed 1e-5, and the engine has one number for all norms.
        if (settings.layer_norm_eps - 1e-5).abs() > 1e-9 {
            return only("layer_norm_eps", &settings.layer_norm_eps.to_string(), "1e-5");
        }

        let channels: [usize; 7] =
            settings.conv_dim.try_into().map_err(|_| "`conv_dim` does not have 7 numbers".to_owned())?;
        let sizes = [
            ("hidden_size", settings.hidden_size, MAX_WIDTH),
            ("intermediate_size", settings.intermediate_size, MAX_WIDTH),
            ("classifier_proj_size", settings.classifier_proj_size, MAX_WIDTH),
            ("num_hidden_layers", settings.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", settings.num_attention_heads, MAX_WIDTH),
            ("num_conv_pos_embeddings", settings.num_conv_pos_embeddings, TAPS),
        ];
        let sizes = sizes.into_iter().chain(channels.map(|size| ("conv_dim", size, MAX_WIDTH)));
        for (name, size, largest) in sizes {
            if size == 0 || size > largest {
                return Err(format!("`{name}` is {size}, which is not between 1 and {largest}"));
            }
        }
        for (name, divisor) in [("num_attention_heads", settings.num_attention_heads), ("the 16 groups", GROUPS)] {
            if !settings.hidden_size.is_multiple_of(divisor) {
                return Err(format!("`hidden_size` {} is no multiple of {name}", settings.hidden_size));
            }
        }
        Ok(Self {
            hidden: settings.hidden_size,
            intermediate: settings.intermediate_size,
            layers: settings.num_hidden_layers,
            heads: settings.num_attention_heads,
            channels,
            taps: settings.num_conv_pos_embeddings,
            projected: settings.classifier_proj_size,
            labels: labels(settings.id2label)?,
            normalizes: true,
        })
    }
}

/// The labels of outputs 0, 1, 2 and so on.
fn labels(mut id2label: BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let count = id2label.len();
    if count == 0 || count > MAX_LABELS {
        return Err(format!("`id2label` has {count} labels, which is not between 1 and {MAX_LABELS}"));
    }
    (0..count)
        .map(|index| {
            let label = id2label.remove(&index.to_string()).ok_or(format!("`id2label` has no label {index}"))?;
            let is_fit = !label.is_empty() && label.len() <= MAX_LABEL_BYTES && label.chars().all(|c| !c.is_control());
            if is_fit { Ok(label) } else { Err(format!("label {index} is not a name: {}", shown(&label))) }
        })
        .collect()
}

/// A text of the file, short and on one line.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    format!("`{short}`")
}

/// The JSON in the file at `path`; `None` where there is no such file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let unreadable = |problem: &'static str, source: Box<dyn std::error::Error + Send + Sync>| Error::ModelFile {
        file: path.to_owned(),
        problem: problem.into(),
        source: Some(source),
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable("it cannot be read", error.into())),
    };
    let mut bytes = Vec::new();
    file.take(MAX_JSON_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable("it cannot be read", error.into()))?;
    if bytes.len() as u64 > MAX_JSON_BYTES {
        return Err(Error::model_file(path, "it is too large"));
    }
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| unreadable("it is not the JSON that it should be", error.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn mms() -> Value {
        json!({
            "model_type": "wav2vec2",
            "architectures": ["Wav2Vec2ForSequenceClassification"],
            "feat_extract_norm": "layer",
            "conv_bias": true,
            "do_stable_layer_norm": true,
            "hidden_size": 1280,
            "num_hidden_layers": 48,
            "num_attention_heads": 16,
            "intermediate_size": 5120,
            "classifier_proj_size": 1024,
            "id2label": { "0": "ara", "1": "cmn" }
        })
    }

    fn checked(settings: Value) -> Result<LidConfig, String> {
        LidConfig::checked(serde_json::from_value(settings).unwrap())
    }

    /// The settings of MMS-LID with another value for `name` are refused with `problem`.
    #[track_caller]
    fn check(name: &str, value: Value, problem: &str) {
        let mut settings = mms();
        settings[name] = value;
        let error = checked(settings).unwrap_err();
        assert!(error.contains(name) && error.contains(problem), "{error}");
    }

    #[test]
    fn the_shape_of_mms_lid_is_accepted() {
        let config = checked(mms()).unwrap();
        assert_eq!((config.hidden, config.layers, config.taps, config.channels), (1280, 48, 128, [512; 7]));
        assert_eq!(config.labels, ["ara", "cmn"]);
    }

    #[test]
    fn every_other_shape_is_refused_by_name() {
        check("model_type", json!("whisper"), "instead of `wav2vec2`");
        check("architectures", json!(["Wav2Vec2ForCTC"]), "has no");
        check("feat_extract_norm", json!("group"), "only the shape of MMS-LID");
        check("hidden_act", json!("relu"), "instead of `gelu`");
        check("conv_bias", json!(false), "instead of `true`");
        check("do_stable_layer_norm", json!(false), "instead of `true`");
        check("use_weighted_layer_sum", json!(true), "instead of `false`");
        check("add_adapter", json!(true), "instead of `false`");
        check("adapter_attn_dim", json!(16), "instead of `null`");
        check("layer_norm_eps", json!(1e-6), "instead of `1e-5`");
        check("conv_stride", json!([5, 2, 2, 2, 2, 2, 4]), "instead of");
        check("conv_kernel", json!([10, 3]), "instead of");
        check("num_conv_pos_embedding_groups", json!(8), "instead of `16`");
        check("num_conv_pos_embeddings", json!(256), "between 1 and 128");
        check("hidden_size", json!(1288), "no multiple");
        check("hidden_size", json!(1 << 20), "between");
        check("num_hidden_layers", json!(0), "between");
        check("conv_dim", json!([512]), "7 numbers");
        check("id2label", json!({}), "0 labels");
        check("id2label", json!({ "0": "ara", "2": "cmn" }), "no label 1");
    }

    #[test]
    fn labels_are_short_and_on_one_line() {
        let mut settings = mms();
        settings["id2label"] = json!({ "0": "a\nb" });
        assert_eq!(checked(settings).unwrap_err(), "label 0 is not a name: `a\\nb`");
    }
}
