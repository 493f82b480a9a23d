//! A client and we write one empty cache at the same time.

use speech_flow_demo_hub::{Action, FaultRule, RequestRecord};

use crate::audit::audit;
use crate::client::{Client, answer, answer_of, text};
use crate::support::{Run, WHISPER, World, wait_until};

const WEIGHTS: &str = "model.bin";

/// A world whose weights come slowly until the faults are cleared.
fn slow_world(bytes_per_second: u64) -> World {
    let world = World::start();
    world.hub.add_fault(FaultRule::new(Action::Slow { bytes_per_second }).path(WEIGHTS)).expect("a fault");
    world
}

fn is_ours(request: &RequestRecord) -> bool {
    request.user_agent.as_deref().is_some_and(|agent| agent.starts_with("speech-flow/"))
}

fn asks_for_weights(request: &RequestRecord) -> bool {
    request.file.as_deref() == Some(WEIGHTS) && request.method == "GET" && request.status < 300
}

/// Both have ended well: every blob is right, each byte of the weights came once, and each reads the whole.
#[track_caller]
fn check_both(client: &Client, world: &World, ours: Run, theirs: &Run) {
    let document = ours.exits(0).json();
    answer_of(theirs);
    let cache = world.whisper_cache();
    // All but the card and `.gitattributes`, which the client took as well.
    assert_eq!(document["models"][0]["files"].as_array().map(Vec::len), Some(5), "{document}");
    assert_eq!(audit(&cache), 7);
    let size = world.hub.files(WHISPER, "main").into_iter().find(|file| file.path == WEIGHTS).expect("weights").size;
    let sent: u64 =
        world.file_requests().iter().filter(|request| asks_for_weights(request)).map(|r| r.bytes_sent).sum();
    assert_eq!(sent, size, "one of both did not wait for the other");
    answer(&mut client.script(world, "read_offline.py", &[text(&cache), WHISPER, "main"]));
    answer(&mut client.script(world, "hf_cache.py", &[text(&cache), "ls"]));
    let again = world.run(&["preload", WHISPER, "--json"]).exits(0).json();
    assert_eq!(again["models"][0]["outcome"], "hit", "{again}");
    world.run(&["verify", "--full", WHISPER]).exits(0);
}

#[test]
fn python_client_that_comes_second_waits_for_our_download() {
    let Some(client) = Client::find() else { return };
    let world = slow_world(32 << 10);
    let mut command = world.command(&["preload", WHISPER, "--json"]);
    let ours = command.env("SPEECH_FLOW_SEGMENT_SIZE", "128KiB").spawn().expect("the program starts");
    wait_until("our weights are on their way", || world.hub.requests().iter().any(asks_for_weights));
    let cache = world.whisper_cache();
    let theirs = client.script(&world, "snapshot.py", &[text(&cache), WHISPER, "main"]).spawn().expect("Python starts");
    wait_until("the client has asked for the weights", || {
        let requests = world.hub.requests();
        requests.iter().any(|request| !is_ours(request) && request.file.as_deref() == Some(WEIGHTS))
    });
    world.hub.clear_faults();
    let theirs = Run::new(theirs.wait_with_output().expect("it ends"));
    check_both(&client, &world, Run::new(ours.wait_with_output().expect("it ends")), &theirs);
    assert!(world.hub.requests().iter().filter(|request| asks_for_weights(request)).all(is_ours));
}

#[test]
fn python_client_that_comes_first_is_waited_for() {
    let Some(client) = Client::find() else { return };
    let world = slow_world(2 << 20);
    let cache = world.whisper_cache();
    let theirs = client.script(&world, "snapshot.py", &[text(&cache), WHISPER, "main"]).spawn().expect("Python starts");
    wait_until("the client's weights are on their way", || world.hub.requests().iter().any(asks_for_weights));
    let ours = world.run(&["preload", WHISPER, "--json"]);
    assert!(ours.stderr().contains("another"), "we did not say that we wait: {}", ours.stderr());
    let theirs = Run::new(theirs.wait_with_output().expect("it ends"));
    check_both(&client, &world, ours, &theirs);
    assert!(world.hub.requests().iter().filter(|request| asks_for_weights(request)).all(|request| !is_ours(request)));
}

#[test]
fn python_clients_and_we_started_at_once_end_right() {
    let Some(client) = Client::find() else { return };
    let world = World::start();
    let cache = world.whisper_cache();
    let clients: Vec<_> = (0..2)
        .map(|_| client.script(&world, "snapshot.py", &[text(&cache), WHISPER, "main"]).spawn().expect("Python starts"))
        .collect();
    // They take a while to import their libraries: ours begins when the first of them speaks.
    wait_until("a client is there", || !world.hub.requests().is_empty());
    let ours = world.run(&["preload", WHISPER, "--json"]);
    for theirs in clients {
        answer_of(&Run::new(theirs.wait_with_output().expect("it ends")));
    }
    let document = ours.exits(0).json();
    assert_eq!(document["models"][0]["repo"], WHISPER, "{document}");
    assert_eq!(audit(&cache), 7);
    answer(&mut client.script(&world, "read_offline.py", &[text(&cache), WHISPER, "main"]));
}
