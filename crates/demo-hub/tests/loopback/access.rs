//! Tokens, gated and private repositories.

use speech_flow_demo_hub::{DemoHub, Repository};

use crate::client::{Ask, get, head};

const TOKEN: &str = "hf_with_access";
const STRANGER: &str = "hf_without_access";

async fn hub() -> DemoHub {
    let builder = |name: &str| Repository::builder(name).file("config.json", "{}");
    DemoHub::builder()
        .repository(builder("org/public").build().unwrap())
        .repository(builder("org/gated").gated().build().unwrap())
        .repository(builder("org/private").private().build().unwrap())
        .token(TOKEN, ["org/gated", "org/private"])
        .token(STRANGER, ["org/public"])
        .start()
        .await
        .unwrap()
}

#[track_caller]
fn check(answer: &crate::client::Answer, status: u16, code: Option<&str>) {
    assert_eq!((answer.status, answer.find("X-Error-Code")), (status, code));
}

async fn file(hub: &DemoHub, name: &str, with: impl FnOnce(Ask) -> Ask) -> crate::client::Answer {
    with(get(format!("{}/org/{name}/resolve/main/config.json", hub.endpoint()))).answer().await
}

async fn listing(hub: &DemoHub, name: &str, with: impl FnOnce(Ask) -> Ask) -> crate::client::Answer {
    with(get(format!("{}/api/models/org/{name}/tree/main", hub.endpoint()))).answer().await
}

#[tokio::test]
async fn a_gated_repository_lists_to_all_and_gives_files_to_some() {
    let hub = hub().await;
    check(&listing(&hub, "gated", |ask| ask).await, 200, None);
    check(&file(&hub, "gated", |ask| ask).await, 401, Some("GatedRepo"));
    check(&file(&hub, "gated", |ask| ask.token(STRANGER)).await, 403, Some("GatedRepo"));
    check(&file(&hub, "gated", |ask| ask.token(TOKEN)).await, 200, None);
}

#[tokio::test]
async fn a_private_repository_does_not_exist_for_others() {
    let hub = hub().await;
    check(&listing(&hub, "private", |ask| ask).await, 401, Some("RepoNotFound"));
    check(&listing(&hub, "private", |ask| ask.token(STRANGER)).await, 404, Some("RepoNotFound"));
    check(&file(&hub, "private", |ask| ask.token(TOKEN)).await, 200, None);
}

#[tokio::test]
async fn an_unknown_token_is_refused_everywhere() {
    let hub = hub().await;
    let answer = file(&hub, "public", |ask| ask.token("hf_unknown")).await;
    check(&answer, 401, None);
    assert_eq!(answer.header("X-Error-Message"), "Invalid credentials in Authorization header");
}

#[tokio::test]
async fn tokens_say_whose_they_are_and_what_they_open() {
    let hub = hub().await;
    let whoami = |ask: Ask| ask.answer();
    let url = format!("{}/api/whoami-v2", hub.endpoint());
    assert_eq!(whoami(get(&url).token(TOKEN)).await.json()["name"], "demo");
    assert_eq!(whoami(get(&url)).await.status, 401);
    let check_url = format!("{}/api/models/org/gated/auth-check", hub.endpoint());
    check(&head(&check_url).token(TOKEN).answer().await, 200, None);
    check(&get(&check_url).token(STRANGER).answer().await, 403, Some("GatedRepo"));
}
