//! The client's clean-up commands on a cache of ours: they take what was asked for and nothing else.

use std::process::Child;

use speech_flow_demo_hub::{Action, FaultRule};

use crate::audit::audit;
use crate::client::Client;
use crate::support::{LID, Run, WHISPER, World, files_below, wait_until};

#[track_caller]
fn hf_cache(client: &Client, world: &World, arguments: &[&str]) -> Run {
    let mut command = client.hf(world, &[&["cache"], arguments].concat());
    Run::new(command.output().expect("hf starts")).exits(0)
}

#[track_caller]
fn check_whole(world: &World, revision: &str) {
    let arguments = ["preload", LID, "--revision", revision, "--offline", "--json"];
    let document = world.run(&arguments).exits(0).json();
    assert_eq!(document["models"][0]["outcome"], "hit", "{document}");
    world.run(&["verify", "--full", &format!("{LID}@{revision}")]).exits(0);
}

#[test]
fn python_prune_takes_nothing_of_what_we_wrote() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    world.run(&["preload", LID, "facebook/mms-lid-126"]).exits(0);
    world.run(&["preload", LID, "--revision", "v1"]).exits(0);
    let before = files_below(&world.cache_dir());
    hf_cache(&client, &world, &["prune", "--yes"]);
    assert_eq!(files_below(&world.cache_dir()), before);
    check_whole(&world, "main");
    check_whole(&world, "v1");
}

#[test]
fn python_rm_of_a_revision_leaves_what_the_other_shares_with_it() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    for revision in ["v1", "main"] {
        world.run(&["preload", LID, "--revision", revision]).exits(0);
    }
    let old = world.hub.commit(LID, "v1").expect("a commit");
    let blobs = audit(&world.hub_cache());
    hf_cache(&client, &world, &["rm", old.as_str(), "--yes"]);
    check_whole(&world, "main");
    assert_eq!(audit(&world.hub_cache()), blobs - 1, "only the old configuration goes");
    let run = world.run(&["preload", LID, "--revision", "v1", "--offline"]).exits(1);
    assert!(run.stderr().contains("offline"), "{}", run.stderr());
    let document = world.run(&["preload", LID, "--revision", "v1", "--json"]).exits(0).json();
    let fetched = document["models"][0]["bytes_downloaded"].as_u64().expect("bytes");
    assert!(fetched < 64 << 10, "{fetched} bytes came again");
}

#[test]
fn python_rm_of_a_repository_leaves_the_others_and_we_fetch_it_again() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    world.run(&["preload", LID, "facebook/mms-lid-126", WHISPER]).exits(0);
    hf_cache(&client, &world, &["rm", "model/facebook/mms-lid-126", "--yes"]);
    check_whole(&world, "main");
    let listed = world.run(&["list", "--json"]).exits(0).stdout();
    assert!(listed.contains(LID) && !listed.contains("facebook/mms-lid-126"), "{listed}");
    world.run(&["preload", WHISPER, "--offline"]).exits(0);
    let document = world.run(&["preload", "facebook/mms-lid-126", "--json"]).exits(0).json();
    assert_ne!(document["models"][0]["outcome"], "hit", "{document}");
    audit(&world.hub_cache());
}

/// Our download under way, with weights that come slowly until the faults are cleared.
fn start_slowly(world: &World) -> Child {
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 32 << 10 }).path("*.safetensors");
    world.hub.add_fault(slow).expect("a fault");
    let mut command = world.command(&["preload", LID, "--json"]);
    let child = command.env("SPEECH_FLOW_SEGMENT_SIZE", "64KiB").spawn().expect("the program starts");
    wait_until("bytes of the weights arrive", || {
        world.file_requests().iter().any(|request| {
            request.file.as_deref() == Some("model.safetensors") && request.status < 300 && request.bytes_sent > 0
        })
    });
    child
}

#[test]
fn python_prune_during_our_download_takes_nothing_of_it() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let child = start_slowly(&world);
    let left_behind = world.hub_cache().join("models--speech-flow--tiny-lid/blobs/left-behind.incomplete");
    std::fs::create_dir_all(left_behind.parent().expect("a folder")).expect("made");
    std::fs::write(&left_behind, "a part").expect("written");
    hf_cache(&client, &world, &["prune", "--yes"]);
    assert!(!left_behind.exists(), "the client takes downloads of its own kind, under way or not");
    world.hub.clear_faults();
    let document = Run::new(child.wait_with_output().expect("it ends")).exits(0).json();
    let model = &document["models"][0];
    assert_eq!(model["bytes_downloaded"], model["bytes_total"], "bytes were lost and came again: {document}");
    audit(&world.hub_cache());
    check_whole(&world, "main");
}
