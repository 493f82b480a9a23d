//! The server killed under its clients.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultRule, Repository};

use crate::client::{Client, answer_of};
use crate::served::Served;
use crate::support::{Run, World};

const REPO: &str = "acme/large";
const SIZE: u64 = 24 << 20;

#[test]
fn fifty_clients_that_retry_end_right_when_the_server_is_killed_and_started_again() {
    let Some(client) = Client::find() else { return };
    let repository = Repository::builder(REPO).generated("weights.bin", SIZE, 3).build().expect("builds");
    let world = World::with(DemoHub::builder().repository(repository));
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 2 << 20 }).path("*.bin").on(Endpoint::Cdn);
    world.hub.add_fault(slow).expect("a rule");
    let digest = world.hub.files(REPO, "main")[0].digest.to_string();
    let served = Served::start(&world, "server", &[]);
    let address = served.address().to_owned();
    let endpoint = format!("--endpoint={}", served.endpoint);
    let crowd = client.script(&world, "server_crowd.py", &[REPO, "weights.bin", "50", &endpoint]).spawn();
    let crowd = crowd.expect("Python starts");
    // Killed in the middle of the download, twice.
    let mut served = Some(served);
    for _ in 0..2 {
        thread::sleep(Duration::from_millis(1500));
        served.take().expect("it runs").kill();
        thread::sleep(Duration::from_millis(200));
        served = Some(Served::start(&world, "server", &["--listen", &address]));
    }
    let answer = answer_of(&Run::new(crowd.wait_with_output().expect("ends")));
    assert_eq!(answer["digests"], serde_json::json!({ digest.clone(): 50 }), "{answer}");
    let blobs = world.folder().join("server/huggingface/hub/models--acme--large/blobs");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !blobs.join(&digest).exists() {
        assert!(Instant::now() < deadline, "the blob is there");
        thread::sleep(Duration::from_millis(50));
    }
    for blob in fs::read_dir(blobs).expect("reads").flatten() {
        let content = fs::read(blob.path()).expect("reads");
        let found: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(blob.file_name().to_str(), Some(&*found));
    }
}
