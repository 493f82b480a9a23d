//! Which model answers.

use serde::Serialize;
use speech_flow_model_manager::Model;
use speech_flow_model_types::ModelSpec;

/// The loaded model, as the log, `/v1/models`, a metric and every result name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ModelInfo {
    /// The name that it was asked for by.
    pub(crate) name: String,
    /// Its repository; `None` for a folder.
    pub(crate) repo: Option<String>,
    /// The revision that was asked for.
    pub(crate) revision: Option<String>,
    /// The commit that is loaded.
    pub(crate) commit: Option<String>,
    /// Digest of its files.
    pub(crate) digest: Option<String>,
    /// What it computes in.
    pub(crate) compute_type: String,
    /// Where it runs.
    pub(crate) device: String,
}

impl ModelInfo {
    /// What is known of a model, and what the engine made of it.
    pub(crate) fn new(model: &Model, compute_type: impl Into<String>, device: impl Into<String>) -> Self {
        let origin = model.origin.as_ref();
        Self {
            name: model.name.clone(),
            repo: origin.map(|origin| origin.repo.to_string()),
            revision: origin.map(|origin| origin.revision.to_string()),
            commit: origin.map(|origin| origin.commit.to_string()),
            digest: model.digest.clone(),
            compute_type: compute_type.into(),
            device: device.into(),
        }
    }

    /// Whether a caller who writes this means the loaded model. Any name that leads to its repository counts, at its
    /// revision or commit where one is written, and OpenAI's own name.
    pub(crate) fn is_named(&self, name: &str, openai: &str) -> bool {
        if name == openai || name == self.name {
            return true;
        }
        let Some(repo) = &self.repo else { return false };
        let asked = match ModelSpec::parse(name, |_| false).map(|spec| spec.source) {
            Ok(speech_flow_model_types::ModelSource::Hub { repo, revision }) => {
                (repo.to_string(), revision.to_string())
            }
            _ => return false,
        };
        let is_loaded = |loaded: &Option<String>| loaded.as_deref() == Some(asked.1.as_str());
        let no_revision = !name.contains('@');
        asked.0.eq_ignore_ascii_case(repo) && (no_revision || is_loaded(&self.revision) || is_loaded(&self.commit))
    }

    /// The model in one line, for the header that accompanies results which are only text.
    pub(crate) fn line(&self) -> String {
        let mut line = self.repo.clone().unwrap_or_else(|| self.name.clone());
        for (sign, part) in [("@", &self.commit), (" ", &self.digest)] {
            if let Some(part) = part {
                line.push_str(sign);
                line.push_str(part);
            }
        }
        // A folder's name may hold what no header can.
        line.chars().map(|sign| if sign.is_ascii_graphic() || sign == ' ' { sign } else { '_' }).collect()
    }

    #[cfg(test)]
    pub(crate) fn example() -> Self {
        Self {
            name: "tiny".to_owned(),
            repo: Some("Systran/faster-whisper-tiny".to_owned()),
            revision: Some("main".to_owned()),
            commit: Some("d".repeat(40)),
            digest: Some("sha256:1234".to_owned()),
            compute_type: "int8".to_owned(),
            device: "cpu".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_loaded_model_is_accepted() {
        let model = ModelInfo::example();
        let commit = format!("tiny@{}", "d".repeat(40));
        for name in
            ["tiny", "whisper-1", "Systran/faster-whisper-tiny", "tiny@main", "systran/faster-whisper-tiny", &commit]
        {
            assert!(model.is_named(name, "whisper-1"), "{name}");
        }
        for name in ["base", "tiny@v2", "", "../tiny", "Systran/faster-whisper-base", "whisper-2"] {
            assert!(!model.is_named(name, "whisper-1"), "{name}");
        }
    }

    #[test]
    fn a_folder_is_named_by_its_path() {
        let model = ModelInfo {
            name: "/models/Übung".to_owned(),
            repo: None,
            commit: None,
            digest: None,
            ..ModelInfo::example()
        };
        assert!(model.is_named("/models/Übung", "whisper-1") && !model.is_named("tiny", "whisper-1"));
        assert_eq!(model.line(), "/models/_bung");
    }
}
