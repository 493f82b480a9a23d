//! What a revision is: its commit, and what the model card says.

use serde_json::Value;
use speech_flow_model_types::{RepoId, Revision};

use super::Hub;
use super::answers::Asked;
use crate::{HubError, ProtocolFault, RepoInfo};

/// Largest answer about a revision: it names every file of the repository.
const MAX_DOCUMENT: usize = 16 << 20;

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModelInfo {
    sha: String,
    #[serde(default)]
    private: bool,
    /// `false`, `"auto"` or `"manual"`.
    #[serde(default)]
    gated: Value,
    #[serde(default)]
    last_modified: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    /// The card's front matter; people write it by hand, so any shape is possible.
    #[serde(default)]
    card_data: Value,
}

impl Hub {
    pub(super) async fn resolve_revision(&self, repo: &RepoId, revision: &Revision) -> Result<RepoInfo, HubError> {
        let url = self.api_url(repo, &["revision", revision.as_str()]);
        let document = self.document(&url, Asked::Revision(repo, revision), MAX_DOCUMENT).await?;
        let info: ModelInfo = document.json()?;
        let Ok(commit) = info.sha.parse() else {
            return Err(document.fault(ProtocolFault::Commit(info.sha)));
        };
        if let Some(asked) = revision.commit().filter(|asked| *asked != commit) {
            let expected = asked.to_string();
            return Err(document.fault(ProtocolFault::WrongCommit { expected, got: info.sha }));
        }
        Ok(RepoInfo {
            commit,
            license: license(&info.card_data, &info.tags),
            base_models: base_models(&info.card_data, &info.tags),
            gated: !matches!(info.gated, Value::Null | Value::Bool(false)),
            private: info.private,
            last_modified: info.last_modified,
        })
    }
}

fn license(card: &Value, tags: &[String]) -> Option<String> {
    let named = texts(&card["license"]).into_iter().next();
    match named.as_deref() {
        // The card then has the licence's own name beside it.
        Some("other") => texts(&card["license_name"]).into_iter().next().or(named),
        Some(_) => named,
        None => tags.iter().find_map(|tag| tag.strip_prefix("license:")).map(str::to_owned),
    }
}

fn base_models(card: &Value, tags: &[String]) -> Vec<String> {
    let named = texts(&card["base_model"]);
    if !named.is_empty() {
        return named;
    }
    // `base_model:quantized:org/name` repeats `base_model:org/name` with the relation.
    let bases = tags.iter().filter_map(|tag| tag.strip_prefix("base_model:"));
    bases.filter(|base| !base.contains(':')).map(str::to_owned).collect()
}

/// One text or a list of them.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn licence_and_base_come_from_the_card_before_the_tags() {
        let tags = ["license:mit".to_owned(), "base_model:a/b".to_owned(), "base_model:quantized:a/b".to_owned()];
        let card = json!({"license": "apache-2.0", "base_model": ["c/d", "e/f"]});
        assert_eq!(license(&card, &tags).as_deref(), Some("apache-2.0"));
        assert_eq!(base_models(&card, &tags), ["c/d", "e/f"]);
        assert_eq!(license(&Value::Null, &tags).as_deref(), Some("mit"));
        assert_eq!(base_models(&json!({}), &tags), ["a/b"]);
        let card = json!({"license": "other", "license_name": "cc-by-nc"});
        assert_eq!(license(&card, &[]).as_deref(), Some("cc-by-nc"));
        assert_eq!(license(&json!({"license": 7}), &[]), None);
    }
}
