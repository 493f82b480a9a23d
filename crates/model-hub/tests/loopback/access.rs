//! What is missing or closed, and what to do about it.

use speech_flow_demo_hub::models::{DEMO_GATED, DEMO_PRIVATE, DEMO_TOKEN, DEMO_TOKEN_WITHOUT_ACCESS};
use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultRule};
use speech_flow_model_hub::{FileRequest, HubError, Secret, Source};
use speech_flow_model_types::Revision;

use crate::support::{Scene, full_text, repository};

async fn demo(token: Option<&str>) -> Scene {
    let builder = DemoHub::builder().demo().unwrap().repository(repository());
    Scene::of(builder, |config| config.token = token.and_then(Secret::from_text)).await
}

/// What opening `config.json` of a repository gives; the listing is tried as well when `listed`.
async fn open(scene: &Scene, repo: &str) -> Result<(), HubError> {
    let repo = repo.parse().unwrap();
    let commit = scene.client.resolve(&repo, &Revision::main()).await?.commit;
    let files = scene.client.list(&repo, &commit).await?;
    let file = &files[0];
    let request = FileRequest { repo: &repo, commit: &commit, file, range: 0..file.size, validator: None };
    scene.client.open(request).await.map(drop)
}

#[tokio::test]
async fn an_unknown_repository_is_not_found() {
    let scene = demo(None).await;
    let error = open(&scene, "org/unknown").await.unwrap_err();
    assert!(matches!(&error, HubError::RepoNotFound { repo, .. } if repo.as_str() == "org/unknown"), "{error:?}");
    let text = full_text(&error);
    assert!(text.contains("`RepoNotFound`, request `sf-"), "{text}");
    assert!(scene.clock.waits().is_empty(), "it will not appear by waiting");
}

#[tokio::test]
async fn an_unknown_revision_is_not_found() {
    let scene = demo(None).await;
    let error = scene.client.resolve(&scene.repo, &"v9".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), "revision `v9` of `org/model` was not found");
    assert!(matches!(error, HubError::RevisionNotFound { .. }));
}

#[tokio::test]
async fn an_unknown_file_is_not_found() {
    let scene = demo(None).await;
    let mut item = scene.item("config.json").await;
    item.file.path = "absent.json".parse().unwrap();
    let (repo, commit, file) = (&item.repo, &item.commit, &item.file);
    let request = FileRequest { repo, commit, file, range: 0..file.size, validator: None };
    let error = scene.client.open(request).await.unwrap_err();
    assert!(matches!(&error, HubError::FileNotFound { file, .. } if file.as_str() == "absent.json"), "{error:?}");
}

#[tokio::test]
async fn a_gated_repository_says_what_to_do() {
    let error = open(&demo(None).await, DEMO_GATED).await.unwrap_err();
    assert!(matches!(error, HubError::Gated { token_sent: false, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("HF_TOKEN"));
    let error = open(&demo(Some(DEMO_TOKEN_WITHOUT_ACCESS)).await, DEMO_GATED).await.unwrap_err();
    assert!(matches!(error, HubError::Gated { token_sent: true, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("ask for access"));
    open(&demo(Some(DEMO_TOKEN)).await, DEMO_GATED).await.unwrap();
}

#[tokio::test]
async fn a_private_repository_needs_a_token() {
    let error = open(&demo(None).await, DEMO_PRIVATE).await.unwrap_err();
    assert!(matches!(error, HubError::RepoNotFound { .. }), "{error:?}");
    let scene = demo(Some(DEMO_TOKEN)).await;
    open(&scene, DEMO_PRIVATE).await.unwrap();
    scene.client.check_access(&DEMO_PRIVATE.parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_token_has_a_name_or_is_unknown() {
    assert!(demo(Some(DEMO_TOKEN)).await.client.account().await.unwrap().is_some());
    assert_eq!(demo(None).await.client.account().await.unwrap(), None);
    assert_eq!(demo(Some("hf_wrong")).await.client.account().await.unwrap(), None);
}

#[track_caller]
fn assert_repo_error(error: &HubError, is_expected: impl Fn(&HubError) -> bool) {
    assert!(is_expected(error), "{error:?}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn statuses_without_a_code_are_understood() {
    let scene = demo(None).await;
    let resolve = async |status: u16, message: Option<&str>, revision: &str| {
        scene.hub.clear_faults();
        let (headers, error_code, retry_after) = (Vec::new(), None, None);
        let message = message.map(str::to_owned);
        let action = Action::Status { status, retry_after, headers, error_code, message };
        scene.hub.add_fault(FaultRule::new(action).on(Endpoint::Info)).unwrap();
        scene.client.resolve(&scene.repo, &revision.parse().unwrap()).await.unwrap_err()
    };
    assert_repo_error(&resolve(401, None, "main").await, |e| matches!(e, HubError::Unauthorized { .. }));
    assert_repo_error(&resolve(403, None, "main").await, |e| matches!(e, HubError::Unauthorized { .. }));
    assert_repo_error(&resolve(404, None, "main").await, |e| matches!(e, HubError::RepoNotFound { .. }));
    assert_repo_error(&resolve(404, None, "v9").await, |e| matches!(e, HubError::RevisionNotFound { .. }));
    let disabled = resolve(403, Some("Access to this resource is disabled."), "main").await;
    assert_repo_error(&disabled, |e| matches!(e, HubError::Disabled { .. }));
    assert_repo_error(&resolve(418, None, "main").await, |e| matches!(e, HubError::Protocol { .. }));
}

#[tokio::test]
async fn no_error_and_no_setting_shows_the_token() {
    let scene = demo(Some("hf_verysecrettoken")).await;
    let error = open(&scene, DEMO_PRIVATE).await.unwrap_err();
    let shown = format!("{error:?} {} {:?}", full_text(&error), scene.client);
    assert!(!shown.contains("verysecret"), "{shown}");
}
