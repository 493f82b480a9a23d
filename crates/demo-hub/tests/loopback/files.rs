//! Files: headers, ranges, conditions, redirects.

use std::time::Duration;

use speech_flow_demo_hub::{DemoHub, Repository, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Answer, get, head};

const WEIGHTS: u64 = 3 << 20;

fn repository() -> Repository {
    Repository::builder("org/name")
        .file("config.json", "0123456789")
        .file("sub/a b.txt", "spaced")
        .file("empty.txt", "")
        .generated("model.bin", WEIGHTS, 7)
        .build()
        .unwrap()
}

async fn hub(cdn: bool) -> DemoHub {
    DemoHub::builder().repository(repository()).cdn(cdn).start().await.unwrap()
}

fn url(hub: &DemoHub, file: &str) -> String {
    format!("{}/org/name/resolve/main/{file}", hub.endpoint())
}

fn digest(path: &str) -> String {
    let files = repository().files("main");
    files.into_iter().find(|file| file.path == path).unwrap().digest.to_string()
}

#[tokio::test]
async fn a_small_file_is_named_by_its_git_hash() {
    let hub = hub(true).await;
    let answer = head(url(&hub, "config.json")).answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("ETag"), format!("\"{}\"", digest("config.json")));
    assert_eq!(answer.header("X-Repo-Commit"), hub.commit("org/name", "main").unwrap().as_str());
    assert_eq!((answer.declared_length(), answer.body.len()), (10, 0));
    assert_eq!(get(url(&hub, "sub/a%20b.txt")).answer().await.body, b"spaced");
}

#[tokio::test]
async fn a_large_file_is_at_the_second_port_and_described_at_the_first() {
    let hub = hub(true).await;
    let first = head(url(&hub, "model.bin")).answer().await;
    assert_eq!(first.status, 302);
    assert_eq!(first.header("X-Linked-Size"), WEIGHTS.to_string());
    assert_eq!(first.header("X-Linked-ETag"), format!("\"{}\"", digest("model.bin")));
    assert_eq!(first.header("X-Repo-Commit").len(), 40);
    let location = first.header("Location");
    assert!(location.starts_with(&hub.cdn_endpoint().unwrap()), "{location}");
    let second = get(location).answer().await;
    assert_eq!(second.body.len() as u64, WEIGHTS);
    assert_eq!(second.find("X-Repo-Commit"), None);
}

#[tokio::test]
async fn the_second_port_refuses_tokens_forged_and_expired_addresses() {
    let builder = DemoHub::builder().repository(repository()).cdn_lifetime(Duration::ZERO);
    let hub = builder.start().await.unwrap();
    let location = head(url(&hub, "model.bin")).answer().await.header("Location").to_owned();
    assert_eq!(get(&location).token("hf_any").answer().await.status, 400);
    assert!(hub.requests().iter().any(|request| request.server == Server::Cdn && request.had_authorization));
    let forged = location.replace("Expires=", "Expires=9");
    assert!(String::from_utf8(get(forged).answer().await.body).unwrap().contains("SignatureDoesNotMatch"));
    assert!(String::from_utf8(get(&location).answer().await.body).unwrap().contains("Request has expired"));
}

#[tokio::test]
async fn ranges_put_together_are_the_whole() {
    let hub = hub(false).await;
    let whole = get(url(&hub, "model.bin")).answer().await.body;
    let (one, two) = ("0-999999", "1000000-");
    let first = get(url(&hub, "model.bin")).range(one).answer().await;
    let second = get(url(&hub, "model.bin")).range(two).answer().await;
    assert_eq!((first.status, second.status), (206, 206));
    assert_eq!(first.header("Content-Range"), format!("bytes 0-999999/{WEIGHTS}"));
    assert_eq!([first.body, second.body].concat(), whole);
    let sent: u64 = hub.requests().iter().map(|request| request.bytes_sent).sum();
    assert_eq!(sent, 2 * WEIGHTS);
}

#[tokio::test]
async fn a_range_beyond_the_end_is_416() {
    let hub = hub(false).await;
    let answer = get(url(&hub, "config.json")).range("10-").answer().await;
    assert_eq!((answer.status, answer.header("Content-Range")), (416, "bytes */10"));
    assert_eq!(get(url(&hub, "empty.txt")).range("0-0").answer().await.status, 416);
    assert_eq!(get(url(&hub, "empty.txt")).answer().await.status, 200);
}

#[tokio::test]
async fn a_condition_on_the_etag_holds() {
    let hub = hub(false).await;
    let etag = format!("\"{}\"", digest("config.json"));
    let unchanged = get(url(&hub, "config.json")).header("If-None-Match", &etag).answer().await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let part = |etag: &str| get(url(&hub, "config.json")).range("2-3").header("If-Range", etag);
    assert_eq!(part(&etag).answer().await.body, b"23");
    let changed = part("\"other\"").answer().await;
    assert_eq!((changed.status, changed.body.len()), (200, 10));
}

#[tokio::test]
async fn what_is_missing_is_named_by_code() {
    let hub = hub(true).await;
    let no_file = get(url(&hub, "nope.json")).answer().await;
    assert_eq!((no_file.status, no_file.header("X-Error-Code")), (404, "EntryNotFound"));
    assert_eq!(no_file.header("X-Repo-Commit").len(), 40);
    let no_revision = get(format!("{}/org/name/resolve/nope/config.json", hub.endpoint())).answer().await;
    assert_eq!((no_revision.status, no_revision.header("X-Error-Code")), (404, "RevisionNotFound"));
    let no_repository = get(format!("{}/org/nope/resolve/main/config.json", hub.endpoint())).answer().await;
    assert_eq!((no_repository.status, no_repository.header("X-Error-Code")), (401, "RepoNotFound"));
    assert!(!no_repository.header("X-Request-Id").is_empty());
}

#[tokio::test]
async fn a_small_file_can_be_behind_a_relative_redirect() {
    let hub = DemoHub::builder().repository(repository()).relative_redirects(true).start().await.unwrap();
    let first = head(url(&hub, "config.json")).answer().await;
    assert_eq!((first.status, first.header("X-Linked-Size")), (307, "10"));
    let location = first.header("Location");
    assert!(location.starts_with("/api/resolve-cache/models/org/name/"), "{location}");
    assert_eq!(get(format!("{}{location}", hub.endpoint())).answer().await.body, b"0123456789");
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let hub = hub(false).await;
    let mut stream = TcpStream::connect(hub.endpoint().strip_prefix("http://").unwrap()).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /org/name/resolve/main/config.json HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"0123456789") {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        }
        assert_eq!(Answer::parse(&bytes).unwrap().status, 200);
    }
    let connections: Vec<_> = hub.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 1, 1]);
}

#[tokio::test]
async fn a_stopped_hub_listens_no_more() {
    let hub = hub(true).await;
    let address = hub.endpoint().strip_prefix("http://").unwrap().to_owned();
    let idle = TcpStream::connect(&address).await.unwrap();
    hub.stop().await;
    assert!(TcpStream::connect(&address).await.is_err());
    drop(idle);
}

#[test]
fn a_hub_on_its_own_threads_serves_blocking_code() {
    use std::io::{Read, Write};
    let hub = DemoHub::builder().repository(repository()).start_blocking().unwrap();
    let mut stream = std::net::TcpStream::connect(hub.endpoint().strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
}
