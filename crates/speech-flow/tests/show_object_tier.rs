//! Clusters that share an object store: real cache servers with volumes of their own, and real stores.
//!
//! The claims are the same for every store; what is broken is broken from outside: bytes on the store's disk, the
//! network before it, its process.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use speech_flow_demo_hub::{DemoHub, Repository};

#[path = "show_object_tier/network.rs"]
mod network;
#[path = "support/payload.rs"]
mod payload;
#[path = "show_object_tier/server.rs"]
mod server;
#[path = "show_object_tier/stores.rs"]
mod stores;
#[path = "support/support.rs"]
mod support;

use network::{Network, Weather};
use payload::Payload;
use server::Server;
use stores::{Kind, SECRET_BASE64, SECRET_KEY, Store};
use support::{World, wait_until};

const REPO: &str = "acme/speech";
/// In parts, under its SHA-256.
const LARGE: (&str, usize) = ("model.bin", 20 << 20);
/// In parts, under git's name for it.
const TEXT: (&str, usize) = ("vocabulary.txt", 9 << 20);
/// In one request.
const SMALL: (&str, usize) = ("config.json", 900);

fn scene(files: &[(&'static str, usize)]) -> (World, Payload) {
    let payload = Payload::new(REPO, files);
    let world = World::with(DemoHub::builder().repository(payload.repository()));
    (world, payload)
}

impl Payload {
    /// Gets every file from a server.
    #[track_caller]
    fn assert_served(&self, server: &Server) {
        for file in self.files() {
            assert!(server.get(REPO, file.path) == file.content, "{} is not what the hub has", file.path);
        }
    }

    /// Bytes that the hub sent of all files.
    fn hub_sent(&self, world: &World) -> u64 {
        self.fetched_in_all(&world.hub.requests())
    }
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

fn with(mut variables: Vec<(&'static str, String)>, name: &'static str, value: &str) -> Vec<(&'static str, String)> {
    variables.push((name, value.to_owned()));
    variables
}

#[track_caller]
fn the_hub_sees_each_blob_once(kind: Kind) {
    let (world, payload) = scene(&[LARGE, TEXT, SMALL]);
    let Some(store) = Store::start(kind, world.folder()) else { return };
    let one = Server::start(&world, "one", &store.variables(None));
    payload.assert_served(&one);
    one.wait_for_uploads();
    assert_eq!((one.uploads("stored"), one.number("uploaded_bytes_total")), (3, payload.total()), "{}", one.log());
    assert_eq!(payload.hub_sent(&world), payload.total());
    let two = Server::start(&world, "two", &store.variables(None));
    payload.assert_served(&two);
    assert_eq!(two.number("read_bytes_total"), payload.total());
    assert_eq!(payload.hub_sent(&world), payload.total(), "the second server asked the hub for no byte");
    two.wait_for_uploads();
    assert_eq!(two.uploads("stored") + two.uploads("present"), 0, "what came from the store is not sent back");
    for server in [&one, &two] {
        let shown = server.log() + &String::from_utf8_lossy(&server.ask("/metrics").expect("metrics"));
        assert!(!shown.contains(SECRET_KEY) && !shown.contains(SECRET_BASE64), "a key is shown");
    }
}

#[test]
fn with_s3_the_hub_sees_each_blob_once() {
    the_hub_sees_each_blob_once(Kind::S3);
}

#[test]
fn with_azure_the_hub_sees_each_blob_once() {
    the_hub_sees_each_blob_once(Kind::Azure);
}

#[test]
fn with_a_folder_the_hub_sees_each_blob_once() {
    the_hub_sees_each_blob_once(Kind::Folder);
}

#[test]
fn two_servers_at_once_upload_a_blob_once() {
    let (world, payload) = scene(&[LARGE]);
    let Some(store) = Store::start(Kind::S3, world.folder()) else { return };
    // So slow that the second is done with its download while the first still uploads.
    let network = Network::to(store.address.expect("a server"), Weather::SlowUp(4 << 20));
    let servers = ["one", "two"].map(|name| Server::start(&world, name, &store.variables(Some(network.address))));
    payload.assert_served(&servers[0]);
    // The server of the tests looks and writes in two steps: claims at the same moment would both be taken.
    wait_until("the first has its claim", || !store.claims().is_empty());
    payload.assert_served(&servers[1]);
    servers.iter().for_each(Server::wait_for_uploads);
    let uploads = |outcome| servers.iter().map(|server| server.uploads(outcome)).sum::<u64>();
    assert_eq!((uploads("stored"), uploads("left-to-another") + uploads("present")), (1, 1));
    assert_eq!((store.blobs().len(), store.claims().len()), (1, 0));
}

#[test]
fn a_store_that_lies_is_found_out_and_mended() {
    let (world, payload) = scene(&[LARGE, SMALL]);
    let Some(store) = Store::start(Kind::S3, world.folder()) else { return };
    let one = Server::start(&world, "one", &store.variables(None));
    payload.assert_served(&one);
    one.wait_for_uploads();
    for file in payload.files() {
        let blob = store.blob(&file.digest);
        let mut bytes = fs::read(&blob).expect("reads");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&blob, bytes).expect("writes");
    }
    let two = Server::start(&world, "two", &store.variables(None));
    payload.assert_served(&two);
    assert_eq!(two.number("damaged_total"), 2, "{}", two.log());
    assert_eq!(payload.hub_sent(&world), 2 * payload.total());
    two.wait_for_uploads();
    assert_eq!(two.uploads("stored"), 2);
    // The third server gets what the second one put in its place.
    let three = Server::start(&world, "three", &store.variables(None));
    payload.assert_served(&three);
    assert_eq!((three.number("damaged_total"), payload.hub_sent(&world)), (0, 2 * payload.total()));
}

#[test]
fn an_object_of_another_size_is_passed_by_and_replaced() {
    let (world, payload) = scene(&[SMALL]);
    let Some(store) = Store::start(Kind::Folder, world.folder()) else { return };
    let one = Server::start(&world, "one", &store.variables(None));
    payload.assert_served(&one);
    one.wait_for_uploads();
    let blob = store.blob(&payload.files()[0].digest);
    fs::write(&blob, "half").expect("writes");
    let two = Server::start(&world, "two", &store.variables(None));
    payload.assert_served(&two);
    two.wait_for_uploads();
    assert_eq!((two.reads("damaged") + two.reads("error") > 0, two.uploads("stored")), (true, 1), "{}", two.log());
    assert!(fs::read(&blob).expect("reads") == payload.files()[0].content);
}

#[test]
fn a_store_that_is_down_costs_nobody_a_file() {
    let (world, payload) = scene(&[LARGE, SMALL]);
    let Some(mut store) = Store::start(Kind::S3, world.folder()) else { return };
    let one = Server::start(&world, "one", &store.variables(Some(nobody())));
    let since = Instant::now();
    payload.assert_served(&one);
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    assert!(one.reads("error") + one.reads("slow") > 0);
    assert_eq!((payload.hub_sent(&world), one.reads("hit")), (payload.total(), 0));
    // An upload that cannot succeed holds nobody up.
    assert!(one.terminate() < Duration::from_secs(10));
    // One that goes down while it is used.
    let two = Server::start(&world, "two", &store.variables(None));
    assert!(two.get(REPO, SMALL.0) == payload.files()[1].content);
    two.wait_for_uploads();
    store.stop();
    payload.assert_served(&two);
}

#[test]
fn a_store_that_is_slow_is_not_waited_for() {
    let (world, payload) = scene(&[LARGE, SMALL]);
    let Some(store) = Store::start(Kind::S3, world.folder()) else { return };
    let target = store.address.expect("a server");
    let patient = |address| with(store.variables(Some(address)), "SPEECH_FLOW_SERVER_STORE_PATIENCE", "500ms");
    let silent = Network::to(target, Weather::Silent);
    let one = Server::start(&world, "one", &patient(silent.address));
    let since = Instant::now();
    payload.assert_served(&one);
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    assert!(one.reads("slow") > 0);
    assert!(one.terminate() < Duration::from_secs(10));
    // One that has the blob, and lets its bytes trickle.
    let full = Server::start(&world, "full", &store.variables(None));
    payload.assert_served(&full);
    full.wait_for_uploads();
    let trickle = Network::to(target, Weather::SlowDown(40_000));
    let two = Server::start(&world, "two", &patient(trickle.address));
    let since = Instant::now();
    payload.assert_served(&two);
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    assert!(two.reads("slow") > 0 && two.reads("hit") > 0);
}

#[test]
fn a_server_killed_during_an_upload_leaves_nothing_visible() {
    let (world, payload) = scene(&[LARGE]);
    let Some(store) = Store::start(Kind::S3, world.folder()) else { return };
    let network = Network::to(store.address.expect("a server"), Weather::SlowUp(2 << 20));
    let one = Server::start(&world, "one", &store.variables(Some(network.address)));
    payload.assert_served(&one);
    wait_until("a part is on its way", || network.sent() > 9 << 20);
    one.kill();
    assert_eq!(store.blobs(), Vec::<std::path::PathBuf>::new());
    let two = Server::start(&world, "two", &store.variables(None));
    payload.assert_served(&two);
    assert_eq!((two.reads("hit"), payload.hub_sent(&world)), (0, 2 * payload.total()));
    // The dead server's claim still counts for a while.
    two.wait_for_uploads();
    assert_eq!((two.uploads("left-to-another"), store.blobs().len()), (1, 0));
}

#[test]
fn a_server_that_is_told_to_end_takes_its_upload_back() {
    let (world, payload) = scene(&[LARGE]);
    let Some(store) = Store::start(Kind::S3, world.folder()) else { return };
    let network = Network::to(store.address.expect("a server"), Weather::SlowUp(2 << 20));
    let one = Server::start(&world, "one", &store.variables(Some(network.address)));
    payload.assert_served(&one);
    wait_until("a part is on its way", || network.sent() > 3 << 20);
    assert!(one.terminate() < Duration::from_secs(10));
    assert_eq!((store.blobs().len(), store.claims().len()), (0, 0));
    let two = Server::start(&world, "two", &store.variables(None));
    payload.assert_served(&two);
    two.wait_for_uploads();
    assert_eq!((two.uploads("stored"), store.blobs().len()), (1, 1));
}

#[test]
fn what_not_everybody_may_read_is_uploaded_only_where_the_configuration_says_so() {
    const GATED: &str = "acme/gated";
    let repository = Repository::builder(GATED).file("model.bin", vec![7; 100_000]).gated().build().expect("builds");
    let world = World::with(DemoHub::builder().repository(repository).token("hf_ours", [GATED]));
    let store = Store::start(Kind::Folder, world.folder()).expect("a folder is always there");
    let ours = with(store.variables(None), "HF_TOKEN", "hf_ours");
    let ours = with(ours, "SPEECH_FLOW_SERVER_SHARED_REPOS", GATED);
    let one = Server::start(&world, "one", &ours);
    assert!(one.get(GATED, "model.bin") == vec![7; 100_000]);
    one.wait_for_uploads();
    assert_eq!((one.uploads("private"), store.blobs().len()), (1, 0));
    let two = Server::start(&world, "two", &with(ours, "SPEECH_FLOW_SERVER_STORE_PRIVATE", "yes"));
    assert!(two.get(GATED, "model.bin") == vec![7; 100_000]);
    two.wait_for_uploads();
    assert_eq!((two.uploads("stored"), store.blobs().len()), (1, 1));
}
