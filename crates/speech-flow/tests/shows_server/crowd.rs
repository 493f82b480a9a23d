//! Many clients of a process at once, and a hub that is slow.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultRule, Repository};

use crate::client::{Client, text};
use crate::served::Served;
use crate::support::{Run, World};

const REPO: &str = "acme/large";
const FILE: &str = "/acme/large/resolve/main/weights.bin";
const CLIENTS: usize = 200;
/// What 200 clients may cost at most, clients that read slowly among them: about what is on its way to each socket.
const MOST_MEMORY: u64 = 128 << 20;

fn world(size: u64) -> World {
    let repository = Repository::builder(REPO).generated("weights.bin", size, 3).build().expect("builds");
    World::with(DemoHub::builder().repository(repository))
}

#[test]
fn two_hundred_clients_of_one_process_cost_one_download_and_little_memory() {
    let size = 8 << 20;
    let world = world(size);
    let expected = Arc::new(whole(&world.hub.endpoint()));
    assert_eq!(expected.len() as u64, size);
    world.hub.clear_requests();
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 4 << 20 }).path("*.bin").on(Endpoint::Cdn);
    world.hub.add_fault(slow).expect("a rule");
    let variables = [("SPEECH_FLOW_SERVER_MAX_PER_CLIENT", "1000"), ("SPEECH_FLOW_SEGMENT_SIZE", "1MiB")];
    let served = Served::start_with(&world, "server", &[], &variables);
    let start = Arc::new(Barrier::new(CLIENTS));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (address, expected, start) = (served.address().to_owned(), Arc::clone(&expected), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                // Every fourth client is slow: what it has not read yet waits for it in the server.
                let pause = if client % 4 == 0 { Duration::from_millis(20) } else { Duration::ZERO };
                assert!(is_same(&address, &expected, pause), "client {client}");
            })
        })
        .collect();
    for client in clients {
        client.join().expect("gets the right bytes");
    }
    let mut ranges: BTreeMap<Option<String>, usize> = BTreeMap::new();
    for request in world.file_requests().into_iter().filter(|request| matches!(request.status, 200 | 206)) {
        *ranges.entry(request.range).or_default() += 1;
    }
    assert!(!ranges.is_empty() && ranges.values().all(|times| *times == 1), "{ranges:?}");
    assert_eq!(world.file_bytes(), size);
    let metadata = world.hub.requests().iter().filter(|request| request.file.is_none()).count();
    assert!(metadata <= 3, "{metadata} requests for metadata");
    let peak = served.peak_memory();
    assert!(peak < MOST_MEMORY, "the server took {} MiB", peak >> 20);
    // `--no-capture` shows it.
    println!("peak memory of the server with {CLIENTS} clients: {} MiB", peak >> 20);
}

#[test]
fn a_large_file_from_a_slow_hub_arrives_with_a_clients_default_patience() {
    let Some(client) = Client::find() else { return };
    // At 1 MB a second this takes longer than the ten seconds that the client waits for a byte.
    let size = 12 << 20;
    let world = world(size);
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 1_000_000 }).path("*.bin").on(Endpoint::Cdn);
    world.hub.add_fault(slow).expect("a rule");
    let served = Served::start(&world, "server", &[]);
    let cache = world.folder().join("client");
    let mut command = client.hf(&world, &["download", REPO, "--cache-dir", text(&cache), "--quiet"]);
    let started = Instant::now();
    let download = command.env("HF_ENDPOINT", &served.endpoint).env("HF_HUB_DISABLE_XET", "1").spawn().expect("starts");
    let asked = Instant::now();
    let mut stream = ask(served.address());
    let first = first_bytes(&mut stream);
    let first_byte = asked.elapsed();
    drop(first);
    Run::new(download.wait_with_output().expect("ends")).exits(0);
    let all = started.elapsed();
    assert!(all > Duration::from_secs(10), "the hub was not slow: {all:?}");
    assert!(first_byte * 8 < all, "the first byte came after {first_byte:?} of {all:?}");
    assert_eq!(world.file_bytes(), size);
    let digest = world.hub.files(REPO, "main")[0].digest.to_string();
    let blob = cache.join("models--acme--large/blobs").join(digest);
    assert_eq!(blob.metadata().expect("the client has it").len(), size);
}

fn ask(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("connects");
    write!(stream, "GET {FILE} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("asks");
    stream
}

/// What comes after the head, once there is any.
fn first_bytes(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = stream.read(&mut buffer).expect("reads");
        assert!(count > 0, "an answer");
        read.extend_from_slice(&buffer[..count]);
        if let Some(head) = read.windows(4).position(|four| four == b"\r\n\r\n")
            && read.len() > head + 4
        {
            return read.split_off(head + 4);
        }
    }
}

/// Whether the body is these bytes; read in pieces, with a pause after each.
fn is_same(address: &str, expected: &[u8], pause: Duration) -> bool {
    let mut stream = ask(address);
    let mut at = 0;
    let mut piece = first_bytes(&mut stream);
    let mut buffer = vec![0; 128 << 10];
    loop {
        if expected.get(at..at + piece.len()) != Some(&piece[..]) {
            return false;
        }
        at += piece.len();
        thread::sleep(pause);
        match stream.read(&mut buffer).expect("reads") {
            0 => return at == expected.len(),
            count => piece = buffer[..count].to_vec(),
        }
    }
}

/// The file as the hub has it, by the redirect that it answers with.
fn whole(endpoint: &str) -> Vec<u8> {
    let mut url = format!("{endpoint}{FILE}");
    loop {
        let (address, path) = url.strip_prefix("http://").and_then(|url| url.split_once('/')).expect("a URL");
        let mut stream = TcpStream::connect(address).expect("connects");
        write!(stream, "GET /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("asks");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("reads");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        match head.lines().filter_map(header).find(|(name, _)| name == "location") {
            Some((_, location)) if location.starts_with('/') => url = format!("http://{address}{location}"),
            Some((_, location)) => url = location,
            None => return answer.split_off(end + 4),
        }
    }
}
