//! Many clients at once.

use std::collections::HashSet;
use std::time::Duration;

use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultRule};

use crate::scene::{FILE, REPO, SIZE, Scene, repository};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_cold_clients_cost_the_hub_one_download() {
    let scene =
        Scene::of(DemoHub::builder().repository(repository(REPO)), |settings| settings.max_per_client = 1000).await;
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 4 << 20 }).path("model.bin").on(Endpoint::Cdn);
    scene.hub.add_fault(slow).expect("a rule");
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..200 {
        let info = scene.get(format!("/api/models/{REPO}/revision/main"));
        let tree = scene.get(format!("/api/models/{REPO}/tree/{}?recursive=true", scene.commit()));
        let file = scene.get(FILE.replace("main", &scene.commit()));
        clients.spawn(async move {
            assert_eq!(info.send().await.status, 200);
            assert_eq!(tree.send().await.status, 200);
            // Some come while the file is on its way.
            tokio::time::sleep(Duration::from_millis(client % 10 * 20)).await;
            file.send().await
        });
    }
    while let Some(reply) = clients.join_next().await {
        scene.assert_right(&reply.expect("no panic"));
    }
    assert!(scene.metadata_requests() <= 3, "{} metadata requests", scene.metadata_requests());
    let bodies: Vec<_> =
        scene.body_requests().into_iter().filter(|record| record.file.as_deref() == Some("model.bin")).collect();
    let ranges: HashSet<_> = bodies.iter().map(|record| record.range.clone()).collect();
    assert_eq!(ranges.len(), bodies.len(), "each range once");
    assert_eq!(bodies.iter().map(|record| record.bytes_sent).sum::<u64>(), SIZE);
}

#[tokio::test]
async fn a_client_that_leaves_ends_nothing_for_the_others() {
    let scene = Scene::new().await;
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 2 << 20 }).path("model.bin").on(Endpoint::Cdn);
    scene.hub.add_fault(slow).expect("a rule");
    let (_, _, _, first) = scene.get(FILE).open().await;
    let follower = tokio::spawn(scene.get(FILE).send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(first);
    scene.assert_right(&follower.await.expect("no panic"));
    assert_eq!(scene.body_requests().iter().map(|record| record.bytes_sent).sum::<u64>(), SIZE);
}

#[tokio::test]
async fn too_many_requests_of_one_address_are_told_when_to_come_back() {
    let scene =
        Scene::of(DemoHub::builder().repository(repository(REPO)), |settings| settings.max_per_client = 1).await;
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 1 << 20 }).path("model.bin").on(Endpoint::Cdn);
    scene.hub.add_fault(slow).expect("a rule");
    let (status, _, _, _held) = scene.get(FILE).open().await;
    assert_eq!(status, 200);
    let refused = scene.get("/acme/model/resolve/main/config.json").send().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(scene.get("/livez").send().await.status, 200, "probes always pass");
}

#[tokio::test]
async fn a_server_that_is_told_to_end_finishes_its_answers() {
    let scene = Scene::new().await;
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 4 << 20 }).path("model.bin").on(Endpoint::Cdn);
    scene.hub.add_fault(slow).expect("a rule");
    let (status, _, mut body, mut stream) = scene.get(FILE).open().await;
    assert_eq!(status, 200);
    let Scene { hub: _hub, server, folder: _folder } = scene;
    let ending = tokio::spawn(server.end());
    use tokio::io::AsyncReadExt as _;
    stream.read_to_end(&mut body).await.expect("reads");
    assert_eq!(body.len() as u64, SIZE);
    ending.await.expect("ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_far_into_a_cold_file_does_not_wait_for_all_before_it() {
    const LENGTH: u64 = 40 << 20;
    let repository = speech_flow_demo_hub::Repository::builder(REPO).generated("model.bin", LENGTH, 5);
    let scene = Scene::of(DemoHub::builder().repository(repository.build().expect("builds")), |_| {}).await;
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 4 << 20 }).path("model.bin").on(Endpoint::Cdn);
    scene.hub.add_fault(slow).expect("a rule");
    let part = scene.get(FILE).header("range", format!("bytes={}-{}", 30 << 20, (32 << 20) - 1)).send().await;
    assert_eq!((part.status, part.is_whole, part.body.len()), (206, true, 2 << 20));
    let before: u64 = scene.hub.requests().iter().filter(|record| record.endpoint == Endpoint::Cdn).count() as u64;
    assert!(before < 20, "{before} of 40 segments were fetched first");
    let whole = scene.get(FILE).send().await;
    scene.assert_right(&whole);
    assert_eq!(part.body, whole.body[30 << 20..32 << 20]);
    assert_eq!(scene.body_requests().iter().map(|record| record.bytes_sent).sum::<u64>(), LENGTH, "each byte once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hub_gets_no_more_requests_than_it_is_to_get() {
    let builder = DemoHub::builder().repository(repository(REPO));
    let scene = Scene::of(builder, |settings| settings.request_limit = Some(20)).await;
    let began = std::time::Instant::now();
    let clients = (0..30).map(|n| tokio::spawn(scene.get(format!("/api/models/acme/absent-{n}")).send()));
    for client in clients.collect::<Vec<_>>() {
        assert_eq!(client.await.expect("no panic").status, 401);
    }
    let (took, sent) = (began.elapsed().as_secs_f64(), scene.hub.requests().len() as f64);
    assert!(sent >= 30.0 && sent <= (took + 0.25) * 20.0 + 1.0, "{sent} requests in {took} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_would_wait_too_long_for_the_hub_is_told_when_to_come_back() {
    let builder = DemoHub::builder().repository(repository(REPO));
    let scene = Scene::of(builder, |settings| settings.request_limit = Some(1)).await;
    let clients = (0..12).map(|n| tokio::spawn(scene.get(format!("/api/models/acme/absent-{n}")).send()));
    let mut put_off = 0;
    for client in clients.collect::<Vec<_>>() {
        let reply = client.await.expect("no panic");
        match reply.status {
            503 => {
                assert!(
                    reply.header("retry-after").and_then(|wait| wait.parse().ok()).is_some_and(|wait: u32| wait >= 1)
                );
                put_off += 1;
            }
            status => assert!(matches!(status, 401 | 504), "{status}"),
        }
    }
    assert!(put_off >= 4, "{put_off}");
}
