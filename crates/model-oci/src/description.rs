//! What an artifact says of the models in it: an annotation, so that it counts for the manifest's digest.
//!
//! ```json
//! {"schema": 1, "models": [{"repo": "owner/name", "commit": "…", "refs": ["main"], "kind": "whisper",
//!   "license": "mit", "tree": {"format_version": 1, "files": {…}}, "layers": {"config.json": "sha256:…"}}]}
//! ```
//!
//! `tree` is the commit's whole listing as the cache keeps it in `trees/COMMIT.json`, so that what is read back has
//! the listing that the hub gave. `layers` names the files that are in the artifact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use speech_flow_model_cache::{InvalidTree, format_tree, parse_tree};
use speech_flow_model_types::{CommitHash, Digest, ModelKind, RelPath, RemoteFile, RepoId, Revision};

const SCHEMA: u32 = 1;
/// Most models of one artifact.
const MAX_MODELS: usize = 64;
/// Most names of one commit.
const MAX_REFS: usize = 64;

/// One model as an artifact describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedModel {
    /// The repository.
    pub repo: RepoId,
    /// The commit.
    pub commit: CommitHash,
    /// Branches and tags that stood for it when it was packed.
    pub refs: Vec<Revision>,
    /// What the model is for.
    pub kind: ModelKind,
    /// Its licence, as the hub had it.
    pub license: Option<String>,
    /// The model that it was made from.
    pub base_model: Option<String>,
    /// All files of the commit, sorted by path.
    pub listing: Vec<RemoteFile>,
    /// The files that the artifact holds, with the digests of their layers.
    pub layers: BTreeMap<RelPath, Digest>,
}

/// The text describes no models.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDescription {
    /// It is not the JSON that packing writes.
    #[error("its description is not the JSON that was expected")]
    Json(#[source] serde_json::Error),
    /// A later version of this program wrote it.
    #[error("its description has schema {0}, which this version does not know")]
    Schema(u32),
    /// A name, commit, kind or digest is none, or there are too many of them.
    #[error("its description names {what} that is none: `{}`", text.escape_debug())]
    Value {
        /// What the text should be.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// A listing is broken or hostile.
    #[error("its list of files cannot be trusted")]
    Tree(#[from] InvalidTree),
    /// A file has a layer, but the listing does not have the file.
    #[error("its description has a layer for `{}`, which is no file of the commit", .0.escape_debug())]
    Unlisted(String),
    /// No model, one twice, or too many.
    #[error("its description names {0} models, or one of them twice")]
    Models(usize),
}

#[derive(Serialize, Deserialize)]
struct Wire {
    schema: u32,
    models: Vec<WireModel>,
}

#[derive(Serialize, Deserialize)]
struct WireModel {
    repo: String,
    commit: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refs: Vec<String>,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    license: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base_model: Option<String>,
    tree: Value,
    layers: BTreeMap<String, String>,
}

/// The description as text; equal models give equal text.
pub fn format_description(models: &[DescribedModel]) -> String {
    let wire = Wire { schema: SCHEMA, models: models.iter().map(DescribedModel::to_wire).collect() };
    serde_json::to_string(&wire).expect("text and numbers always serialize")
}

/// Reads a description. What it says is checked for making sense, not for being true.
///
/// # Errors
/// [`InvalidDescription`] for the first part that makes none.
pub fn parse_description(text: &str) -> Result<Vec<DescribedModel>, InvalidDescription> {
    #[derive(Deserialize)]
    struct Schema {
        schema: u32,
    }
    let schema: Schema = serde_json::from_str(text).map_err(InvalidDescription::Json)?;
    if schema.schema != SCHEMA {
        return Err(InvalidDescription::Schema(schema.schema));
    }
    let wire: Wire = serde_json::from_str(text).map_err(InvalidDescription::Json)?;
    let count = wire.models.len();
    if count == 0 || count > MAX_MODELS {
        return Err(InvalidDescription::Models(count));
    }
    let models: Vec<DescribedModel> = wire.models.into_iter().map(WireModel::read).collect::<Result<_, _>>()?;
    let is_twice = |(at, model): (usize, &DescribedModel)| {
        models[..at].iter().any(|other| (&other.repo, &other.commit) == (&model.repo, &model.commit))
    };
    if models.iter().enumerate().any(is_twice) {
        return Err(InvalidDescription::Models(count));
    }
    Ok(models)
}

impl DescribedModel {
    fn to_wire(&self) -> WireModel {
        WireModel {
            repo: self.repo.to_string(),
            commit: self.commit.to_string(),
            refs: self.refs.iter().map(ToString::to_string).collect(),
            kind: self.kind.to_string(),
            license: self.license.clone(),
            base_model: self.base_model.clone(),
            tree: serde_json::from_slice(&format_tree(&self.listing)).expect("a listing is written as JSON"),
            layers: self.layers.iter().map(|(path, digest)| (path.to_string(), digest.prefixed())).collect(),
        }
    }

    /// A file of the commit.
    pub fn file(&self, path: &RelPath) -> Option<&RemoteFile> {
        let at = self.listing.binary_search_by(|file| file.path.cmp(path)).ok()?;
        self.listing.get(at)
    }
}

impl WireModel {
    fn read(self) -> Result<DescribedModel, InvalidDescription> {
        if self.refs.len() > MAX_REFS {
            return Err(InvalidDescription::Value { what: "a number of names", text: self.refs.len().to_string() });
        }
        let refs: Vec<Revision> =
            self.refs.into_iter().map(|name| read("a branch or tag", name)).collect::<Result<_, _>>()?;
        if let Some(commit) = refs.iter().find(|name| name.commit().is_some()) {
            return Err(InvalidDescription::Value { what: "a branch or tag", text: commit.to_string() });
        }
        let listing = parse_tree(self.tree.to_string().as_bytes())?;
        let layers: BTreeMap<RelPath, Digest> = self
            .layers
            .into_iter()
            .map(|(path, digest)| {
                let digest = Digest::from_prefixed(&digest)
                    .ok()
                    .filter(|digest| matches!(digest, Digest::Sha256(_)))
                    .ok_or(InvalidDescription::Value { what: "the digest of a layer", text: digest })?;
                Ok((read("a path", path)?, digest))
            })
            .collect::<Result<_, InvalidDescription>>()?;
        let model = DescribedModel {
            repo: read("a repository", self.repo)?,
            commit: read("a commit", self.commit)?,
            refs,
            kind: read("a kind of model", self.kind)?,
            license: self.license,
            base_model: self.base_model,
            listing,
            layers,
        };
        match model.layers.keys().find(|path| model.file(path).is_none()) {
            Some(path) => Err(InvalidDescription::Unlisted(path.to_string())),
            None => Ok(model),
        }
    }
}

fn read<T: std::str::FromStr>(what: &'static str, text: String) -> Result<T, InvalidDescription> {
    text.parse().map_err(|_| InvalidDescription::Value { what, text })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn model() -> impl Strategy<Value = DescribedModel> {
        let name = "[a-z]{1,8}(/[a-z]{1,5}\\.json)?";
        let files =
            proptest::collection::btree_map(name, (any::<u32>(), any::<Option<[u8; 32]>>(), any::<bool>()), 1..6);
        (files, "[a-z]{1,5}/[a-z]{1,5}", any::<bool>(), any::<bool>()).prop_map(|(files, repo, named, licensed)| {
            let mut listing = Vec::new();
            let mut layers = BTreeMap::new();
            for (path, (size, sha256, packed)) in files {
                let path: RelPath = path.parse().unwrap();
                let blob_id = "0123456789abcdef0123456789abcdef01234567".to_owned();
                let digest = sha256.map_or_else(|| blob_id.parse().unwrap(), Digest::Sha256);
                if packed {
                    layers.insert(path.clone(), Digest::Sha256([7; 32]));
                }
                listing.push(RemoteFile { path, size: size.into(), digest, blob_id, xet_hash: None });
            }
            listing.sort_by(|a, b| a.path.cmp(&b.path));
            DescribedModel {
                repo: repo.parse().unwrap(),
                commit: "c".repeat(40).parse().unwrap(),
                refs: if named { vec![Revision::main()] } else { Vec::new() },
                kind: ModelKind::Whisper,
                license: licensed.then(|| "mit".to_owned()),
                base_model: None,
                listing,
                layers,
            }
        })
    }

    proptest! {
        #[test]
        fn descriptions_round_trip(model in model()) {
            let text = format_description(std::slice::from_ref(&model));
            match parse_description(&text) {
                Ok(read) => prop_assert_eq!(read, [model]),
                Err(InvalidDescription::Tree(_)) => {}
                Err(error) => prop_assert!(false, "{error}"),
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = parse_description(&text);
        }
    }

    #[test]
    fn what_is_hostile_is_refused() {
        let sound = |change: fn(&mut Value)| {
            let text = format!(
                r#"{{"schema":1,"models":[{{"repo":"a/b","commit":"{}","refs":["main"],"kind":"whisper",
                "tree":{{"format_version":1,"files":{{"x":{{"size":1,"blob_id":"{}"}}}}}},"layers":{{"x":"sha256:{}"}}}}]}}"#,
                "c".repeat(40),
                "0".repeat(40),
                "7".repeat(64)
            );
            let mut value: Value = serde_json::from_str(&text).unwrap();
            change(&mut value);
            parse_description(&value.to_string())
        };
        assert!(sound(|_| {}).is_ok());
        let changes: [fn(&mut Value); 10] = [
            |value| value["schema"] = 2.into(),
            |value| value["models"] = Value::Array(Vec::new()),
            |value| value["models"][0]["repo"] = "../x".into(),
            |value| value["models"][0]["commit"] = "main".into(),
            |value| value["models"][0]["refs"][0] = "../x".into(),
            |value| value["models"][0]["refs"][0] = "c".repeat(40).into(),
            |value| value["models"][0]["layers"]["../x"] = value["models"][0]["layers"]["x"].clone(),
            |value| value["models"][0]["layers"]["y"] = value["models"][0]["layers"]["x"].clone(),
            |value| value["models"][0]["layers"]["x"] = "sha256:0".into(),
            |value| value["models"] = Value::Array(vec![value["models"][0].clone(), value["models"][0].clone()]),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert!(sound(change).is_err(), "accepted change {number}");
        }
    }
}
