//! Who may read and write, and where passwords go.

use std::fs;
use std::process::Command;

use crate::registry::{Door, PASSWORD, USER};
use crate::scene::{REPO, Reader, Scene};
use crate::support::Run;

/// `USER:PASSWORD` in base 64.
pub(crate) const AUTH: &str = "dGhlLXVzZXItb2YtdGhlLXRlc3RzOnRoZS1yZWdpc3RyeS1wYXNzd29yZC1vZi10aGUtdGVzdHM=";

#[test]
fn a_password_comes_from_the_settings_or_from_docker_and_is_never_shown() {
    let Some(scene) = Scene::start(&Door::Password) else { return };
    let reference = scene.registry.reference("models/private:v1");
    let pack = ["-vvv", "pack", REPO, &reference];

    let run = scene.packer.run(&pack).exits(1);
    assert!(run.stderr().contains("docker login"), "{}", run.stderr());
    let run = scene.packer.finish(with_login(&mut scene.packer.command(&pack), "wrong-password")).exits(1);
    assert!(run.stderr().contains("password"), "{}", run.stderr());
    let run = scene.packer.finish(with_login(&mut scene.packer.command(&pack), PASSWORD)).exits(0);
    assert_hidden(&run);

    let reader = Reader::new();
    let preload = ["-vvv", "preload", &reference];
    reader.run(&preload).exits(1);
    let folder = reader.world.folder().join("docker");
    fs::create_dir(&folder).expect("a folder");
    let host = scene.registry.address;
    fs::write(folder.join("config.json"), format!(r#"{{"auths": {{"{host}": {{"auth": "{AUTH}"}}}}}}"#))
        .expect("writes");
    let mut command = reader.command(&preload);
    command.env("DOCKER_CONFIG", &folder);
    assert_hidden(&reader.world.finish(&mut command).exits(0));
    let mut config = reader.command(&["config"]);
    assert_hidden(&reader.world.finish(with_login(&mut config, PASSWORD)).exits(0));
}

#[test]
fn a_login_of_another_registry_is_not_sent() {
    let Some(scene) = Scene::start(&Door::Password) else { return };
    let folder = scene.packer.folder().join("docker");
    fs::create_dir(&folder).expect("a folder");
    for config in [
        format!(r#"{{"auths": {{"registry.example": {{"auth": "{AUTH}"}}}}}}"#),
        format!(r#"{{"auths": {{}}, "credHelpers": {{"{}": "the-helper"}}}}"#, scene.registry.address),
    ] {
        fs::write(folder.join("config.json"), &config).expect("writes");
        let reference = scene.registry.reference("models/private:v1");
        let mut command = scene.packer.command(&["-vvv", "pack", REPO, &reference]);
        command.env("DOCKER_CONFIG", &folder);
        let run = scene.packer.finish(&mut command).exits(1);
        assert_eq!(run.stderr().contains("the-helper"), config.contains("the-helper"), "{}", run.stderr());
        assert_hidden(&run);
    }
}

#[test]
fn wrong_usage_says_what_to_write() {
    let reader = Reader::new();
    let check = |arguments: &[&str], code: i32, words: &str| {
        let run = reader.run(arguments).exits(code);
        assert!(run.stderr().contains(words), "{arguments:?}: {}", run.stderr());
    };
    check(&["pack", REPO], 2, "oci://REGISTRY/NAME:TAG");
    check(&["pack", "oci://localhost/a:b"], 2, "no model");
    check(&["pack", "oci://localhost/a:b", REPO], 2, "one place");
    check(&["pack", REPO, "org/b", "oci://localhost/a:b"], 2, "--format image");
    check(&["pack", REPO, "oci://localhost/A:b"], 2, "lower-case");
    check(&["pack", REPO, "oci://localhost/a"], 2, "needs a tag");
    check(&["pack", "./folder", "oci://localhost/a:b"], 2, "owner/name");
    check(&["pack", REPO, "--output", "x", "oci://localhost/a:b"], 2, "one place");
    check(&["pack", REPO, "--offline", "oci://localhost/a:b"], 1, "offline");
    check(&["preload", "oci://user:geheim@localhost/a:b"], 2, "oci://…@");
    check(&["preload", "oci://localhost/a:b", "--revision", "v1"], 2, "--revision");
    check(&["preload", "oci://localhost/a:b", "--offline"], 1, "offline");
    check(&["preload", REPO, "--plain-http"], 2, "--plain-http");
    check(&["preload", "oci://127.0.0.1:1/a:b"], 1, "--plain-http");
    assert!(!reader.run(&["preload", "oci://user:geheim@localhost/a:b"]).stderr().contains("geheim"));
}

#[test]
fn a_missing_artifact_is_named_and_does_not_stop_the_others() {
    let Some(scene) = Scene::start(&Door::Open) else { return };
    scene.pack("modelpack");
    let reader = Reader::new();
    let (missing, there) =
        (scene.registry.reference("models/none:v1"), scene.registry.reference("models/artifact:modelpack"));
    let document = reader.run(&["preload", &missing, &there, "--json"]).exits(1).json();
    assert_eq!(document["models"][0]["repo"], REPO);
    assert_eq!(document["failed"][0]["name"], missing.as_str());
    assert!(document["failed"][0]["error"].as_str().is_some_and(|error| error.contains("not found")));
}

pub(crate) fn with_login<'a>(command: &'a mut Command, password: &str) -> &'a mut Command {
    command.env("SPEECH_FLOW_REGISTRY_USERNAME", USER).env("SPEECH_FLOW_REGISTRY_PASSWORD", password)
}

/// Neither the password nor what it becomes in a header is anywhere.
#[track_caller]
pub(crate) fn assert_hidden(run: &Run) {
    for secret in [PASSWORD, AUTH] {
        for text in [run.stdout(), run.stderr()] {
            assert!(!text.contains(secret), "a secret is shown: {text}");
        }
    }
}
