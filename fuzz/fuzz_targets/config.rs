//! `speech-flow.toml`, with a secret in the environment that must not come out anywhere.

#![no_main]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_fit_to_show, assert_one_line, bounded};
use speech_flow_model_manager::config::{Config, ConfigError, ConfigSources, SystemFacts, contradictions};
use speech_flow_model_types::ModelSource;
use url::Url;

const TOKEN: &str = "hf_aVeryLongSecretOfTheEnvironment";
const TEN_YEARS: Duration = Duration::from_secs(3660 * 86_400);

fuzz_target!(|text: &str| {
    match bounded(text.len(), 1024, || load(text)) {
        Ok(config) => check(&config),
        Err(error) => {
            assert_fit_to_show(&error);
            error.hint().iter().for_each(|hint| assert_one_line(hint));
            assert!(!format!("{error:?}").contains(TOKEN));
            if let ConfigError::BadFile { line, .. } = error {
                assert!((1..=1 + text.matches('\n').count()).contains(&line), "line {line} of {text:?}");
            }
        }
    }
});

fn load(text: &str) -> Result<Config, ConfigError> {
    Config::load(&ConfigSources {
        env: &|name| match name {
            "HF_TOKEN" => Some(OsString::from(TOKEN)),
            "DATA" => Some(OsString::from("/data")),
            _ => None,
        },
        flags: Vec::new(),
        files: vec![(PathBuf::from("/etc/speech-flow/speech-flow.toml"), text.to_owned())],
        facts: SystemFacts {
            home: Some(PathBuf::from("/home/ada")),
            cache_home: Some(PathBuf::from("/home/ada/.cache")),
            models_dir_exists: false,
            cuda_usable: false,
            current_dir: PathBuf::from("/home/ada"),
        },
        is_folder: &|_| false,
    })
}

fn check(config: &Config) {
    let cache = &config.cache;
    let paths: [&Path; 7] = [
        &cache.dir,
        &cache.hf_home,
        &cache.hub,
        &cache.whisper,
        &cache.state_dir,
        &config.lockfile,
        &config.hub.token_files[0],
    ];
    for path in paths {
        assert!(path.is_absolute(), "{path:?}");
    }
    let download = &config.download;
    assert!((1..=64).contains(&*download.lanes) && (1..=64).contains(&*download.lanes_per_file));
    assert!(*download.max_retries <= 100);
    assert!((64 << 10..=1 << 30).contains(&download.segment_size.0));
    assert!(download.rate_limit.is_none_or(|limit| limit.0 > 0));
    let timeouts = [*download.stall_timeout, *config.hub.etag_timeout];
    assert!(timeouts.iter().all(|timeout| !timeout.is_zero() && *timeout <= TEN_YEARS));
    assert!(*download.retry_delay <= TEN_YEARS && *cache.grace_period <= TEN_YEARS);
    let endpoint = &config.hub.endpoint;
    assert!(matches!(endpoint.scheme(), "http" | "https") && endpoint.has_host());
    assert!(endpoint.query().is_none() && endpoint.fragment().is_none());
    check_models(config);
    check_shown(config);
}

fn check_models(config: &Config) {
    let models = config.models();
    assert!(models.len() >= 2);
    for (index, model) in models.iter().enumerate().skip(2) {
        let before = &models[2..index];
        assert!(before.iter().all(|other| other.spec.source != model.spec.source), "a model twice");
        if let ModelSource::Hub { repo, .. } = &model.spec.source {
            assert_eq!(repo.as_str().parse().as_ref(), Ok(repo));
        }
    }
}

/// Nothing that grants access is in what people see.
fn check_shown(config: &Config) {
    // A file may keep the token from being sent, and never sets it.
    let token = config.hub.token.as_ref().map(|token| token.expose());
    assert_eq!(token, (!*config.hub.disable_implicit_token).then_some(TOKEN));
    assert!(!format!("{config:?}").contains(TOKEN));
    for row in config.rows() {
        assert!(!row.value.contains(TOKEN));
        let is_address = row.key.ends_with("-proxy") || row.key == "hub.endpoint";
        if let (true, Ok(address)) = (is_address, Url::parse(&row.value)) {
            assert!(address.password().is_none(), "{} shows a password", row.key);
            assert!(["", "%E2%80%A6"].contains(&address.username()), "{} shows a user", row.key);
        }
    }
    for contradiction in contradictions(config) {
        assert!(!contradiction.what.contains(TOKEN) && !contradiction.hint.contains(TOKEN));
    }
}
