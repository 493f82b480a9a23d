//! Transfers that break or are killed go on.

use std::thread;
use std::time::Duration;

use crate::audit::audit;
use crate::network::Network;
use crate::registry::Door;
use crate::scene::{FILES, FORMATS, REPO, Reader, Scene, WEIGHTS};
use crate::support::wait_until;

#[test]
fn a_killed_preload_goes_on_where_it_was() {
    let Some(scene) = Scene::start(&Door::Open) else { return };
    for format in FORMATS {
        scene.pack(format);
        let network = Network::to(scene.registry.address);
        let reference = format!("oci://{}/models/artifact:{format}", network.address);
        let reader = Reader::new();
        network.slow_down(3 << 20);
        let mut child = reader.command(&["preload", &reference]).spawn().expect("starts");
        wait_until("half has come", || network.down() > 7 << 20);
        child.kill().expect("it can be killed");
        child.wait().expect("it ended");
        audit(&reader.cache());
        let weights = scene.payload.files().iter().find(|file| file.path == WEIGHTS).expect("the weights");
        let arrived = scene.payload.arrived(&reader.cache(), weights);
        assert!(arrived > 2 << 20, "{format}: {arrived} bytes on disk after the kill");

        network.slow_down(u64::MAX);
        // What the killed process had asked for may still be on its way.
        thread::sleep(Duration::from_millis(100));
        let document = reader.run(&["preload", &reference, "--json"]).exits(0).json();
        let fetched = document["models"][0]["bytes_downloaded"].as_u64().expect("a number");
        let total: u64 = FILES.iter().map(|(_, size)| *size as u64).sum();
        // Two segments of the weights may be lost.
        assert!(fetched <= total - arrived + (1 << 20), "{format}: {fetched} fetched, {arrived} were there");
        scene.payload.assert_complete(&reader.cache());
    }
}

#[test]
fn an_upload_that_breaks_is_finished() {
    let Some(scene) = Scene::start(&Door::Open) else { return };
    let network = Network::to(scene.registry.address);
    for (format, cut) in FORMATS.into_iter().zip([5 << 20, 9 << 20]) {
        let reference = format!("oci://{}/models/broken:{format}", network.address);
        network.cut_after(cut);
        let arguments = ["pack", REPO, "--format", format, "--json", &reference];
        let run = scene.packer.run(&arguments).exits(0);
        assert!(run.stderr().contains("waiting"), "the cut was felt: {}", run.stderr());
        let broken = run.json();
        assert_eq!(broken["digest"], scene.pack(format)["digest"], "{format}");
        Reader::new().run(&["preload", &reference]).exits(0);
    }
}

#[test]
fn a_killed_push_leaves_no_artifact_and_goes_on() {
    let Some(scene) = Scene::start(&Door::Open) else { return };
    let network = Network::to(scene.registry.address);
    let reference = format!("oci://{}/models/killed:v1", network.address);
    scene.packer.run(&["preload", REPO]).exits(0);
    let arguments = ["pack", REPO, "--json", &reference];
    let mut child = scene.packer.command(&arguments).spawn().expect("starts");
    wait_until("some was sent", || network.up() > 1 << 20);
    child.kill().expect("it can be killed");
    child.wait().expect("it ended");
    Reader::new().run(&["preload", &reference]).exits(1);
    let sent = network.up();
    let pack = scene.packer.run(&arguments).exits(0).json();
    let total = pack["bytes_total"].as_u64().expect("a number");
    assert!(network.up() - sent < total + (1 << 20), "more was sent than there is");
    Reader::new().run(&["preload", &reference]).exits(0);
}
