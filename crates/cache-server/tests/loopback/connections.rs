//! Clients that hold connections without using them.

use std::time::Duration;

use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultRule};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::Ask;
use crate::scene::{FILE, REPO, Scene, repository};

#[tokio::test]
async fn heads_that_come_slowly_keep_nobody_from_models_or_probes() {
    let builder = DemoHub::builder().repository(repository(REPO));
    let scene = Scene::of(builder, |settings| settings.max_connections = 20).await;
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(scene.server.address).await.expect("connects");
        // A connection that was ended meanwhile takes no bytes.
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
        held.push(stream);
    }
    assert_eq!(scene.get("/livez").send().await.status, 200);
    scene.assert_right(&scene.get(FILE).send().await);
    let text = String::from_utf8(scene.get("/metrics").send().await.body).expect("text");
    let value = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u32>().ok());
        found.unwrap_or_else(|| panic!("{name} is missing in\n{text}"))
    };
    assert!(value("speech_flow_server_connections_closed_total{reason=\"evicted\"}") >= 180);
    assert!(value("speech_flow_server_connections ") <= 20);
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_its_connection() {
    let builder = DemoHub::builder().repository(repository(REPO));
    let change = |settings: &mut speech_flow_cache_server::Settings| {
        settings.connection_patience.head = Duration::from_millis(50);
    };
    let scene = Scene::of(builder, change).await;
    let mut stream = TcpStream::connect(scene.server.address).await.expect("connects");
    stream.write_all(b"GET /livez HTTP/1.1\r\n").await.expect("sends");
    let mut read = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut read)).await;
    assert!(ended.is_ok() && read.is_empty());
}

#[tokio::test]
async fn while_all_connections_are_at_work_probes_are_answered_and_work_is_put_off() {
    let builder = DemoHub::builder().repository(repository(REPO));
    let scene = Scene::of(builder, |settings| settings.max_connections = 2).await;
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 1 << 20 }).path("model.bin").on(Endpoint::Cdn);
    scene.hub.add_fault(slow).expect("a rule");
    let ask = || Ask::new(scene.server.address, "GET", FILE);
    let (one, other) = (ask().open().await, ask().open().await);
    assert_eq!((one.0, other.0), (200, 200));
    assert_eq!(scene.get("/livez").send().await.status, 200);
    let refused = scene.get(format!("/api/models/{REPO}")).send().await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
}
