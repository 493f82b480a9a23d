//! Servers behind servers, and servers beside servers on one volume.

use std::time::Duration;

use speech_flow_demo_hub::{Action, Endpoint, FaultRule};

use crate::scene::{FILE, REPO, SIZE, Scene, start};

#[tokio::test]
async fn two_servers_in_a_row_cost_the_hub_each_blob_once() {
    let scene = Scene::new().await;
    let near = tempfile::tempdir().expect("temp folder");
    let upstream = format!("http://{}", scene.server.address);
    let second = start(&upstream, near.path(), &[], |_| {}, None).await;
    let (one, other) = tokio::join!(second.get(FILE).send(), scene.get(FILE).send());
    scene.assert_right(&one);
    scene.assert_right(&other);
    scene.assert_right(&second.get(FILE).send().await);
    assert_eq!(second.get(format!("/api/models/{REPO}/tree/main")).send().await.status, 200);
    assert_eq!(
        second.get("/acme/model/resolve/main/absent").send().await.header("x-error-code"),
        Some("EntryNotFound")
    );
    assert_eq!(scene.body_requests().iter().map(|record| record.bytes_sent).sum::<u64>(), SIZE);
    assert!(scene.metadata_requests() <= 3, "{}", scene.metadata_requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_volume_cost_the_hub_each_blob_once() {
    let scene = Scene::new().await;
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 1 << 20 }).path("model.bin").on(Endpoint::Cdn);
    scene.hub.add_fault(slow).expect("a rule");
    let replica = scene.another(&scene.hub.endpoint(), |_| {}).await;
    let first = tokio::spawn(scene.get(FILE).send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The replica's client gets bytes long before the other server has them all.
    let (status, _, mut body, mut stream) = replica.get(FILE).open().await;
    assert_eq!(status, 200);
    use tokio::io::AsyncReadExt as _;
    while body.is_empty() {
        assert!(stream.read_buf(&mut body).await.expect("reads") > 0);
    }
    assert!(!scene.blob().exists(), "the file is still on its way");
    stream.read_to_end(&mut body).await.expect("reads");
    assert_eq!(crate::scene::sha256(&body), scene.digest("model.bin"));
    scene.assert_right(&first.await.expect("no panic"));
    assert_eq!(scene.body_requests().iter().map(|record| record.bytes_sent).sum::<u64>(), SIZE);
}
