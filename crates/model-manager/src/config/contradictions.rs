//! Settings that contradict each other, or that somebody set in vain; `doctor` shows them.

use std::ffi::OsString;
use std::path::Path;

use speech_flow_model_types::ModelSource;

use super::layers::Layers;
use super::models::own_revision;
use super::options::{self, DECLARATIONS, WATCHED};
use super::origin::Origin;
use super::{ComputeType, Config, Device, values};

/// Two settings that do not fit together, or one that has no effect.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Contradiction {
    /// What does not fit, and which side wins.
    pub what: String,
    /// One thing to do.
    pub hint: String,
}

/// A variable that is set to something.
#[derive(Clone)]
pub(super) struct Seen {
    name: &'static str,
    /// Its text, also a secret's: only for comparing, never shown.
    text: String,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Notes which of the variables that matter are set.
pub(super) fn seen(env: &dyn Fn(&str) -> Option<OsString>) -> Vec<Seen> {
    let declared = DECLARATIONS.iter().flat_map(|declaration| declaration.variables).copied();
    declared
        .chain(WATCHED.iter().copied())
        .filter_map(|name| {
            let text = env(name)?.to_string_lossy().into_owned();
            (!text.trim().is_empty()).then_some(Seen { name, text })
        })
        .collect()
}

/// Everything in a configuration that does not fit together.
pub fn contradictions(config: &Config) -> Vec<Contradiction> {
    let mut found = Found { config, list: Vec::new() };
    found.variables_of_one_setting();
    found.cache_folders();
    found.hub();
    found.network();
    found.models();
    found.list
}

struct Found<'a> {
    config: &'a Config,
    list: Vec<Contradiction>,
}

impl Found<'_> {
    fn add(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.list.push(Contradiction { what: what.into(), hint: hint.into() });
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.config.seen.iter().find(|seen| seen.name == name).map(|seen| seen.text.as_str())
    }

    /// Several variables set one thing to different values: the first counts.
    fn variables_of_one_setting(&mut self) {
        for declaration in DECLARATIONS {
            let set: Vec<&'static str> =
                declaration.variables.iter().copied().filter(|name| self.text(name).is_some()).collect();
            let Some((first, others)) = set.split_first() else { continue };
            for other in others {
                if !self.same_value(declaration.key, first, other) {
                    self.add(
                        format!("`{first}` and `{other}` are set to different values; `{first}` counts"),
                        format!("unset `{other}`, or set both to the same"),
                    );
                }
            }
        }
    }

    fn same_value(&self, key: &str, first: &str, other: &str) -> bool {
        let (Some(first), Some(other)) = (self.text(first), self.text(other)) else { return true };
        if key == options::OFFLINE.declaration.key {
            let read = |text| values::switch(text, &Layers::nowhere()).ok();
            return read(first) == read(other);
        }
        first.trim().trim_end_matches('/') == other.trim().trim_end_matches('/')
    }

    fn cache_folders(&mut self) {
        let cache = &self.config.cache;
        if matches!(cache.dir.origin, Origin::Flag(_)) {
            for name in ["HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "WHISPER_CACHE_DIR"]
            {
                if self.text(name).is_some() {
                    self.add(
                        format!("`--cache-dir` sets `{name}` aside for this run"),
                        format!("leave out `--cache-dir` to use the folder of `{name}`"),
                    );
                }
            }
        }
        let (hub, whisper) = (cache.hub.as_path(), cache.whisper.as_path());
        for (inner_name, inner, outer_name, outer) in
            [("WHISPER_CACHE_DIR", whisper, "HF_HUB_CACHE", hub), ("HF_HUB_CACHE", hub, "WHISPER_CACHE_DIR", whisper)]
        {
            if is_inside(inner, outer) {
                self.add(
                    format!(
                        "the folder of `{inner_name}` (`{}`) is inside the folder of `{outer_name}` (`{}`)",
                        inner.display(),
                        outer.display()
                    ),
                    "set both to the same folder, or to folders beside each other",
                );
            }
        }
        if self.text("PYTORCH_TRANSFORMERS_CACHE").is_some() {
            self.add(
                "`PYTORCH_TRANSFORMERS_CACHE` is set, and no program reads it any more",
                "set `HF_HUB_CACHE` instead",
            );
        }
    }

    fn hub(&mut self) {
        let hub = &self.config.hub;
        if *hub.offline && hub.endpoint.origin.is_explicit() {
            self.add(
                format!("`HF_ENDPOINT` is set ({}), but offline mode makes no request", hub.endpoint.origin),
                "unset `HF_HUB_OFFLINE` to use the endpoint",
            );
        }
        let token_in_env = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter().find(|name| self.text(name).is_some());
        if let (Some(variable), true) = (token_in_env, self.text("HF_TOKEN_PATH").is_some()) {
            self.add(
                format!("`{variable}` and `HF_TOKEN_PATH` are both set; the file is not read"),
                format!("unset `{variable}` to use the token of the file"),
            );
        }
        if let (Some(variable), true) = (token_in_env, *hub.disable_implicit_token) {
            self.add(
                format!("`{variable}` is set, but `HF_HUB_DISABLE_IMPLICIT_TOKEN` keeps it from being sent"),
                "unset one of the two",
            );
        }
        if let Some(problem) = &hub.token_file_problem {
            self.add(
                format!("the token file cannot be used: {problem}"),
                "write the token to it again with `hf auth login`",
            );
        }
        if hub.token.is_some() && hub.endpoint.scheme() == "http" && !is_loopback(&hub.endpoint) {
            self.add(
                format!("the token goes to `{}` without encryption", values::without_credentials(&hub.endpoint)),
                "give `HF_ENDPOINT` an `https` address",
            );
        }
        for (name, instead) in [
            ("HF_HUB_ENABLE_HF_TRANSFER", "unset it; files are fetched over several connections anyway"),
            ("HUGGINGFACE_CO_STAGING", "unset it, or set `HF_ENDPOINT` to the hub that you mean"),
            ("HF_OIDC_RESOURCE", "set `HF_TOKEN` for models that need a token"),
        ] {
            if self.text(name).is_some() {
                self.add(format!("`{name}` is set, and has no effect here"), instead);
            }
        }
    }

    fn network(&mut self) {
        if !self.config.network.ca_file.origin.is_explicit() {
            for name in ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"] {
                if self.text(name).is_some() {
                    self.add(
                        format!("`{name}` is set, and has no effect here"),
                        "set `SSL_CERT_FILE` to the PEM file of your certificate authority",
                    );
                }
            }
        }
        let download = &self.config.download;
        if *download.lanes_per_file > *download.lanes && download.lanes_per_file.origin.is_explicit() {
            self.add(
                format!(
                    "{} lanes a file ({}) are more than the {} lanes of all files",
                    *download.lanes_per_file, download.lanes_per_file.origin, *download.lanes
                ),
                "raise `SPEECH_FLOW_LANES`, or lower `SPEECH_FLOW_LANES_PER_FILE`",
            );
        }
    }

    fn models(&mut self) {
        let (whisper, lid) = (&self.config.whisper, &self.config.lid);
        for (name, revision_name, model, revision) in [
            ("WHISPER_MODEL_NAME", "WHISPER_MODEL_REVISION", &whisper.model, &whisper.revision),
            ("LID_MODEL_ID", "LID_MODEL_REVISION", &lid.model, &lid.revision),
        ] {
            if !revision.origin.is_explicit() {
                continue;
            }
            if matches!(model.source, ModelSource::Folder(_)) {
                self.add(
                    format!("`{revision_name}` is set, but the model of `{name}` is a folder and has no revisions"),
                    format!("unset `{revision_name}`"),
                );
            } else if let Some(own) = own_revision(model).filter(|own| **own != revision.value) {
                self.add(
                    format!("`{name}` asks for `{own}` and `{revision_name}` for `{}`; `{own}` counts", revision.value),
                    format!("write the revision only in `{revision_name}`"),
                );
            }
        }
        let cuda_usable = self.config.facts.cuda_usable;
        let on_cpu = *whisper.device == Device::Cpu || *whisper.device == Device::Auto && !cuda_usable;
        let needs_gpu = matches!(*whisper.compute_type, ComputeType::Float16 | ComputeType::Int8Float16);
        if on_cpu && needs_gpu {
            self.add(
                format!(
                    "`WHISPER_COMPUTE_TYPE` is `{}`, which processors do not compute in",
                    whisper.compute_type.as_str()
                ),
                "set it to `int8` or `float32`, or unset it",
            );
        }
        if *whisper.device == Device::Cuda && !cuda_usable {
            self.add(
                "`WHISPER_DEVICE` is `cuda`, but no NVIDIA GPU is visible here",
                "give the process a GPU, or set `WHISPER_DEVICE=auto`",
            );
        }
    }
}

fn is_inside(inner: &Path, outer: &Path) -> bool {
    inner != outer && inner.starts_with(outer)
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
