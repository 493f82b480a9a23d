//! Resolve, list, refs.

use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultRule, Repository};
use speech_flow_model_hub::{HubError, RefKind, Source};
use speech_flow_model_types::Revision;

use crate::support::{Scene, full_text, repository};

#[tokio::test]
async fn a_revision_is_settled_with_what_the_card_says() {
    let scene = Scene::new().await;
    let info = scene.client.resolve(&scene.repo, &"v1".parse().unwrap()).await.unwrap();
    assert_eq!(Some(info.commit), scene.hub.commit("org/model", "v1"));
    assert_eq!(info.license.as_deref(), Some("apache-2.0"));
    assert_eq!(info.base_models, ["openai/whisper-tiny"]);
    assert!(!info.private && !info.gated);
}

#[tokio::test]
async fn every_request_names_itself() {
    let scene = Scene::new().await;
    scene.client.resolve(&scene.repo, &Revision::main()).await.unwrap();
    let request = &scene.hub.requests()[0];
    let agent = request.user_agent.as_deref().unwrap();
    assert!(agent.starts_with("speech-flow/"), "{agent}");
    assert!(request.request_id.starts_with("sf-"), "{}", request.request_id);
}

#[tokio::test]
async fn a_paged_listing_is_read_to_its_end() {
    let files = (0..25).fold(Repository::builder("org/model"), |repo, n| repo.file(format!("f/{n:02}.txt"), "x"));
    let builder = DemoHub::builder().repository(files.build().unwrap()).page_size(10);
    let scene = Scene::of(builder, |_| {}).await;
    let commit = scene.hub.commit("org/model", "main").unwrap();
    let listed = scene.client.list(&scene.repo, &commit).await.unwrap();
    let names: Vec<_> = listed.iter().map(|file| file.path.to_string()).collect();
    let expected: Vec<_> = scene.hub.files("org/model", "main").into_iter().map(|file| file.path).collect();
    assert_eq!(names, expected);
    assert!(scene.hub.requests().len() >= 3);
}

#[tokio::test]
async fn a_listing_that_leads_to_another_host_is_refused() {
    let scene = Scene::new().await;
    let link = ("Link".to_owned(), "<http://127.0.0.1:1/api/next>; rel=\"next\"".to_owned());
    let rule = FaultRule::new(Action::Headers { set: vec![link], remove: Vec::new() }).on(Endpoint::Tree);
    scene.hub.add_fault(rule).unwrap();
    let commit = scene.hub.commit("org/model", "main").unwrap();
    let error = scene.client.list(&scene.repo, &commit).await.unwrap_err();
    assert!(full_text(&error).contains("next page that is not followed"), "{}", full_text(&error));
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_listing_without_end_is_refused() {
    let scene = Scene::new().await;
    let link = ("Link".to_owned(), "<?cursor=again>; rel=\"next\"".to_owned());
    scene
        .hub
        .add_fault(FaultRule::new(Action::Headers { set: vec![link], remove: Vec::new() }).on(Endpoint::Tree))
        .unwrap();
    let commit = scene.hub.commit("org/model", "main").unwrap();
    let error = scene.client.list(&scene.repo, &commit).await.unwrap_err();
    assert!(full_text(&error).contains("more than 200 pages"), "{}", full_text(&error));
}

#[tokio::test]
async fn a_hostile_file_name_is_refused_by_name() {
    let hostile = Repository::builder("org/model").file("../../.ssh/authorized_keys", "x").build().unwrap();
    let scene = Scene::of(DemoHub::builder().repository(hostile), |_| {}).await;
    let commit = scene.hub.commit("org/model", "main").unwrap();
    let error = scene.client.list(&scene.repo, &commit).await.unwrap_err();
    assert!(matches!(error, HubError::HostileListing { .. }));
    assert!(full_text(&error).contains("`../../.ssh/authorized_keys`"), "{}", full_text(&error));
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_page_for_people_is_no_listing() {
    let scene = Scene::new().await;
    scene.hub.add_fault(FaultRule::new(Action::HtmlPage).on(Endpoint::Info)).unwrap();
    let error = scene.client.resolve(&scene.repo, &Revision::main()).await.unwrap_err();
    assert!(full_text(&error).contains("HTML page"), "{}", full_text(&error));
}

#[tokio::test]
async fn branches_and_tags_are_listed() {
    let scene = Scene::of(DemoHub::builder().repository(repository()), |_| {}).await;
    let refs = scene.client.refs(&scene.repo).await.unwrap();
    let names: Vec<_> = refs.iter().map(|name| (name.name.as_str(), name.kind)).collect();
    assert_eq!(names, [("main", RefKind::Branch), ("v1", RefKind::Tag)]);
}

#[tokio::test]
async fn a_hub_below_a_path_keeps_its_path() {
    let scene = Scene::of(DemoHub::builder().repository(repository()), |config| {
        config.endpoint = config.endpoint.join("mirror/hf/").unwrap();
    })
    .await;
    let _ = scene.client.resolve(&scene.repo, &"refs/pr/1".parse().unwrap()).await;
    assert_eq!(scene.hub.requests()[0].path, "/mirror/hf/api/models/org/model/revision/refs%2Fpr%2F1");
}

#[tokio::test]
async fn a_silent_hub_is_given_up_after_the_metadata_timeout() {
    let scene = Scene::of(DemoHub::builder().repository(repository()), |config| {
        config.etag_timeout = std::time::Duration::from_millis(30);
        config.retry.max_retries = 1;
    })
    .await;
    scene.hub.add_fault(FaultRule::new(Action::Delay { ms: 60_000 }).on(Endpoint::Info)).unwrap();
    let error = scene.client.resolve(&scene.repo, &Revision::main()).await.unwrap_err();
    assert!(matches!(error, HubError::Timeout { .. }), "{error:?}");
    assert!(error.to_string().contains("request `sf-"), "{error}");
    assert_eq!(scene.hub.requests().len(), 2);
}
