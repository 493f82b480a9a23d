//! A cache that we wrote, read by the clients.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use speech_flow_demo_hub::Endpoint;

use crate::client::{Client, answer, root, text};
use crate::support::{LID, Run, WHISPER, World, files_below};
use crate::wrapped::wrapped;

/// What `huggingface_hub` sees is what the hub has, file for file.
#[track_caller]
fn check_files(world: &World, repo: &str, seen: &Value, count: usize) {
    let seen = seen["files"].as_object().expect("files");
    assert_eq!(seen.len(), count, "{seen:?}");
    for file in world.hub.files(repo, "main").into_iter().filter(|file| seen.contains_key(&file.path)) {
        assert_eq!(seen[&file.path]["size"], file.size, "{}", file.path);
        if file.digest.to_string().len() == 64 {
            assert_eq!(seen[&file.path]["sha256"], file.digest.to_string(), "{}", file.path);
        }
    }
}

#[test]
fn python_hub_client_reads_lists_and_verifies_what_we_wrote() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    world.run(&["preload", "--all"]).exits(0);
    let caches = [(world.whisper_cache(), WHISPER, "vocabulary.*", 5), (world.hub_cache(), LID, "*.safetensors", 3)];
    for (cache, repo, pattern, count) in &caches {
        world.hub.clear_requests();
        let mut arguments = vec![text(cache), repo, "main"];
        for pattern in ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", pattern] {
            arguments.extend(["--allow", pattern]);
        }
        let seen = answer(&mut client.script(&world, "read_offline.py", &arguments));
        check_files(&world, repo, &seen, *count);
        let listed = answer(&mut client.script(&world, "hf_cache.py", &[text(cache), "ls"]));
        let revisions = listed["revisions"].as_array().expect("revisions");
        assert_eq!(revisions.len(), 1, "{listed}");
        let commit = world.hub.commit(repo, "main").expect("a commit");
        assert!(revisions[0].to_string().contains(commit.as_str()), "{listed}");
        assert_eq!(world.hub.requests(), [], "a request was made offline");
        // Without the files that the model does not need: the card and `.gitattributes`.
        verify(&client, &world, text(cache), repo, "0");
    }
}

#[track_caller]
fn verify(client: &Client, world: &World, cache: &str, repo: &str, complete: &str) -> Value {
    let arguments = [cache, "verify", "--repo", repo, "--complete", complete];
    answer(&mut client.script(world, "hf_cache.py", &arguments))
}

#[test]
fn python_hub_client_verifies_a_whole_repository_that_we_wrote() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    world.run(&["preload", LID, "--include", "*"]).exits(0);
    let cache = world.hub_cache();
    verify(&client, &world, text(&cache), LID, "1");
    let seen = answer(&mut client.script(&world, "read_offline.py", &[text(&cache), LID, "main"]));
    check_files(&world, LID, &seen, 5);
    // The check has teeth: one byte is enough.
    let weights = files_below(&cache).into_iter().find(|path| path.ends_with("model.safetensors")).expect("there");
    let mut bytes = fs::read(&weights).expect("read");
    bytes[1000] ^= 1;
    fs::write(&weights, bytes).expect("written");
    let mut command = client.script(&world, "hf_cache.py", &[text(&cache), "verify", "--repo", LID]);
    let run = Run::new(command.output().expect("Python starts")).exits(1);
    assert!(run.stdout().contains("Verification failed for"), "{}", run.stdout());
}

#[test]
fn python_transformers_reads_what_we_wrote() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    world.run(&["preload", "--lid"]).exits(0);
    let cache = world.hub_cache();
    let seen = answer(&mut client.script(&world, "transformers_read.py", &[text(&cache), LID, "main"]));
    assert_eq!(seen["architectures"][0], "Wav2Vec2ForSequenceClassification", "{seen}");
    assert_eq!(seen["labels"], 16, "{seen}");
    assert_eq!(seen["sampling_rate"], 16000, "{seen}");
}

#[test]
fn python_faster_whisper_transcribes_with_what_we_wrote() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    world.run(&["preload", "tiny", WHISPER]).exits(0);
    let folder = world.run(&["path", WHISPER]).exits(0).stdout();
    let (cache, audio) = (world.whisper_cache(), root().join("fixtures/audio/en05.wav"));
    world.hub.clear_requests();
    let named = [&["tiny", text(&audio), "--cache-dir", text(&cache)][..], &[folder.trim(), text(&audio)]];
    for arguments in named {
        let heard = answer(&mut client.script(&world, "whisper_read.py", arguments));
        assert_eq!(heard["text"], "The green key is under the table.", "{arguments:?}");
        assert_eq!(heard["language"], "en", "{arguments:?}");
    }
    assert_eq!(world.hub.requests(), [], "a request was made offline");
}

#[test]
fn python_clients_read_snapshots_of_plain_files() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let mut command = world.command(&["preload", LID, "--include", "*"]);
    world.finish(command.env("HF_HUB_DISABLE_SYMLINKS", "1")).exits(0);
    let cache = world.hub_cache();
    assert!(files_below(&cache).iter().all(|path| !path.is_symlink()));
    let seen = answer(&mut client.script(&world, "read_offline.py", &[text(&cache), LID, "main"]));
    check_files(&world, LID, &seen, 5);
    answer(&mut client.script(&world, "hf_cache.py", &[text(&cache), "ls"]));
    verify(&client, &world, text(&cache), LID, "1");
}

#[test]
fn python_client_uses_our_listing_and_everybody_may_read_it() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let words = ["sh", "-c", "umask 022 && exec \"$@\"", "sh"];
    world.finish(&mut wrapped(&words, &world.command(&["preload", LID]))).exits(0);
    let cache = world.hub_cache();
    let commit = world.hub.commit(LID, "main").expect("a commit");
    let listing = cache.join(format!("models--speech-flow--tiny-lid/trees/{commit}.json"));
    assert!(listing.is_file());
    for path in files_below(&world.cache_dir()) {
        let metadata = fs::symlink_metadata(&path).expect("there");
        if metadata.is_file() {
            assert_eq!(metadata.permissions().mode() & 0o777, 0o644, "{}", path.display());
        }
    }
    world.hub.clear_requests();
    let seen = answer(&mut client.script(&world, "snapshot.py", &[text(&cache), LID, "main"]));
    check_files(&world, LID, &seen, 5);
    let requests = world.hub.requests();
    assert!(requests.iter().any(|request| request.endpoint == Endpoint::Info), "{requests:#?}");
    assert!(requests.iter().all(|request| request.endpoint != Endpoint::Tree), "{requests:#?}");
    // Only what we had no reason to fetch came now.
    let mut fetched: Vec<_> = world.file_requests().into_iter().filter_map(|request| request.file).collect();
    fetched.sort();
    assert_eq!(fetched, [".gitattributes", "README.md"]);
}
