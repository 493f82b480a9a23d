//! Downloads a model with `hf-hub`, the Hub's client for Rust, and says where its files are.
//!
//! ```sh
//! hf-hub-client before-one|one ENDPOINT CACHE_DIR OWNER/NAME
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

type Files = Result<BTreeMap<String, PathBuf>, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [client, endpoint, cache, repo] = &arguments[..] else {
        eprintln!("usage: hf-hub-client before-one|one ENDPOINT CACHE_DIR OWNER/NAME");
        return ExitCode::from(2);
    };
    let downloaded = match client.as_str() {
        #[cfg(feature = "before-one")]
        "before-one" => before_one(endpoint, cache, repo),
        #[cfg(feature = "one")]
        "one" => one(endpoint, cache, repo),
        other => Err(format!("`{other}` is not built in")),
    };
    let (answer, code) = match downloaded {
        Ok(files) => (json!({ "ok": true, "files": files }), 0),
        Err(error) => (json!({ "ok": false, "error": error }), 1),
    };
    println!("{answer}");
    ExitCode::from(code)
}

/// One file after another, as programs that use this interface do.
#[cfg(feature = "before-one")]
fn before_one(endpoint: &str, cache: &str, repo: &str) -> Files {
    use hf_hub_before_one::api::sync::ApiBuilder;

    let builder = ApiBuilder::new().with_endpoint(endpoint.to_owned()).with_cache_dir(cache.into());
    let api = builder.with_progress(false).with_token(None).build().map_err(|error| format!("{error:?}"))?;
    let model = api.model(repo.to_owned());
    let info = model.info().map_err(|error| format!("{error:?}"))?;
    let names = info.siblings.into_iter().map(|sibling| sibling.rfilename);
    names
        .map(|name| model.get(&name).map(|path| (name.clone(), path)).map_err(|error| format!("{name}: {error:?}")))
        .collect()
}

/// A whole snapshot.
#[cfg(feature = "one")]
fn one(endpoint: &str, cache: &str, repo: &str) -> Files {
    use hf_hub_one::{HFClient, split_id};

    let client = HFClient::builder().endpoint(endpoint).cache_dir(cache).build().map_err(|error| error.to_string())?;
    let (owner, name) = split_id(repo);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let folder =
        runtime.block_on(client.model(owner, name).snapshot_download().send()).map_err(|error| format!("{error:?}"))?;
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.clone()];
    while let Some(here) = folders.pop() {
        for entry in std::fs::read_dir(here).map_err(|error| error.to_string())? {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(name) = path.strip_prefix(&folder) {
                found.insert(name.display().to_string(), path.clone());
            }
        }
    }
    Ok(found)
}
