//! A hub that breaks, stalls or lies: no client gets a wrong file that looks whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultRule, RetryAfter};

use crate::scene::{FILE, REPO, SIZE, Scene, repository, sha256, start};

#[tokio::test]
async fn a_flipped_byte_is_cut_off_before_the_end_and_the_next_request_is_right() {
    let scene = Scene::new().await;
    let flip = FaultRule::new(Action::FlipByte { offset: 1000 }).path("model.bin");
    let fault = scene.hub.add_fault(flip).expect("a rule");
    let reply = scene.get(FILE).send().await;
    assert!(!reply.is_whole, "status {} with {} bytes", reply.status, reply.body.len());
    assert!((reply.body.len() as u64) < SIZE);
    assert!(!scene.blob().exists());
    scene.hub.remove_fault(fault);
    // Whoever was cut off comes back for the rest, and gets the whole: its first part is of other bytes.
    // A fetch that began before the fault was gone may still cut it off once more, as clients that retry expect.
    let range = format!("bytes={}-", reply.body.len().max(1));
    let mut rest = scene.get(FILE).header("range", &range).send().await;
    for _ in 0..4 {
        if rest.is_whole {
            break;
        }
        rest = scene.get(FILE).header("range", &range).send().await;
    }
    scene.assert_right(&rest);
    let rest = scene.get(FILE).header("range", "bytes=4000000-").send().await;
    scene.assert_right(&rest);
}

#[tokio::test]
async fn a_file_that_comes_damaged_twice_is_counted_as_such() {
    let scene = Scene::new().await;
    let flip = FaultRule::new(Action::FlipByte { offset: 1000 }).path("model.bin");
    scene.hub.add_fault(flip).expect("a rule");
    assert!(!scene.get(FILE).send().await.is_whole);
    // The client is cut off at the first wrong byte; the download is given up after the second attempt.
    let lines = [
        "speech_flow_server_fetches_total{outcome=\"damaged\"} 1",
        "speech_flow_server_fetches_total{outcome=\"done\"} 0",
        "speech_flow_server_verification_failures_total 2",
        "speech_flow_server_quarantined_total 1",
    ];
    let begun = Instant::now();
    loop {
        let text = String::from_utf8(scene.get("/metrics").send().await.body).expect("text");
        if lines.iter().all(|line| text.lines().any(|found| found == *line)) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn bytes_that_are_wrong_once_are_fetched_again() {
    let scene = Scene::new().await;
    let flip = FaultRule::new(Action::FlipByte { offset: 4_500_000 }).path("model.bin").on(Endpoint::Cdn);
    // The segments come in any order: the rule is for those that hold the byte.
    scene.hub.add_fault(flip.first(8)).expect("a rule");
    let first = scene.get(FILE).send().await;
    assert!(!first.is_whole || sha256(&first.body) == scene.digest("model.bin"));
    let second = scene.get(FILE).send().await;
    scene.assert_right(&second);
}

#[tokio::test]
async fn pages_pointers_and_wrong_lengths_are_never_served() {
    for action in [
        Action::HtmlPage,
        Action::LfsPointer,
        Action::EmptyBody,
        Action::WrongLength { by: 10 },
        Action::WrongLength { by: -10 },
        Action::WrongRange { shift: 1 },
        Action::ChangedEtag { etag: None },
    ] {
        let scene = Scene::new().await;
        let name = action.name();
        scene.hub.add_fault(FaultRule::new(action).path("model.bin")).expect("a rule");
        let reply = scene.get(FILE).send().await;
        let is_refused = reply.status >= 500 || !reply.is_whole;
        // A body with a wrong length may bring all its bytes all the same.
        assert!(is_refused || sha256(&reply.body) == scene.digest("model.bin"), "{name}: {}", reply.status);
        scene.hub.clear_faults();
        tokio::time::sleep(Duration::from_millis(50)).await;
        scene.assert_right(&scene.get(FILE).send().await);
    }
}

#[tokio::test]
async fn a_broken_connection_is_taken_up_where_it_broke() {
    let scene = Scene::new().await;
    let cut = FaultRule::new(Action::CutAfter { bytes: 300_000 }).path("model.bin").on(Endpoint::Cdn).first(3);
    scene.hub.add_fault(cut).expect("a rule");
    scene.assert_right(&scene.get(FILE).send().await);
    let sent: u64 = scene.body_requests().iter().map(|record| record.bytes_sent).sum();
    assert!(sent < SIZE + (1 << 20), "{sent} bytes were sent");
}

#[tokio::test]
async fn the_first_byte_leaves_as_soon_as_it_arrives() {
    let scene = Scene::new().await;
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 300_000 }).path("model.bin").on(Endpoint::Cdn);
    scene.hub.add_fault(slow).expect("a rule");
    let started = Instant::now();
    let (status, _, mut body, mut stream) = scene.get(FILE).open().await;
    while body.is_empty() {
        use tokio::io::AsyncReadExt as _;
        assert!(stream.read_buf(&mut body).await.expect("reads") > 0);
    }
    assert_eq!(status, 200);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(!scene.blob().exists());
    drop(stream);
    // The download goes on without its client.
    scene.hub.clear_faults();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !scene.blob().exists() {
        assert!(Instant::now() < deadline, "the file is not there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    scene.hub.clear_requests();
    scene.assert_right(&scene.get(FILE).send().await);
    assert_eq!(scene.body_requests().len(), 0);
}

#[tokio::test]
async fn what_another_program_damaged_is_put_away_and_fetched_again() {
    let scene = Scene::of(DemoHub::builder().repository(repository(REPO)), |_| {}).await;
    scene.assert_right(&scene.get(FILE).send().await);
    let blob = scene.blob();
    let mut bytes = std::fs::read(&blob).expect("reads");
    bytes[77] ^= 1;
    std::fs::write(&blob, bytes).expect("writes");
    scene.assert_right(&scene.get(FILE).send().await);
    let quarantine = scene.folder.path().join(".speech-flow/quarantine");
    assert_eq!(std::fs::read_dir(quarantine).expect("reads").count(), 1);
}

#[tokio::test]
async fn whatever_befalls_the_hub_while_a_file_comes_nobody_gets_a_wrong_one_that_looks_whole() {
    for action in [
        Action::Drop,
        Action::CutAfter { bytes: 400_000 },
        Action::StallAfter { bytes: 400_000, resume_after_ms: None },
        Action::status(500),
        Action::too_many_requests(RetryAfter::Seconds(1)),
        Action::HtmlPage,
        Action::FlipByte { offset: 2_000_000 },
    ] {
        let name = action.name();
        let hub = DemoHub::builder().repository(repository(REPO)).start().await.expect("starts");
        let folder = Arc::new(tempfile::tempdir().expect("temp folder"));
        // A lane that is silent for so long is connected anew.
        let variables = [("HF_HUB_DOWNLOAD_TIMEOUT", "1")];
        let server = start(&hub.endpoint(), folder.path(), &variables, |_| {}, None).await;
        let scene = Scene { hub, server, folder };
        // Some of its requests go wrong, the others do not.
        scene.hub.add_fault(FaultRule::new(action).path("model.bin").on(Endpoint::Cdn).first(3)).expect("a rule");
        for _ in 0..2 {
            let reply = scene.get(FILE).send().await;
            let is_told = reply.status >= 500 || !reply.is_whole;
            assert!(is_told || sha256(&reply.body) == scene.digest("model.bin"), "{name}: status {}", reply.status);
        }
        scene.hub.clear_faults();
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut reply = scene.get(FILE).send().await;
        while (reply.status, reply.is_whole) != (200, true) {
            assert!(Instant::now() < deadline, "{name}: status {} with {} bytes", reply.status, reply.body.len());
            reply = scene.get(FILE).send().await;
        }
        scene.assert_right(&reply);
    }
}

#[tokio::test]
async fn a_hub_that_dies_under_a_download_leaves_it_cut_off_and_what_is_whole_is_still_served() {
    let scene = Scene::new().await;
    let small = "/acme/model/resolve/main/config.json";
    assert_eq!(scene.get(small).send().await.status, 200);
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 300_000 }).path("model.bin").on(Endpoint::Cdn);
    scene.hub.add_fault(slow).expect("a rule");
    let (status, _, mut body, mut stream) = scene.get(FILE).open().await;
    assert_eq!(status, 200);
    use tokio::io::AsyncReadExt as _;
    while body.is_empty() {
        assert!(stream.read_buf(&mut body).await.expect("reads") > 0);
    }
    let (path, digest) = (scene.blob(), scene.digest("model.bin"));
    let Scene { hub, server, folder: _folder } = scene;
    drop(hub);
    // A connection that is cut is the right end.
    let _ = stream.read_to_end(&mut body).await;
    assert!((body.len() as u64) < SIZE && sha256(&body) != digest, "{} bytes", body.len());
    assert!(!path.exists());
    assert_eq!(server.get(small).send().await.status, 200);
}
