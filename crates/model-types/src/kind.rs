//! Kinds of models, and which files of a repository each needs.

use std::fmt;
use std::str::FromStr;

use crate::{Patterns, RelPath, RemoteFile};

/// What a model is for; decides which files are fetched and how they are validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// A Whisper model converted for CTranslate2, as faster-whisper loads it.
    Whisper,
    /// A transformers model that classifies the spoken language, such as MMS-LID.
    LanguageId,
    /// Any other model in the layout of transformers.
    Transformers,
    /// A repository without a model layout that we know; every file is taken.
    Other,
}

/// Which files of one repository a model needs.
#[derive(Debug, Clone)]
pub struct Selection {
    kind: ModelKind,
    weights: WeightFormat,
    patterns: Patterns,
}

impl Selection {
    /// Whether the model needs the file.
    pub fn takes(&self, path: &RelPath) -> bool {
        let by_kind = || self.kind.needs(path.as_str(), self.weights);
        self.patterns.matches(path) && (self.patterns.has_include() || by_kind())
    }
}

/// The text is no model kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a model kind (`whisper`, `language-id`, `transformers` or `other`)", .0.escape_debug())]
pub struct InvalidModelKind(pub String);

/// What faster-whisper asks for. Source: `allow_patterns` in `faster_whisper/utils.py`, version 1.2.1.
const WHISPER_FILES: [&str; 4] = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json"];
/// Endings of the small files that configure a transformers model: configurations, tokenizers, templates.
const CONFIG_ENDINGS: [&str; 5] = [".json", ".txt", ".model", ".jinja", ".tiktoken"];
/// Documents that end like a configuration but that no model loads.
const DOCUMENTS: [&str; 4] = ["requirements.txt", "README.txt", "LICENSE.txt", "training_args.json"];

impl ModelKind {
    /// The kind that a list of files suggests.
    pub fn detect<'a>(paths: impl IntoIterator<Item = &'a RelPath>) -> Self {
        let (mut config, mut model_bin, mut vocabulary, mut other_weights) = (false, false, false, false);
        for path in paths {
            let name = path.as_str();
            config |= name == "config.json";
            model_bin |= name == "model.bin";
            vocabulary |= is_vocabulary(name);
            other_weights |= name.ends_with(".safetensors") || is_pickled_weights(name);
        }
        match (config, model_bin && (vocabulary || !other_weights)) {
            (_, true) => Self::Whisper,
            (true, false) => Self::Transformers,
            (false, false) => Self::Other,
        }
    }

    /// The files of a repository that this kind needs, in the order of the listing.
    ///
    /// Include patterns replace the kind's own choice; exclude patterns narrow either.
    pub fn select<'a>(self, files: &'a [RemoteFile], patterns: &Patterns) -> Vec<&'a RemoteFile> {
        let selection = self.selection(files.iter().map(|file| &file.path), patterns);
        files.iter().filter(|file| selection.takes(&file.path)).collect()
    }

    /// The choice of [`ModelKind::select`] for a repository of which only the paths are known.
    pub fn selection<'a>(self, paths: impl IntoIterator<Item = &'a RelPath>, patterns: &Patterns) -> Selection {
        Selection { kind: self, weights: WeightFormat::preferred(paths), patterns: patterns.clone() }
    }

    /// The kind as text, as configuration and JSON have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whisper => "whisper",
            Self::LanguageId => "language-id",
            Self::Transformers => "transformers",
            Self::Other => "other",
        }
    }

    fn needs(self, name: &str, weights: WeightFormat) -> bool {
        match self {
            Self::Whisper => WHISPER_FILES.contains(&name) || is_vocabulary(name),
            Self::LanguageId | Self::Transformers => {
                is_configuration(name) && !is_weight_index(name) || weights.takes(name)
            }
            Self::Other => name != ".gitattributes" && !(weights.is_safe() && is_pickled_weights(name)),
        }
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ModelKind {
    type Err = InvalidModelKind;

    fn from_str(text: &str) -> Result<Self, InvalidModelKind> {
        [Self::Whisper, Self::LanguageId, Self::Transformers, Self::Other]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| InvalidModelKind(text.to_owned()))
    }
}

/// The weights that a repository offers, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum WeightFormat {
    /// One `model.safetensors`.
    Safetensors,
    /// `model.safetensors.index.json` and its shards.
    ShardedSafetensors,
    /// Safetensors under other names.
    OtherSafetensors,
    /// PyTorch's pickles, when there is nothing safer.
    Pickled,
}

impl WeightFormat {
    fn preferred<'a>(paths: impl IntoIterator<Item = &'a RelPath>) -> Self {
        let of = |name: &str| match name {
            "model.safetensors" => Self::Safetensors,
            "model.safetensors.index.json" => Self::ShardedSafetensors,
            name if name.ends_with(".safetensors") && !name.contains('/') => Self::OtherSafetensors,
            _ => Self::Pickled,
        };
        paths.into_iter().map(|path| of(path.as_str())).min().unwrap_or(Self::Pickled)
    }

    fn is_safe(self) -> bool {
        self != Self::Pickled
    }

    fn takes(self, name: &str) -> bool {
        match self {
            Self::Safetensors => name == "model.safetensors",
            Self::ShardedSafetensors => {
                name == "model.safetensors.index.json" || name.starts_with("model-") && name.ends_with(".safetensors")
            }
            Self::OtherSafetensors => {
                !name.contains('/') && (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"))
            }
            Self::Pickled => {
                name.starts_with("pytorch_model") && (name.ends_with(".bin") || name.ends_with(".bin.index.json"))
            }
        }
    }
}

fn is_vocabulary(name: &str) -> bool {
    name.starts_with("vocabulary.") && !name.contains('/')
}

fn is_configuration(name: &str) -> bool {
    !name.contains('/') && CONFIG_ENDINGS.iter().any(|ending| name.ends_with(ending)) && !DOCUMENTS.contains(&name)
}

fn is_weight_index(name: &str) -> bool {
    name.ends_with(".index.json")
}

/// Whether a name is one that PyTorch gives its pickles. Only a name: CTranslate2's `model.bin` is none
/// of them, and what a file really holds is for validation to see.
fn is_pickled_weights(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    [".pt", ".pth", ".ckpt", ".pkl"].iter().any(|ending| file.ends_with(ending))
        || file.starts_with("pytorch_model") && file.ends_with(".bin")
        || file == "training_args.bin"
        || file == "optimizer.bin"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    fn files(names: &[&str]) -> Vec<RemoteFile> {
        names
            .iter()
            .map(|name| RemoteFile {
                path: name.parse().expect("valid path"),
                size: 1,
                digest: Digest::GitSha1([0; 20]),
                blob_id: "0".repeat(40),
                xet_hash: None,
            })
            .collect()
    }

    #[track_caller]
    fn check(names: &[&str], kind: ModelKind, expected: &[&str]) {
        let files = files(names);
        assert_eq!(ModelKind::detect(files.iter().map(|file| &file.path)), kind);
        let selected: Vec<&str> = kind.select(&files, &Patterns::all()).iter().map(|file| file.path.as_str()).collect();
        assert_eq!(selected, expected);
    }

    #[test]
    fn whisper_takes_what_faster_whisper_takes() {
        check(
            &[
                ".gitattributes",
                "README.md",
                "config.json",
                "model.bin",
                "preprocessor_config.json",
                "tokenizer.json",
                "vocabulary.json",
            ],
            ModelKind::Whisper,
            &["config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.json"],
        );
    }

    #[test]
    fn transformers_prefers_safetensors_and_leaves_pickles() {
        check(
            &[
                "README.md",
                "config.json",
                "model.safetensors",
                "preprocessor_config.json",
                "pytorch_model.bin",
                "adapter.deu.safetensors",
            ],
            ModelKind::Transformers,
            &["config.json", "model.safetensors", "preprocessor_config.json"],
        );
    }

    #[test]
    fn shards_come_with_their_index() {
        check(
            &[
                "config.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
                "pytorch_model.bin.index.json",
            ],
            ModelKind::Transformers,
            &[
                "config.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
            ],
        );
    }

    #[test]
    fn pickles_are_taken_where_nothing_else_stands() {
        check(
            &["config.json", "pytorch_model.bin", "training_args.bin"],
            ModelKind::Transformers,
            &["config.json", "pytorch_model.bin"],
        );
    }

    #[test]
    fn an_unknown_layout_is_taken_whole() {
        check(
            &[".gitattributes", "silero_vad.onnx", "data/x.bin"],
            ModelKind::Other,
            &["silero_vad.onnx", "data/x.bin"],
        );
    }

    #[test]
    fn patterns_replace_the_choice_of_the_kind() {
        let files = files(&["config.json", "model.safetensors", "onnx/model.onnx"]);
        let patterns = Patterns::new(vec!["onnx/*".to_owned(), "*.json".to_owned()], Vec::new()).expect("valid");
        let selected: Vec<&str> =
            ModelKind::Transformers.select(&files, &patterns).iter().map(|file| file.path.as_str()).collect();
        assert_eq!(selected, ["config.json", "onnx/model.onnx"]);
    }
}
