//! The answers by which the Hub's clients decide.

use serde_json::json;
use speech_flow_demo_hub::DemoHub;

use crate::client::Ask;
use crate::scene::{FILE, REPO, SIZE, Scene, repository};

#[tokio::test]
async fn a_head_says_what_clients_need_and_fetches_no_byte() {
    let scene = Scene::new().await;
    let reply = scene.head(FILE).send().await;
    assert_eq!(reply.status, 200);
    let digest = format!("\"{}\"", scene.digest("model.bin"));
    assert_eq!(reply.header("etag"), Some(&*digest));
    assert_eq!(reply.header("x-linked-etag"), Some(&*digest));
    assert_eq!(reply.header("x-repo-commit"), Some(&*scene.commit()));
    assert_eq!(reply.header("content-length"), Some(&*SIZE.to_string()));
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    assert!(reply.header("x-xet-hash").is_none() && reply.header("link").is_none());
    assert_eq!(scene.body_requests().len(), 0);
    let small = scene.head("/acme/model/resolve/main/config.json").send().await;
    assert_eq!(small.header("etag"), Some(&*format!("\"{}\"", scene.digest("config.json"))));
    assert!(small.header("x-linked-etag").is_none());
}

#[tokio::test]
async fn a_part_is_a_part_and_a_known_etag_is_not_sent_again() {
    let scene = Scene::new().await;
    let whole = scene.get(FILE).send().await;
    scene.assert_right(&whole);
    let part = scene.get(FILE).header("range", "bytes=100-199").send().await;
    assert_eq!((part.status, part.header("content-range")), (206, Some(&*format!("bytes 100-199/{SIZE}"))));
    assert_eq!(part.body, whole.body[100..200]);
    let end = scene.get(FILE).header("range", format!("bytes={}-", SIZE - 5)).send().await;
    assert_eq!(end.body, whole.body[SIZE as usize - 5..]);
    let outside = scene.get(FILE).header("range", format!("bytes={SIZE}-")).send().await;
    assert_eq!((outside.status, outside.header("content-range")), (416, Some(&*format!("bytes */{SIZE}"))));
    let etag = whole.header("etag").expect("an ETag").to_owned();
    assert_eq!(scene.get(FILE).header("if-none-match", &etag).send().await.status, 304);
    let other = scene.get(FILE).header("range", "bytes=1-2").header("if-range", "\"x\"").send().await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn errors_carry_the_codes_that_clients_decide_by() {
    let scene = Scene::new().await;
    #[track_caller]
    fn check(reply: &crate::client::Reply, status: u16, code: &str) {
        assert_eq!((reply.status, reply.header("x-error-code")), (status, Some(code)));
        assert!(reply.header("x-error-message").is_some());
    }
    let missing = scene.get("/acme/model/resolve/main/absent.json").send().await;
    check(&missing, 404, "EntryNotFound");
    assert_eq!(missing.header("x-repo-commit"), Some(&*scene.commit()));
    check(&scene.get("/acme/model/resolve/nowhere/config.json").send().await, 404, "RevisionNotFound");
    let unknown = scene.get("/acme/unknown/resolve/main/config.json").send().await;
    check(&unknown, unknown.status, "RepoNotFound");
    assert!(matches!(unknown.status, 401 | 404));
    for path in [
        "/acme/model/resolve/main/..%2f..%2fetc%2fpasswd",
        "/acme/model/resolve/main/%00",
        "/acme/model/resolve/..%2f..%2fx/config.json",
        "/acme%2f..%2fmodel/resolve/main/config.json",
        "/api/models/acme/model/tree/main/..%2f..",
    ] {
        assert_eq!(scene.get(path).send().await.status, 400, "{path}");
    }
    assert_eq!(scene.get("/api/datasets/o/r").send().await.status, 501);
    assert_eq!(scene.get("/api/agent-harnesses").send().await.status, 404);
    assert_eq!(Ask::new(scene.server.address, "POST", FILE).send().await.status, 405);
    let xet = scene.get("/api/models/acme/model/xet-read-token/main").send().await;
    assert_eq!(xet.status, 501);
    assert!(xet.header("x-error-message").is_some_and(|message| message.contains("HF_HUB_DISABLE_XET")));
}

#[tokio::test]
async fn listings_are_the_hubs_own() {
    let scene = Scene::new().await;
    let commit = scene.commit();
    let hub: std::net::SocketAddr =
        scene.hub.endpoint().strip_prefix("http://").and_then(|address| address.parse().ok()).expect("an address");
    for path in [
        format!("/api/models/{REPO}/tree/{commit}?recursive=true&expand=false"),
        format!("/api/models/{REPO}/tree/main"),
        format!("/api/models/{REPO}/tree/main/onnx"),
        format!("/api/models/{REPO}/tree/main?expand=true"),
        format!("/api/models/{REPO}"),
        format!("/api/models/{REPO}/revision/main?blobs=true"),
        format!("/api/models/{REPO}/refs"),
        format!("/api/models/{REPO}/commits/main"),
    ] {
        let (here, there) = (scene.get(&path).send().await, Ask::new(hub, "GET", &path).send().await);
        assert_eq!((here.status, here.json()), (200, there.json()), "{path}");
    }
    let form = Ask::new(scene.server.address, "POST", format!("/api/models/{REPO}/paths-info/main"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("paths=model.bin&paths=onnx&paths=absent&expand=False");
    let there = Ask::new(hub, "POST", format!("/api/models/{REPO}/paths-info/main"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("paths=model.bin&paths=onnx&paths=absent&expand=False");
    assert_eq!(form.send().await.json(), there.send().await.json());
}

#[tokio::test]
async fn pages_of_a_listing_lead_back_to_this_server() {
    let scene = Scene::of(DemoHub::builder().page_size(2).repository(repository(REPO)), |_| {}).await;
    let mut path = format!("/api/models/{REPO}/tree/main?recursive=true&limit=2");
    let mut seen = Vec::new();
    loop {
        let reply = scene.get(&path).send().await;
        seen.extend(reply.json().as_array().expect("a list").iter().map(|entry| entry["path"].clone()));
        let Some(link) = reply.header("link") else { break };
        let next = link.strip_prefix('<').and_then(|link| link.split_once('>')).expect("a link").0;
        let here = format!("http://{}", scene.server.address);
        path = next.strip_prefix(&here).expect("leads here").to_owned();
    }
    let seen = serde_json::Value::from(seen);
    assert_eq!(seen, json!(["config.json", "model.bin", "onnx", "onnx/notes.txt"]));
}
