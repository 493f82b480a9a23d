//! A cache that the clients wrote, read by us: a hit, online and offline, without a byte.

use std::fs;

use crate::client::{Client, answer, text};
use crate::support::{LID, Run, WHISPER, World};

/// The model is a hit: offline without a request, online without a body.
#[track_caller]
fn check_hit(world: &World, model: &str) {
    for arguments in [&["preload", model, "--json", "--offline"][..], &["preload", model, "--json"]] {
        world.hub.clear_requests();
        let document = world.run(arguments).exits(0).json();
        let found = &document["models"][0];
        assert_eq!(found["outcome"], "hit", "{document}");
        assert_eq!(found["bytes_downloaded"], 0, "{document}");
        let commit = world.hub.commit(found["repo"].as_str().expect("a repository"), "main").expect("a commit");
        assert_eq!(found["commit"], commit.as_str(), "{document}");
        assert_eq!(world.file_requests(), []);
        assert!(!arguments.contains(&"--offline") || world.hub.requests().is_empty(), "a request was made offline");
    }
    world.run(&["verify", "--full", model]).exits(0);
}

#[test]
fn python_snapshots_are_a_hit_for_us_with_and_without_xet() {
    let Some(client) = Client::find() else { return };
    // "0" leaves `hf_xet`, which is installed, in use.
    for disable_xet in ["0", "1"] {
        let world = World::start();
        let cache = world.hub_cache();
        let mut command = client.script(&world, "snapshot.py", &[text(&cache), LID, "main"]);
        answer(command.env("HF_HUB_DISABLE_XET", disable_xet));
        check_hit(&world, LID);
    }
}

#[test]
fn python_files_fetched_one_by_one_are_a_hit_for_us() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let cache = world.hub_cache();
    let arguments = [text(&cache), LID, "main", "config.json", "preprocessor_config.json"];
    let fetch = |arguments: &[&str]| answer(&mut client.script(&world, "one_by_one.py", arguments));
    fetch(&arguments);
    // Two of three files are no model.
    let run = world.run(&["preload", LID, "--offline"]).exits(1);
    assert!(run.stderr().contains("offline"), "{}", run.stderr());
    fetch(&[&arguments[..3], &["model.safetensors"]].concat());
    assert!(!cache.join("models--speech-flow--tiny-lid/trees").exists(), "the client left a listing after all");
    check_hit(&world, LID);
}

#[test]
fn python_faster_whisper_downloads_are_a_hit_for_us() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let cache = world.whisper_cache();
    for model in ["tiny", WHISPER] {
        answer(&mut client.script(&world, "whisper_download.py", &[text(&cache), model]));
        check_hit(&world, model);
    }
}

#[test]
fn python_hf_command_downloads_are_a_hit_for_us() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    // Without `--cache-dir`: the cache is where the client's own variables put it.
    for (model, disable_xet) in [(LID, "0"), ("facebook/mms-lid-126", "1")] {
        let mut command = client.hf(&world, &["download", model]);
        Run::new(command.env("HF_HUB_DISABLE_XET", disable_xet).output().expect("hf starts")).exits(0);
        check_hit(&world, model);
    }
    assert!(world.hub_cache().join("models--speech-flow--tiny-lid/snapshots").is_dir());
}

#[test]
fn python_shared_blobs_are_a_hit_and_outlive_what_we_remove() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let cache = world.hub_cache();
    let twin = "facebook/mms-lid-126";
    for model in [LID, twin] {
        answer(&mut client.script(&world, "snapshot.py", &[text(&cache), model, "main"]));
    }
    // The two repositories hold the same weights; the client's store keeps them once.
    let weights = world.hub.files(LID, "main").into_iter().find(|file| file.path == "model.safetensors");
    let digest = weights.expect("weights").digest.to_string();
    let blobs = ["speech-flow--tiny-lid", "facebook--mms-lid-126"].map(|repo| format!("models--{repo}/blobs/{digest}"));
    let xet_hash = "ab".repeat(32);
    answer(&mut client.script(&world, "share_blob.py", &[text(&cache), &xet_hash, &blobs[0], &blobs[1]]));
    let payload = cache.join("blobs/ab").join(&xet_hash);
    assert!(payload.is_file() && blobs.iter().all(|blob| cache.join(blob).is_symlink()));

    check_hit(&world, LID);
    check_hit(&world, twin);
    world.run(&["clear", LID, "--yes"]).exits(0);
    check_hit(&world, twin);
    answer(&mut client.script(&world, "read_offline.py", &[text(&cache), twin, "main"]));
    world.run(&["gc"]).exits(0);
    Run::new(client.hf(&world, &["cache", "prune", "--yes"]).output().expect("hf starts")).exits(0);
    check_hit(&world, twin);
    // With its last user the payload goes too.
    world.run(&["clear", twin, "--yes"]).exits(0);
    assert!(fs::symlink_metadata(&payload).is_err(), "the payload is left behind");
}
