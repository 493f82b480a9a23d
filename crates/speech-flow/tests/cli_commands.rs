//! What each command does and prints, against the embedded hub.

use std::fs;

use serde_json::Value;
use speech_flow_demo_hub::{DemoHub, Repository};

#[path = "support/support.rs"]
mod support;

use support::{LID, WHISPER, World, files_below};

fn outcomes(document: &Value) -> Vec<&str> {
    document["models"]
        .as_array()
        .expect("models")
        .iter()
        .map(|model| model["outcome"].as_str().expect("text"))
        .collect()
}

fn snapshot(world: &World, name: &str, text: &str) {
    let text = world.stable(text);
    insta::with_settings!({filters => vec![
        (r"in \d+\.\d s", "in [TIME]"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d", "[DATE]"),
        (r"[ \t]+\n", "\n"),
    ]}, { insta::assert_snapshot!(name, text) });
}

#[test]
fn preload_fetches_both_models_and_then_asks_for_no_file() {
    let world = World::start();
    let first = world.run(&["preload", "--all", "--json"]).exits(0).json();
    assert_eq!(outcomes(&first), ["downloaded", "downloaded"]);
    for model in first["models"].as_array().expect("models") {
        let total: u64 =
            model["files"].as_array().expect("files").iter().map(|file| file["size"].as_u64().expect("size")).sum();
        assert_eq!(model["bytes_total"], total);
        assert_eq!(model["bytes_downloaded"], total);
        assert_eq!(model["revision"], "main");
        assert_eq!(model["commit"].as_str().map(str::len), Some(40));
        assert!(model["seconds"].as_f64().is_some());
        for file in model["files"].as_array().expect("files") {
            let path =
                std::path::Path::new(model["path"].as_str().expect("path")).join(file["path"].as_str().expect("path"));
            assert_eq!(fs::metadata(&path).expect("the file").len(), file["size"].as_u64().expect("size"), "{path:?}");
            assert!(file["digest"].as_str().expect("digest").contains(':'), "{file}");
        }
    }
    world.hub.clear_requests();
    let second = world.run(&["preload", "--all", "--json"]).exits(0).json();
    assert_eq!(outcomes(&second), ["hit", "hit"]);
    assert_eq!(second["models"][0]["bytes_downloaded"], 0);
    assert_eq!(world.file_bytes(), 0);
}

#[test]
fn whisper_and_lid_choose_one_configured_model_each() {
    let world = World::start();
    for (flag, repo) in [("--whisper", WHISPER), ("--lid", LID)] {
        let document = world.run(&["preload", flag, "--json"]).exits(0).json();
        assert_eq!(document["models"].as_array().map(Vec::len), Some(1));
        assert_eq!(document["models"][0]["repo"], repo);
    }
}

#[test]
fn one_model_that_fails_does_not_stop_the_others_and_the_worst_code_counts() {
    let world = World::start();
    let run = world.run(&["preload", "demo/nothing", LID, "--json"]).exits(1);
    let document = run.json();
    assert_eq!(document["models"][0]["repo"], LID);
    assert_eq!(document["failed"][0]["name"], "demo/nothing");
    assert!(run.stderr().contains("error: "), "{}", run.stderr());
    assert!(run.stderr().contains("1 ready, 1 failed"), "{}", run.stderr());
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_is_missing() {
    let world = World::start();
    let before = world.run(&["preload", "--all", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(before["models"][0]["bytes_to_fetch"], before["models"][0]["bytes_total"]);
    assert!(files_below(&world.cache_dir()).is_empty(), "{:?}", files_below(&world.cache_dir()));
    assert_eq!(world.file_bytes(), 0);
    world.run(&["preload", "--whisper"]).exits(0);
    let after = world.run(&["preload", "--all", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(after["models"][0]["bytes_to_fetch"], 0);
    assert_ne!(after["models"][1]["bytes_to_fetch"], 0);
}

#[test]
fn include_and_exclude_choose_files() {
    let world = World::start();
    let document = world
        .run(&[
            "preload",
            "speech-flow/tiny-whisper",
            "--include",
            "*.json",
            "--include",
            "*.safe*",
            "--exclude",
            "added*",
            "--json",
        ])
        .json();
    let files: Vec<&str> = document["models"][0]["files"]
        .as_array()
        .unwrap_or_else(|| panic!("no files: {document}"))
        .iter()
        .map(|file| file["path"].as_str().expect("path"))
        .collect();
    assert!(files.contains(&"config.json") && files.contains(&"model.safetensors"), "{files:?}");
    assert!(!files.iter().any(|file| file.starts_with("added") || file.ends_with(".txt")), "{files:?}");
}

#[test]
fn revisions_stand_side_by_side() {
    let world = World::start();
    let commit = |arguments: &[&str]| world.run(arguments).exits(0).json()["models"][0]["commit"].clone();
    let main = commit(&["preload", LID, "--json"]);
    let v1 = commit(&["preload", LID, "--revision", "v1", "--json"]);
    let next = commit(&["preload", &format!("{LID}@next"), "--json"]);
    assert!(main != v1 && v1 != next && main != next);
    let list = world.run(&["list", "--json"]).exits(0).json();
    let revisions: usize = list["caches"]
        .as_array()
        .expect("caches")
        .iter()
        .flat_map(|cache| cache["repos"].as_array().expect("repos"))
        .map(|repo| repo["revisions"].as_array().expect("revisions").len())
        .sum();
    assert_eq!(revisions, 3);
    assert_eq!(commit(&["info", &format!("{LID}@v1"), "--json"]), v1);
}

#[test]
fn path_prints_the_folder_and_nothing_else() {
    let world = World::start();
    world.run(&["path", LID]).exits(1);
    world.run(&["preload", "--lid"]).exits(0);
    let run = world.run(&["path", LID]).exits(0);
    let folder = run.stdout();
    assert!(folder.ends_with('\n') && folder.lines().count() == 1);
    assert!(std::path::Path::new(folder.trim_end()).join("config.json").is_file(), "{folder}");
    assert_eq!(run.stderr(), "");
}

#[test]
fn output_for_people_is_as_written() {
    let world = World::start();
    let text = |arguments: &[&str]| {
        let run = world.run(arguments).exits(0);
        format!("$ speech-flow {}\n{}--- stderr\n{}\n", arguments.join(" "), run.stdout(), run.stderr())
    };
    let story = [
        text(&["preload", "--all", "--dry-run"]),
        text(&["preload", "--all"]),
        text(&["preload", "--all"]),
        text(&["verify"]),
        text(&["lock"]),
        text(&["lock"]),
        text(&["lock", "--check"]),
        text(&["update"]),
        text(&["pin", LID]),
        text(&["list"]),
        text(&["unpin", LID]),
        text(&["gc", "--dry-run"]),
        text(&["clear", "--lid", "--dry-run"]),
        text(&["clear", "--lid", "--yes"]),
        text(&["clear", "--lid", "--yes"]),
    ];
    snapshot(&world, "story", &story.concat().replace(&human_free(&story[0]), "[FREE]"));
}

/// The free space of this machine, as the forecast says it.
fn human_free(text: &str) -> String {
    let line = text.lines().find(|line| line.ends_with(" free")).unwrap_or_default();
    line.rsplit("  ").next().unwrap_or_default().to_owned()
}

#[test]
fn verify_finds_a_flipped_byte_that_quick_does_not() {
    let world = World::start();
    world.run(&["preload", "--lid"]).exits(0);
    let folder = world.run(&["path", LID]).exits(0).stdout();
    let weights = fs::canonicalize(format!("{}/model.safetensors", folder.trim_end())).expect("the blob");
    let mut bytes = fs::read(&weights).expect("read");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).expect("written");
    world.run(&["verify", LID, "--quick"]).exits(0);
    let run = world.run(&["verify", LID, "--json"]).exits(1);
    let model = run.json()["models"][0].clone();
    assert_eq!(model["good"], false);
    let bad: Vec<&Value> =
        model["files"].as_array().expect("files").iter().filter(|file| !file["problem"].is_null()).collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0]["path"], "model.safetensors");
}

#[test]
fn clear_refuses_without_a_terminal_and_keeps_what_is_pinned() {
    let world = World::start();
    world.run(&["preload", "--all"]).exits(0);
    let run = world.run(&["clear", "--all"]).exits(2);
    assert!(run.stderr().contains("hint: add `--yes`"), "{}", run.stderr());
    world.run(&["clear", "--yes"]).exits(2);
    world.run(&["pin", WHISPER]).exits(0);
    world.run(&["clear", "--all", "--yes"]).exits(1);
    world.run(&["path", WHISPER]).exits(0);
    world.run(&["path", LID]).exits(1);
    world.run(&["unpin", WHISPER]).exits(0);
    let report = world.run(&["clear", WHISPER, "--yes", "--json"]).exits(0).json();
    assert!(report["freed_bytes"].as_u64() > Some(1 << 20), "{report}");
    world.run(&["path", WHISPER]).exits(1);
}

#[test]
fn clear_cache_fetches_anew() {
    let world = World::start();
    world.run(&["preload", "--lid"]).exits(0);
    let document = world.run(&["preload", "--lid", "--clear-cache", "--json"]).exits(0).json();
    assert_eq!(outcomes(&document), ["downloaded"]);
    assert_ne!(document["models"][0]["bytes_downloaded"], 0);
}

#[test]
fn update_check_says_what_moved_and_update_moves_the_lockfile_after_fetching() {
    let world = World::start();
    world.run(&["lock"]).exits(0);
    world.run(&["preload", "--all", "--locked"]).exits(0);
    world.run(&["update", "--check"]).exits(0);
    world.run(&["update", "--check", "turbo"]).exits(1);
    let old = world.hub.commit(LID, "main").expect("a commit");
    let new = world.hub.set_head(LID, "main", "next").expect("moved");
    let run = world.run(&["update", "--check", "--json"]).exits(1);
    let change = run.json()["changes"][0].clone();
    assert_eq!(change["old_commit"], old.as_str());
    assert_eq!(change["new_commit"], new.as_str());
    assert_eq!(change["changed"][0]["path"], "preprocessor_config.json");
    assert!(change["bytes_to_fetch"].as_u64() > Some(0));
    // The lockfile still decides.
    let locked = world.run(&["preload", "--lid", "--locked", "--json"]).exits(0).json();
    assert_eq!(locked["models"][0]["commit"], old.as_str());
    world.run(&["update"]).exits(0);
    let locked = world.run(&["preload", "--lid", "--locked", "--json"]).exits(0).json();
    assert_eq!(locked["models"][0]["commit"], new.as_str());
    assert_eq!(locked["models"][0]["outcome"], "hit");
    world.run(&["update", "--check"]).exits(0);
}

#[test]
fn lock_check_and_locked_refuse_what_is_not_locked() {
    let world = World::start();
    world.run(&["lock", "--check"]).exits(1);
    world.run(&["preload", "--all", "--locked"]).exits(1);
    world.run(&["lock"]).exits(0);
    world.run(&["lock", "--check"]).exits(0);
    let mut other = world.command(&["lock", "--check", "--json"]);
    other.env("LID_MODEL_REVISION", "v1");
    let document = world.finish(&mut other).exits(1).json();
    assert_eq!(document["fits"], false);
    assert_eq!(document["differences"][0]["difference"], "revision");
    let mut other = world.command(&["preload", "--lid", "--locked"]);
    other.env("LID_MODEL_REVISION", "v1");
    world.finish(&mut other).exits(1);
}

#[test]
fn gc_keeps_so_many_revisions_and_names_what_it_removed() {
    let world = World::start();
    for revision in ["v1", "main", "next"] {
        world.run(&["preload", LID, "--revision", revision]).exits(0);
    }
    let mut command = world.command(&["gc", "--keep-revisions", "1", "--json"]);
    command.env("SPEECH_FLOW_GRACE_PERIOD", "0");
    let document = world.finish(&mut command).exits(0).json();
    let removed: usize = document["caches"]
        .as_array()
        .expect("caches")
        .iter()
        .map(|cache| {
            cache["removed"].as_array().expect("removed").iter().filter(|item| item["item"] == "revision").count()
        })
        .sum();
    assert_eq!(removed, 2, "{document}");
}

#[test]
fn gc_that_cannot_reach_the_limit_says_what_stays() {
    let world = World::start();
    world.run(&["preload", "--lid"]).exits(0);
    let run = world.run(&["gc", "--max-size", "1KiB"]).exits(1);
    assert!(run.stderr().contains("younger than the grace period"), "{}", run.stderr());
    world.run(&["path", LID]).exits(0);
}

#[test]
fn config_says_where_each_value_came_from_and_no_token() {
    let world = World::start();
    fs::write(world.folder().join("speech-flow.toml"), "[download]\nlanes = 3\n").expect("written");
    let mut command = world.command(&["config", "--json", "--cache-dir", "elsewhere"]);
    command.env("HF_TOKEN", "hf_verysecretverysecretverysecret00");
    let run = world.finish(&mut command).exits(0);
    assert!(!run.stdout().contains("verysecret"), "{}", run.stdout());
    let document = run.json();
    let from = |key: &str| {
        let rows = document["settings"].as_array().expect("settings");
        rows.iter().find(|row| row["key"] == key).expect("the setting")["origin"].as_str().expect("text").to_owned()
    };
    assert_eq!(from("cache.dir"), "--cache-dir");
    assert_eq!(from("hub.endpoint"), "$HF_ENDPOINT");
    assert!(from("download.lanes").ends_with("speech-flow.toml:2"), "{}", from("download.lanes"));
    assert_eq!(from("download.segment-size"), "default");
    assert!(world.run(&["config"]).exits(0).stdout().starts_with("SETTING"));
}

#[test]
fn doctor_is_content_with_a_hub_that_answers_and_names_one_that_does_not() {
    let world = World::start();
    let document = world.run(&["doctor", "--json"]).exits(0).json();
    assert!(
        document["findings"].as_array().expect("findings").iter().all(|finding| finding["status"] != "bad"),
        "{document}"
    );
    let mut command = world.command(&["doctor"]);
    command.env("HF_ENDPOINT", "http://127.0.0.1:1").env("MODEL_DOWNLOAD_MAX_RETRIES", "0");
    let run = world.finish(&mut command).exits(1);
    assert!(run.stdout().contains("http://127.0.0.1:1"), "{}", run.stdout());
}

#[test]
fn offline_is_a_hit_for_what_is_complete_and_a_miss_for_the_rest() {
    let world = World::start();
    world.run(&["preload", "--whisper"]).exits(0);
    world.hub.clear_requests();
    let document = world.run(&["preload", "--whisper", "--offline", "--json"]).exits(0).json();
    assert_eq!(outcomes(&document), ["hit"]);
    let run = world.run(&["preload", "--lid", "--offline"]).exits(1);
    assert!(run.stderr().contains("hint: "), "{}", run.stderr());
    let mut command = world.command(&["preload", "--lid"]);
    command.env("HF_HUB_OFFLINE", "1");
    world.finish(&mut command).exits(1);
    assert!(world.hub.requests().is_empty(), "{:?}", world.hub.requests());
}

#[test]
fn an_incomplete_snapshot_is_a_miss_offline_that_lists_what_is_missing() {
    let world = World::start();
    world.run(&["preload", "--lid"]).exits(0);
    let folder = world.run(&["path", LID]).exits(0).stdout();
    let weights = format!("{}/model.safetensors", folder.trim_end());
    fs::remove_file(fs::canonicalize(&weights).expect("the blob")).expect("removed");
    fs::remove_file(&weights).expect("removed");
    let run = world.run(&["preload", "--lid", "--offline"]).exits(1);
    assert!(run.stderr().contains("`model.safetensors`"), "{}", run.stderr());
}

#[test]
fn a_folder_is_used_as_it_is() {
    let world = World::with(DemoHub::builder());
    world.run(&["preload", "./nowhere"]).exits(1);
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/tiny-whisper-ct2");
    let document = world.run(&["preload", model, "--json"]).exits(0).json();
    assert_eq!(outcomes(&document), ["hit"]);
    assert!(document["models"][0]["repo"].is_null());
    assert!(files_below(&world.cache_dir()).is_empty());
}

#[test]
fn a_hit_with_the_hub_gone_needs_no_flag() {
    let world = World::start();
    world.run(&["preload", "--lid"]).exits(0);
    let mut command = world.command(&["preload", "--lid", "--json"]);
    command.env("HF_ENDPOINT", "http://127.0.0.1:1").env("MODEL_DOWNLOAD_MAX_RETRIES", "0");
    let run = world.finish(&mut command).exits(0);
    assert_eq!(outcomes(&run.json()), ["hit"]);
}

#[test]
fn further_configured_models_are_part_of_all() {
    let repository = Repository::builder("org/extra").file("data.txt", "1").build().expect("a repository");
    let world = World::with(DemoHub::builder().demo().expect("demo").repository(repository));
    fs::write(world.folder().join("speech-flow.toml"), "[[model]]\nname = \"org/extra\"\n").expect("written");
    let document = world.run(&["preload", "--all", "--json"]).exits(0).json();
    assert_eq!(document["models"][2]["repo"], "org/extra");
}
