//! Bad input gets a clear error with something to do, and loses nothing.

use std::fs;

use speech_flow_demo_hub::models::{DEMO_GATED, DEMO_PRIVATE, DEMO_TOKEN, DEMO_TOKEN_WITHOUT_ACCESS};
use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultRule, Repository};

#[path = "support/support.rs"]
mod support;

use support::{LID, Run, World, files_below};

/// Every error names the thing and has something to do.
#[track_caller]
fn says(run: &Run, parts: &[&str]) {
    let stderr = run.stderr();
    assert!(stderr.starts_with("error: ") || stderr.contains("\nerror: "), "{stderr}");
    assert!(stderr.contains("\nhint: "), "no hint\n{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part:?} is not in\n{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_size_name_with_a_typo_gets_the_nearest() {
    let world = World::start();
    says(&world.run(&["preload", "large-v33"]).exits(2), &["`large-v33`", "did you mean `large-v3`?"]);
    says(&world.run(&["path", "tubro"]).exits(2), &["did you mean `turbo`?"]);
    let mut command = world.command(&["preload", "--whisper"]);
    command.env("WHISPER_MODEL_NAME", "large-v33");
    says(&world.finish(&mut command).exits(2), &["WHISPER_MODEL_NAME", "`large-v3`"]);
    assert!(world.hub.requests().is_empty());
}

#[test]
fn a_name_that_cannot_be_a_repository_is_wrong_usage() {
    let world = World::start();
    for name in ["a/b/c", "org/--name", "org/..", "org/name@../../x", "org/name@a\nb", ""] {
        says(&world.run(&["preload", name]).exits(2), &[]);
    }
    assert!(world.hub.requests().is_empty());
}

#[test]
fn an_unknown_repository_revision_or_file_is_not_found() {
    let world = World::start();
    says(&world.run(&["preload", "demo/nothing"]).exits(1), &["demo/nothing"]);
    says(&world.run(&["preload", &format!("{LID}@v9")]).exits(1), &["`v9`", LID]);
    let commit = "0123456789012345678901234567890123456789";
    says(&world.run(&["preload", &format!("{LID}@{commit}")]).exits(1), &[LID]);
    says(&world.run(&["preload", LID, "--include", "nothing.*"]).exits(1), &[LID, "--include"]);
}

#[test]
fn a_gated_or_private_repository_needs_a_token_with_access() {
    let world = World::start();
    let with = |token: &str, repo: &str| {
        let mut command = world.command(&["preload", repo]);
        command.env("HF_TOKEN", token);
        world.finish(&mut command)
    };
    says(&world.run(&["preload", DEMO_GATED]).exits(1), &[DEMO_GATED, "HF_TOKEN"]);
    says(&with(DEMO_TOKEN_WITHOUT_ACCESS, DEMO_GATED).exits(1), &[DEMO_GATED]);
    says(&world.run(&["preload", DEMO_PRIVATE]).exits(1), &[DEMO_PRIVATE]);
    for repo in [DEMO_GATED, DEMO_PRIVATE] {
        let run = with(DEMO_TOKEN, repo).exits(0);
        assert!(!format!("{}{}", run.stdout(), run.stderr()).contains(DEMO_TOKEN));
    }
}

#[test]
fn a_token_is_in_no_log_line_and_no_error() {
    let world = World::start();
    world.hub.add_fault(FaultRule::new(Action::status(500)).on(Endpoint::Resolve)).expect("a fault");
    let mut command = world.command(&["-vvv", "preload", DEMO_GATED]);
    command.env("HF_TOKEN", DEMO_TOKEN).env("MODEL_DOWNLOAD_MAX_RETRIES", "1");
    let run = world.finish(&mut command).exits(1);
    assert!(!run.stderr().contains(DEMO_TOKEN), "{}", run.stderr());
}

#[test]
fn a_malformed_variable_is_named_with_what_it_takes() {
    let world = World::start();
    for (variable, value) in [
        ("MODEL_DOWNLOAD_MAX_RETRIES", "many"),
        ("MODEL_DOWNLOAD_RETRY_DELAY", "soon"),
        ("HF_ENDPOINT", "not an address"),
        ("HF_HUB_OFFLINE", "perhaps"),
        ("SPEECH_FLOW_LANES", "0"),
        ("SPEECH_FLOW_SEGMENT_SIZE", "1"),
        ("WHISPER_COMPUTE_TYPE", "float7"),
    ] {
        let mut command = world.command(&["preload", "--all"]);
        command.env(variable, value);
        let run = world.finish(&mut command).exits(2);
        assert!(run.stderr().contains(variable) && run.stderr().contains("takes"), "{variable}: {}", run.stderr());
    }
    let mut command = world.command(&["list"]);
    command.env("SPEECH_FLOW_LOG", "info=chatty");
    says(&world.finish(&mut command).exits(2), &["SPEECH_FLOW_LOG"]);
}

#[test]
fn a_malformed_configuration_file_is_named_with_its_line() {
    let world = World::start();
    let file = world.folder().join("speech-flow.toml");
    fs::write(&file, "[download]\nlaness = 3\n").expect("written");
    let run = world.run(&["list"]).exits(2);
    says(&run, &["speech-flow.toml", "line 2", "`download.lanes`"]);
    fs::write(&file, "[download\n").expect("written");
    world.run(&["list"]).exits(2);
    fs::remove_file(&file).expect("removed");
    says(&world.run(&["list", "--config", "nowhere.toml"]).exits(2), &["nowhere.toml"]);
}

/// The listing of a repository with one more entry of this name.
fn hostile(path: &str) -> World {
    let world = World::start();
    let entries = serde_json::json!([
        { "type": "file", "path": "config.json", "size": 2, "oid": "9e26dfeeb6e641a33dae4961196235bdb965b21b" },
        { "type": "file", "path": path, "size": 2, "oid": "9e26dfeeb6e641a33dae4961196235bdb965b21b" },
    ]);
    let body = Action::Body { content_type: "application/json".to_owned(), body: entries.to_string() };
    world.hub.add_fault(FaultRule::new(body).on(Endpoint::Tree).repo("speech-flow/tiny-whisper")).expect("a fault");
    world
}

#[test]
fn a_hostile_file_name_writes_nothing_outside_and_nothing_inside() {
    for path in
        ["../../../escaped.json", "/etc/escaped.json", "a/../../escaped.json", "a\u{0}.json", "C:\\escaped.json"]
    {
        let world = hostile(path);
        let run = world.run(&["preload", "speech-flow/tiny-whisper", "--include", "*"]).exits(1);
        assert!(!run.stderr().contains("panicked"), "{}", run.stderr());
        let escaped: Vec<_> = files_below(world.folder())
            .into_iter()
            .filter(|file| file.to_string_lossy().contains("escaped") || file.ends_with("config.json"))
            .collect();
        assert!(escaped.is_empty(), "{path:?}: {escaped:?}");
    }
}

#[test]
fn what_a_hub_says_cannot_steer_the_terminal() {
    let world = World::start();
    let body = Action::Status {
        status: 403,
        retry_after: None,
        headers: vec![],
        error_code: Some("GatedRepo".to_owned()),
        message: Some("be quiet".to_owned()),
    };
    world.hub.add_fault(FaultRule::new(body).on(Endpoint::Info)).expect("a fault");
    let run = world.run(&["preload", LID]).exits(1);
    assert!(!run.stderr().contains('\u{1b}'), "{:?}", run.stderr());
}

#[test]
fn a_lockfile_that_was_edited_by_hand_is_refused_with_its_line() {
    let world = World::start();
    world.run(&["lock"]).exits(0);
    let good = fs::read_to_string(world.lockfile()).expect("the lockfile");
    let edited = {
        let at = good.find("sha256:").expect("a digest") + "sha256:".len();
        let other = if good.as_bytes()[at] == b'0' { "1" } else { "0" };
        format!("{}{other}{}", &good[..at], &good[at + 1..])
    };
    let truncated = good[..good.len() / 2].to_owned();
    for (what, text) in [
        ("edited", edited),
        ("cut", truncated),
        ("no lockfile", "hello".to_owned()),
        ("newer", good.replace("version = 1", "version = 99")),
    ] {
        fs::write(world.lockfile(), &text).expect("written");
        for arguments in [
            &["preload", "--all", "--locked"][..],
            &["preload", "--all"],
            &["lock", "--check"],
            &["update", "--check"],
            &["lock"],
        ] {
            let run = world.run(arguments).exits(1);
            assert!(
                run.stderr().contains("speech-flow.lock") && run.stderr().contains("line "),
                "{what}: {}",
                run.stderr()
            );
        }
        assert_eq!(fs::read_to_string(world.lockfile()).expect("the lockfile"), text, "{what}");
    }
    world.run(&["lock", "--update"]).exits(0);
    assert_eq!(fs::read_to_string(world.lockfile()).expect("the lockfile"), good);
}

#[test]
fn flags_that_contradict_each_other_are_wrong_usage() {
    let world = World::start();
    for arguments in [
        &["preload", "--all", "--whisper"][..],
        &["preload", LID, "--all"],
        &["preload", "--all", "--revision", "v1"],
        &["preload", LID, "--revision", "a b\u{7}"],
        &["preload", "--info", "--dry-run"],
        &["preload", "--clear-cache", "--offline"],
        &["preload", LID, "--include", "a["],
        &["verify", "--quick", "--full"],
        &["lock", "--check", "--update"],
        &["gc", "--max-size", "lots"],
        &["gc", "--unused-for", "lately"],
        &["pin"],
        &["path"],
        &["completions", "tcsh"],
    ] {
        world.run(arguments).exits(2);
    }
    assert!(world.hub.requests().is_empty());
}

#[test]
fn a_cache_that_is_a_file_is_named() {
    let world = World::start();
    fs::write(world.cache_dir(), "not a folder").expect("written");
    let run = world.run(&["preload", "--lid"]).exits(1);
    assert!(run.stderr().contains("models"), "{}", run.stderr());
}

#[test]
fn an_html_page_under_a_weights_name_is_named_as_what_it_is() {
    let world = World::start();
    world.hub.add_fault(FaultRule::new(Action::HtmlPage).path("*.safetensors")).expect("a fault");
    let run = world.run(&["preload", "--lid"]).exits(1);
    assert!(run.stderr().to_lowercase().contains("html"), "{}", run.stderr());
    world.run(&["path", LID]).exits(1);
}

#[test]
fn a_repository_without_files_for_its_kind_is_refused() {
    let repository =
        Repository::builder("org/empty").file("README.md", "x").file("config.json", "{}").build().expect("built");
    let world = World::with(DemoHub::builder().repository(repository));
    let run = world.run(&["preload", "org/empty"]).exits(1);
    says(&run, &["org/empty"]);
}
