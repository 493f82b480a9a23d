//! Information, listings, history.

use serde_json::{Value, json};
use speech_flow_demo_hub::{DemoHub, Repository};

use crate::client::{ask, get};

fn repository() -> Repository {
    Repository::builder("org/name")
        .file("README.md", "---\nlicense: mit\n---\n# x\n")
        .file("config.json", "{}")
        .file("sub/model.bin", "weights")
        .commit("first\n\nlong")
        .tag("v1")
        .file("config.json", "{ }")
        .commit("second")
        .branch("refs/pr/1")
        .file("extra", "1")
        .build()
        .unwrap()
}

async fn hub(page_size: usize) -> DemoHub {
    DemoHub::builder().repository(repository()).page_size(page_size).start().await.unwrap()
}

async fn api(hub: &DemoHub, path: &str) -> Value {
    let answer = get(format!("{}/api/models/org/name{path}", hub.endpoint())).answer().await;
    assert_eq!(answer.status, 200, "{path}");
    answer.json()
}

fn paths(entries: &Value) -> Vec<&str> {
    entries.as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn information_names_commit_card_and_files() {
    let hub = hub(1000).await;
    let info = api(&hub, "").await;
    assert_eq!(info["sha"], hub.commit("org/name", "main").unwrap().as_str());
    assert_eq!(info["cardData"], json!({"license": "mit"}));
    assert_eq!(
        info["siblings"],
        json!([{"rfilename": "README.md"}, {"rfilename": "config.json"}, {"rfilename": "sub/model.bin"}])
    );
    let old = api(&hub, "/revision/v1?blobs=true").await;
    assert_eq!(old["sha"], hub.commit("org/name", "v1").unwrap().as_str());
    assert_eq!(old["siblings"][2]["lfs"]["size"], 7);
    let pull_request = api(&hub, "/revision/refs%2Fpr%2F1").await;
    assert_eq!(pull_request["siblings"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_listing_has_files_folders_and_lfs_pointers() {
    let hub = hub(1000).await;
    let entries = api(&hub, "/tree/main?recursive=true&expand=true").await;
    assert_eq!(paths(&entries), ["README.md", "config.json", "sub", "sub/model.bin"]);
    assert_eq!(entries[2]["type"], "directory");
    let file = &repository().files("main")[2];
    assert_eq!(entries[3]["lfs"]["oid"], file.digest.to_string());
    assert_eq!(entries[3]["oid"], file.blob_id);
    assert_eq!(entries[1]["lastCommit"]["title"], "second");
    assert_eq!(entries[3]["lastCommit"]["title"], "first");
    assert_eq!(paths(&api(&hub, "/tree/main").await), ["README.md", "config.json", "sub"]);
    assert_eq!(paths(&api(&hub, "/tree/main/sub").await), ["sub/model.bin"]);
    let missing = get(format!("{}/api/models/org/name/tree/main/nope", hub.endpoint())).answer().await;
    assert_eq!((missing.status, missing.header("X-Error-Code")), (404, "EntryNotFound"));
}

#[tokio::test]
async fn pages_put_together_are_the_listing() {
    let whole = api(&hub(1000).await, "/tree/main?recursive=true").await;
    let hub = hub(3).await;
    let mut url = format!("{}/api/models/org/name/tree/main?recursive=true", hub.endpoint());
    let mut entries = Vec::new();
    let mut pages = 0;
    loop {
        let answer = get(url).answer().await;
        pages += 1;
        entries.extend(answer.json().as_array().unwrap().clone());
        let Some(link) = answer.find("Link") else { break };
        url = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!((pages, Value::Array(entries)), (2, whole));
}

#[tokio::test]
async fn paths_are_described_from_a_form_and_from_json() {
    let hub = hub(1000).await;
    let url = format!("{}/api/models/org/name/paths-info/main", hub.endpoint());
    let form = ask("POST", &url)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("paths=config.json&paths=sub%2Fmodel.bin&paths=nope&expand=True");
    let form = form.answer().await.json();
    assert_eq!(paths(&form), ["config.json", "sub/model.bin"]);
    assert_eq!(form[0]["lastCommit"]["title"], "second");
    let text = json!({"paths": ["sub"]}).to_string();
    let answer = ask("POST", &url).header("Content-Type", "application/json").body(text).answer().await.json();
    assert_eq!(answer[0]["type"], "directory");
    assert_eq!(get(&url).answer().await.status, 405);
}

#[tokio::test]
async fn history_and_names_are_listed() {
    let hub = hub(1).await;
    let refs = api(&hub, "/refs?include_prs=1").await;
    assert_eq!(refs["branches"][0]["name"], "main");
    assert_eq!(refs["branches"].as_array().unwrap().len(), 1);
    assert_eq!(refs["tags"][0]["ref"], "refs/tags/v1");
    assert_eq!(refs["pullRequests"][0]["ref"], "refs/pr/1");
    let commits = api(&hub, "/commits/main").await;
    assert_eq!((&commits[0]["title"], commits.as_array().unwrap().len()), (&json!("second"), 1));
}

#[tokio::test]
async fn a_branch_can_move_while_the_hub_runs() {
    let hub = hub(1000).await;
    let before = api(&hub, "").await["sha"].clone();
    let commit = hub.set_head("org/name", "main", "refs/pr/1").unwrap();
    assert_eq!(api(&hub, "").await["sha"], commit.as_str());
    assert_ne!(before, commit.as_str());
    assert!(hub.set_head("org/name", "main", "nope").is_err());
    assert!(hub.set_head("org/nope", "main", "v1").is_err());
    assert_eq!(hub.files("org/name", "main").len(), 4);
}

#[tokio::test]
async fn a_repository_can_have_hostile_names() {
    let repository = Repository::builder("org/evil").file("../../etc/passwd", "x").file("/abs", "y").build().unwrap();
    let hub = DemoHub::builder().repository(repository).start().await.unwrap();
    let answer = get(format!("{}/api/models/org/evil/tree/main?recursive=true", hub.endpoint())).answer().await;
    assert!(paths(&answer.json()).contains(&"../../etc/passwd"));
}
