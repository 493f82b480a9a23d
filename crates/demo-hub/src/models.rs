//! The models that are part of the program, and the repositories that serve them.

use speech_flow_model_types::whisper;

use crate::{DemoHubError, Repository, RepositoryBuilder};

/// A token of the demo repositories that may read the gated and the private one. It opens nothing else.
pub const DEMO_TOKEN: &str = "hf_speechflowdemotokenwithaccess00000001";

/// A valid token that may read neither the gated nor the private repository.
pub const DEMO_TOKEN_WITHOUT_ACCESS: &str = "hf_speechflowdemotokenwithoutaccess000002";

/// The gated repository among the demo repositories.
pub const DEMO_GATED: &str = "demo/gated";

/// The private repository among the demo repositories.
pub const DEMO_PRIVATE: &str = "demo/private";

/// Name and content of each file below a fixture's folder.
macro_rules! embedded {
    ($folder:literal: $($file:literal),+ $(,)?) => {
        &[$(($file, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/", $folder, "/", $file)))),+]
    };
}

/// The voice activity detector among the demo repositories.
pub const DEMO_VAD: &str = "speech-flow/silero-vad";

/// Files of [`DEMO_VAD`]: Silero VAD v6, under the MIT license.
const VAD_FILES: &[(&str, &[u8])] =
    embedded!("silero-vad": "LICENSE", "LICENSE.faster-whisper", "README.md", "silero_vad_v6.onnx");

/// A tiny model whose files are embedded in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmbeddedModel {
    /// Whisper in the transformers layout.
    TinyWhisper,
    /// The same weights for CTranslate2 and faster-whisper.
    TinyWhisperCt2,
    /// Whisper with 128 mel bins and 100 languages, as `large-v3` has them, for CTranslate2.
    TinyWhisperV3Ct2,
    /// Language identification by Wav2Vec2, as `facebook/mms-lid-126` is built.
    TinyLid,
}

impl EmbeddedModel {
    /// Every embedded model.
    pub const ALL: [Self; 4] = [Self::TinyWhisper, Self::TinyWhisperCt2, Self::TinyWhisperV3Ct2, Self::TinyLid];

    /// The model's name, also that of its repository below `speech-flow/`.
    pub fn name(self) -> &'static str {
        match self {
            Self::TinyWhisper => "tiny-whisper",
            Self::TinyWhisperCt2 => "tiny-whisper-ct2",
            Self::TinyWhisperV3Ct2 => "tiny-whisper-v3-ct2",
            Self::TinyLid => "tiny-lid",
        }
    }

    /// Names and contents of the model's files.
    pub fn files(self) -> &'static [(&'static str, &'static [u8])] {
        match self {
            Self::TinyWhisper => embedded!("tiny-whisper":
                "README.md", "added_tokens.json", "config.json", "generation_config.json", "merges.txt",
                "model.safetensors", "preprocessor_config.json", "special_tokens_map.json", "tokenizer.json",
                "tokenizer_config.json", "vocab.json"),
            Self::TinyWhisperCt2 => embedded!("tiny-whisper-ct2":
                "README.md", "config.json", "model.bin", "preprocessor_config.json", "tokenizer.json",
                "vocabulary.json"),
            Self::TinyWhisperV3Ct2 => embedded!("tiny-whisper-v3-ct2":
                "README.md", "config.json", "model.bin", "preprocessor_config.json", "tokenizer.json",
                "vocabulary.json"),
            Self::TinyLid => embedded!("tiny-lid":
                "README.md", "config.json", "model.safetensors", "preprocessor_config.json"),
        }
    }

    /// Content of one file; `None` when the model has none of this name.
    pub fn file(self, name: &str) -> Option<&'static [u8]> {
        self.files().iter().find(|(file, _)| *file == name).map(|(_, content)| *content)
    }

    /// Describes a repository with the model's files.
    pub fn builder(self, id: impl Into<String>) -> RepositoryBuilder {
        let empty = Repository::builder(id).file(".gitattributes", GIT_ATTRIBUTES);
        self.files().iter().fold(empty, |builder, (name, content)| builder.embedded(*name, content))
    }
}

const GIT_ATTRIBUTES: &str =
    "*.bin filter=lfs diff=lfs merge=lfs -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n";

/// The repositories of a demo: each embedded model below `speech-flow/`, stand-ins under every name that a
/// default configuration asks for, [`DEMO_VAD`], [`DEMO_GATED`] and [`DEMO_PRIVATE`].
///
/// Each but the detector has a tag `v1`, the branch `main` one commit later and the branch `next` one more: the weights
/// stay, `config.json` and `preprocessor_config.json` are written another way, so that there is something to update to.
///
/// # Errors
/// None in practice: names and files are fixed. The type is that of [`RepositoryBuilder::build`].
pub fn demo_repositories() -> Result<Vec<Repository>, DemoHubError> {
    let own = EmbeddedModel::ALL
        .into_iter()
        .map(|model| with_versions(model, &format!("speech-flow/{}", model.name()), card(model)));
    let mut whisper_names: Vec<String> =
        whisper::size_names().filter_map(whisper::repo_of).map(|repo| repo.to_string()).collect();
    whisper_names.sort_unstable();
    whisper_names.dedup();
    let stand_in = |model, id: &str| with_versions(model, id, stand_in_card(model, id));
    let whisper = whisper_names.iter().map(|id| stand_in(stand_in_of(id), id));
    let lid = ["facebook/mms-lid-126"].into_iter().map(|id| stand_in(EmbeddedModel::TinyLid, id));
    let gated = stand_in(EmbeddedModel::TinyLid, DEMO_GATED).gated();
    let private = stand_in(EmbeddedModel::TinyLid, DEMO_PRIVATE).private();
    let empty = Repository::builder(DEMO_VAD).file(".gitattributes", GIT_ATTRIBUTES);
    let vad = VAD_FILES.iter().fold(empty, |builder, (name, content)| builder.embedded(*name, content));
    own.chain(whisper).chain(lid).chain([vad, gated, private]).map(RepositoryBuilder::build).collect()
}

/// Models with 128 mel bins are stood in for by the one that has them too.
fn stand_in_of(whisper_repository: &str) -> EmbeddedModel {
    if whisper_repository.contains("large-v3") {
        EmbeddedModel::TinyWhisperV3Ct2
    } else {
        EmbeddedModel::TinyWhisperCt2
    }
}

fn with_versions(model: EmbeddedModel, id: &str, card: String) -> RepositoryBuilder {
    let written_short = |name: &str| model.file(name).map(compact).unwrap_or_default();
    let written_long = |name: &str| model.file(name).unwrap_or_default();
    model
        .builder(id)
        .file("README.md", card)
        .file("config.json", written_short("config.json"))
        .commit("Add the model")
        .tag("v1")
        .embedded("config.json", written_long("config.json"))
        .commit("Write the configuration for people")
        .branch("next")
        .file("preprocessor_config.json", written_short("preprocessor_config.json"))
        .commit("Write the feature extractor's configuration in one line")
        .branch("main")
}

/// The same JSON value in one line.
fn compact(json: &'static [u8]) -> Vec<u8> {
    let value: Option<serde_json::Value> = serde_json::from_slice(json).ok();
    value.map_or_else(|| json.to_vec(), |value| value.to_string().into_bytes())
}

/// The fixture's own card with the license that this program ships it under.
fn card(model: EmbeddedModel) -> String {
    let text = String::from_utf8_lossy(model.file("README.md").unwrap_or_default());
    text.replacen("---\n", "---\nlicense: apache-2.0\n", 1)
}

fn stand_in_card(model: EmbeddedModel, id: &str) -> String {
    let card = card(model);
    let front_matter = card.split("---\n").nth(1).unwrap_or_default();
    let name = model.name();
    format!(
        "---\n{front_matter}base_model: speech-flow/{name}\n---\n# Stand-in for {id}\n\n\
         The demo hub serves the weights of `{name}` under this name, so that a default configuration works\n\
         without a network. They are not the weights of `{id}`.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_name_of_whisper_is_served() {
        let repositories = demo_repositories().unwrap();
        for repo in whisper::size_names().filter_map(whisper::repo_of) {
            let repository = repositories.iter().find(|repository| *repository.id() == repo).unwrap();
            for file in ["config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.json"] {
                assert!(repository.files("main").iter().any(|found| found.path == file), "{repo} lacks {file}");
            }
        }
    }

    #[test]
    fn versions_differ_in_small_files_only() {
        for repository in demo_repositories().unwrap() {
            if repository.id().as_str() == DEMO_VAD {
                continue;
            }
            let changed = |from: &str, to: &str| {
                let before = repository.files(from);
                let after = repository.files(to).into_iter();
                after.filter(|file| !before.contains(file)).map(|file| file.path).collect::<Vec<_>>()
            };
            assert_eq!(changed("v1", "main"), ["config.json"]);
            assert_eq!(changed("main", "next"), ["preprocessor_config.json"]);
        }
    }

    #[test]
    fn cards_say_license_and_kind() {
        for model in EmbeddedModel::ALL {
            for card in [card(model), stand_in_card(model, "a/b")] {
                let front_matter = card.strip_prefix("---\n").unwrap().split("---\n").next().unwrap();
                assert!(front_matter.contains("license: apache-2.0\n"), "{card}");
                assert!(front_matter.contains("pipeline_tag: "), "{card}");
            }
        }
    }
}
