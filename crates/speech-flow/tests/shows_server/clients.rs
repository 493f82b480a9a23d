//! Real clients through the server, cold and warm, with and without `hf_xet` in use.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::client::{Client, answer, root, text};
use crate::served::Served;
use crate::support::{LID, WHISPER, World};

/// What a script found must be what the hub has.
#[track_caller]
fn check_files(world: &World, repo: &str, answer: &Value) {
    let files = world.hub.files(repo, "main");
    let sizes = |found: &Value| -> BTreeMap<String, u64> {
        let found = found["files"].as_object().expect("files");
        found.iter().map(|(name, file)| (name.clone(), file["size"].as_u64().expect("a size"))).collect()
    };
    let found = sizes(answer);
    assert!(!found.is_empty());
    for file in files.iter().filter(|file| found.contains_key(&file.path)) {
        assert_eq!(found[&file.path], file.size, "{}", file.path);
        let digest = file.digest.to_string();
        if digest.len() == 64 {
            assert_eq!(answer["files"][&file.path]["sha256"], digest, "{}", file.path);
        }
    }
}

#[test]
fn python_clients_get_the_hubs_files_cold_and_warm_and_the_hub_sends_them_once() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let served = Served::start(&world, "server", &[]);
    let endpoint = format!("--endpoint={}", served.endpoint);
    // "0" leaves `hf_xet`, which is installed, in use.
    for (at, disable_xet) in ["1", "0", "1", "0"].into_iter().enumerate() {
        let cache = world.folder().join(format!("client-{at}"));
        let mut command = client.script(&world, "snapshot.py", &[text(&cache), LID, "main", &endpoint]);
        check_files(&world, LID, &answer(command.env("HF_HUB_DISABLE_XET", disable_xet)));
        let mut command = client.script(&world, "whisper_download.py", &[text(&cache), WHISPER, &endpoint]);
        check_files(&world, WHISPER, &answer(command.env("HF_HUB_DISABLE_XET", disable_xet)));
    }
    let mut sent: BTreeMap<[Option<String>; 3], usize> = BTreeMap::new();
    for request in world.file_requests().into_iter().filter(|request| matches!(request.status, 200 | 206)) {
        *sent.entry([request.repo, request.file, request.range]).or_default() += 1;
    }
    assert!(!sent.is_empty() && sent.values().all(|times| *times == 1), "{sent:?}");
}

#[test]
fn the_hf_command_downloads_and_our_own_preload_does() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let served = Served::start(&world, "server", &[]);
    let mut command = client.hf(&world, &["download", WHISPER]);
    let run = world.finish(command.env("HF_ENDPOINT", &served.endpoint));
    run.exits(0);
    world.hub.clear_requests();
    let mut command = world.command(&["preload", "--all", "--json"]);
    let document = world.finish(command.env("HF_ENDPOINT", &served.endpoint)).exits(0).json();
    assert_eq!(document["models"][0]["outcome"], "downloaded", "{document}");
    let whisper = world.file_requests().into_iter().filter(|request| request.repo.as_deref() == Some(WHISPER));
    assert_eq!(whisper.filter(|request| request.bytes_sent > 0).count(), 0, "the server had it");
}

#[test]
fn transformers_read_a_model_through_the_server_cold_and_warm() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let served = Served::start(&world, "server", &[]);
    let endpoint = format!("--endpoint={}", served.endpoint);
    for cache in ["cold", "warm"] {
        let cache = world.folder().join(cache);
        let mut command = client.script(&world, "server_transformers.py", &[text(&cache), LID, &endpoint]);
        let answer = answer(&mut command);
        assert_eq!(answer["model_type"], "wav2vec2", "{answer}");
        assert!(answer["tensors"].as_u64() > Some(10) && answer["parameters"].as_u64() > Some(1000), "{answer}");
    }
    let weights =
        world.file_requests().into_iter().filter(|request| request.file.as_deref() == Some("model.safetensors"));
    let sent: u64 = weights.filter(|request| request.status < 300).map(|request| request.bytes_sent).sum();
    let size = world.hub.files(LID, "main").iter().find(|file| file.path == "model.safetensors").expect("weights").size;
    assert_eq!(sent, size, "the hub sent the weights once");
}

#[test]
#[ignore = "`make parity` runs it: it needs torch"]
fn parity_transformers_load_whole_models_through_the_server_cold_and_warm() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let served = Served::start(&world, "server", &[]);
    let (endpoint, fixtures) = (format!("--endpoint={}", served.endpoint), root().join("fixtures"));
    for cache in ["cold", "warm"] {
        let cache = world.folder().join(cache);
        let answer =
            answer(&mut client.script(&world, "server_models.py", &[text(&cache), text(&fixtures), &endpoint]));
        assert!(answer["equal_tensors"].as_u64() > Some(100), "{answer}");
    }
}

#[test]
fn faster_whisper_loads_a_model_by_name_and_hears_through_the_server() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let served = Served::start(&world, "server", &[]);
    let endpoint = format!("--endpoint={}", served.endpoint);
    let clip = root().join("fixtures/audio/en05.wav");
    for cache in ["cold", "warm"] {
        let cache = world.folder().join(cache);
        let arguments = [text(&cache), WHISPER, text(&clip), &endpoint];
        let answer = answer(&mut client.script(&world, "server_whisper.py", &arguments));
        assert_eq!(answer["text"], "The green key is under the table.", "{answer}");
    }
}

#[test]
fn a_client_that_holds_xet_hashes_works_with_the_one_setting_and_is_told_of_it_without() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let served = Served::start(&world, "server", &[]);
    let cache = world.folder().join("client");
    let endpoint = format!("--endpoint={}", served.endpoint);
    let script = |disable_xet: &str| {
        let mut command = client.script(&world, "server_xet_tree.py", &[text(&cache), LID, &endpoint]);
        command.env("HF_HUB_DISABLE_XET", disable_xet);
        answer(&mut command)
    };
    let without = script("0");
    assert_eq!(without["downloaded"], false, "{without}");
    assert!(without["reason"].as_str().is_some_and(|reason| reason.contains("501")), "{without}");
    assert_eq!(script("1")["downloaded"], true);
}

#[test]
fn the_requests_of_llama_cpp_are_answered_cold_and_warm() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let served = Served::start(&world, "server", &[]);
    let endpoint = format!("--endpoint={}", served.endpoint);
    for _ in ["cold", "warm"] {
        let answer = answer(&mut client.script(&world, "server_llama.py", &[LID, &endpoint]));
        check_files(&world, LID, &answer);
    }
}

#[test]
fn an_air_gap_is_served_from_the_lockfile_alone() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    world.run(&["lock"]).exits(0);
    let mut preload = world.command(&["preload", "--all"]);
    world.finish(preload.env("MODEL_CACHE_DIR", world.folder().join("server"))).exits(0);
    let served = Served::start(&world, "server", &["--offline"]);
    world.hub.clear_requests();
    let cache = world.folder().join("client");
    let endpoint = format!("--endpoint={}", served.endpoint);
    let mut command = client.script(&world, "whisper_download.py", &[text(&cache), WHISPER, &endpoint]);
    check_files(&world, WHISPER, &answer(&mut command));
    assert!(world.hub.requests().is_empty());
    assert!(Path::new(&cache).is_dir());
}
