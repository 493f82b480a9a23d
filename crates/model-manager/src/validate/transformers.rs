//! A model in the layout of transformers; language identification needs a little more.

use std::collections::BTreeMap;

use serde::Deserialize;
use speech_flow_model_types::RelPath;

use super::safetensors::{MAX_HEADER, SafetensorsHeader, Tensor, check_index, read_header};
use super::sniff::{self, Lookalike};
use super::{Details, Folder, Invalid, Problem, json};

const CONFIG: &str = "config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";
const TOKENIZER: &str = "tokenizer.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// What MMS-LID is.
const CLASSIFIER: &str = "Wav2Vec2ForSequenceClassification";
/// What it listens to, in Hz.
const SAMPLING_RATE: u64 = 16_000;
/// Most shards of one model.
const MAX_SHARDS: usize = 1_000;

#[derive(Deserialize)]
struct Config {
    architectures: Option<Vec<String>>,
    id2label: Option<BTreeMap<String, String>>,
    num_labels: Option<u64>,
}

#[derive(Deserialize)]
struct Preprocessor {
    sampling_rate: Option<u64>,
}

/// What the headers of all weights say together.
#[derive(Default)]
struct Weights {
    tensors: u64,
    bytes: u64,
    main_type: Option<String>,
    /// The classifier's last layer, where there is one.
    classifier: Option<Tensor>,
}

/// Checks any transformers model.
pub(super) fn check(folder: &Folder) -> Result<Details, Invalid> {
    let config: Config = json::read_config(folder, CONFIG)?;
    let vocabulary = check_small_files(folder)?;
    let weights = read_weights(folder)?;
    let labels = config.id2label.as_ref().map(|labels| labels.len() as u64);
    Ok(details(&config, weights, labels, vocabulary))
}

/// Checks a classifier of spoken language.
pub(super) fn check_language_id(folder: &Folder) -> Result<Details, Invalid> {
    let config: Config = json::read_config(folder, CONFIG)?;
    let architectures = config.architectures.as_deref().unwrap_or_default();
    if !architectures.iter().any(|name| name == CLASSIFIER) {
        let found = if architectures.is_empty() { "none".to_owned() } else { architectures.join(", ") };
        let what = format!(
            "has the architecture `{}`, but language identification needs `{CLASSIFIER}`",
            found.escape_debug()
        );
        return Err(Invalid::wrong(CONFIG, what));
    }
    let Some(id2label) = &config.id2label else { return Err(Invalid::wrong(CONFIG, "has no `id2label`")) };
    let labels = json::count_labels(id2label).map_err(|what| Invalid::wrong(CONFIG, format!("is wrong: {what}")))?;
    if let Some(number) = config.num_labels.filter(|number| *number != labels) {
        return Err(Invalid::wrong(CONFIG, format!("has {labels} labels in `id2label`, but `num_labels` is {number}")));
    }
    let preprocessor: Preprocessor = json::read_config(folder, PREPROCESSOR)?;
    if let Some(rate) = preprocessor.sampling_rate.filter(|rate| *rate != SAMPLING_RATE) {
        let what = format!("has `sampling_rate` {rate}, but language identification listens at {SAMPLING_RATE}");
        return Err(Invalid::wrong(PREPROCESSOR, what));
    }
    let vocabulary = check_small_files(folder)?;
    let weights = read_weights(folder)?;
    let Some(classifier) = &weights.classifier else {
        return Err(Invalid::wrong(WEIGHTS, "has no `classifier.weight`, so the model was not trained to classify"));
    };
    if classifier.shape.first() != Some(&labels) {
        let what = format!("names {labels} labels, but `classifier.weight` has the shape {:?}", classifier.shape);
        return Err(Invalid::wrong(CONFIG, what));
    }
    Ok(details(&config, weights, Some(labels), vocabulary))
}

/// Checks what can be checked in a folder of unknown layout.
pub(super) fn check_other(folder: &Folder) -> Result<Details, Invalid> {
    if folder.names.is_empty() {
        return Err(Invalid::wrong(".", "holds no file"));
    }
    let mut found = Weights::default();
    for name in folder.names() {
        if name.ends_with(".safetensors") {
            found.add(name, folder)?;
        } else if name.ends_with(".json") {
            json::check_json(folder, name)?;
        } else if is_weights_name(name) {
            let opened = folder.open(name)?;
            // What loads such a file decides about pickles; nothing of ours does.
            if let Some(lookalike) = opened.lookalike.filter(|lookalike| *lookalike != Lookalike::Pickle) {
                return Err(Invalid::new(name, Problem::Lookalike(lookalike)));
            }
            found.bytes += opened.len;
        }
    }
    Ok(Details {
        quantization: found.main_type,
        tensors: found.tensors,
        weight_bytes: found.bytes,
        ..Details::default()
    })
}

fn details(config: &Config, weights: Weights, labels: Option<u64>, vocabulary: Option<u64>) -> Details {
    Details {
        architecture: config.architectures.as_ref().and_then(|names| names.first().cloned()),
        labels,
        quantization: weights.main_type,
        tensors: weights.tensors,
        weight_bytes: weights.bytes,
        vocabulary,
        n_mels: None,
    }
}

/// Every JSON file at the top has to parse; gives the tokenizer's entries.
fn check_small_files(folder: &Folder) -> Result<Option<u64>, Invalid> {
    for name in folder.names().filter(|name| name.ends_with(".json") && *name != TOKENIZER && *name != INDEX) {
        json::check_json(folder, name)?;
    }
    folder.has(TOKENIZER).then(|| json::check_tokenizer(folder, TOKENIZER)).transpose()
}

/// Reads the weights in the order of preference in which they are fetched.
fn read_weights(folder: &Folder) -> Result<Weights, Invalid> {
    let mut weights = Weights::default();
    if folder.has(WEIGHTS) {
        weights.add(WEIGHTS, folder)?;
    } else if folder.has(INDEX) {
        read_shards(folder, &mut weights)?;
    } else {
        let others: Vec<&str> = folder.names().filter(|name| name.ends_with(".safetensors")).collect();
        if others.is_empty() {
            return Err(without_safetensors(folder)?);
        }
        for name in others {
            weights.add(name, folder)?;
        }
    }
    Ok(weights)
}

/// What to say where no safetensors are: that the pickles there are not loaded, or that nothing is there.
fn without_safetensors(folder: &Folder) -> Result<Invalid, Invalid> {
    for name in folder.names().filter(|name| is_weights_name(name)) {
        let opened = folder.open(name)?;
        if let Some(lookalike) = opened.lookalike {
            return Ok(Invalid::new(name, Problem::Lookalike(lookalike)));
        }
    }
    Ok(Invalid::new(WEIGHTS, Problem::Missing))
}

fn read_shards(folder: &Folder, weights: &mut Weights) -> Result<(), Invalid> {
    let text = json::read_bytes(folder, INDEX, MAX_HEADER)?;
    let shards = check_index(&text).map_err(|reason| Invalid::new(INDEX, Problem::Json(reason)))?;
    if shards.len() > MAX_SHARDS {
        return Err(Invalid::wrong(INDEX, format!("names {} shards, more than {MAX_SHARDS}", shards.len())));
    }
    for (shard, tensors) in shards {
        // The name comes from a file that nobody vouches for.
        if !shard.parse::<RelPath>().is_ok_and(|path| path.is_top_level()) {
            return Err(Invalid::wrong(INDEX, format!("names the unsafe shard `{}`", shard.escape_debug())));
        }
        let header = weights.add(&shard, folder)?;
        let names: std::collections::HashSet<&str> = header.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        if let Some(absent) = tensors.iter().find(|tensor| !names.contains(tensor.as_str())) {
            return Err(Invalid::wrong(&shard, format!("lacks the tensor {absent:?} that the index puts there")));
        }
    }
    Ok(())
}

impl Weights {
    /// Reads the header of one file.
    fn add(&mut self, name: &str, folder: &Folder) -> Result<SafetensorsHeader, Invalid> {
        let unreadable = |error| Invalid::new(name, Problem::Unreadable(error));
        let mut opened = folder.open_weights(name)?;
        let head = sniff::read_head(&mut opened.file).map_err(unreadable)?;
        if sniff::is_json_message(&head, opened.len) {
            return Err(Invalid::new(name, Problem::Lookalike(Lookalike::JsonMessage)));
        }
        let header =
            read_header(opened.file, opened.len).map_err(|error| Invalid::new(name, Problem::Safetensors(error)))?;
        self.tensors += header.tensors.len() as u64;
        self.bytes += opened.len;
        // The shards of one model share their format; the first says it.
        self.main_type = self.main_type.take().or_else(|| header.main_type().map(str::to_owned));
        self.classifier = self.classifier.take().or_else(|| header.tensor("classifier.weight").cloned());
        Ok(header)
    }
}

fn is_weights_name(name: &str) -> bool {
    [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".onnx", ".gguf", ".h5", ".msgpack", ".tflite"]
        .iter()
        .any(|ending| name.ends_with(ending))
}
