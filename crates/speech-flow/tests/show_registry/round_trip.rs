//! What is packed is pulled by others and read back as if it came from the hub.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::audit::audit;
use crate::client::{Client, answer};
use crate::registry::Door;
use crate::scene::{FILES, FORMATS, REPO, Reader, Scene, sha256_of, text};
use crate::support::{LID, WHISPER};

#[test]
fn oras_pulls_a_model_pack_byte_for_byte() {
    let (Some(client), Some(scene)) = (Client::find(), Scene::start(&Door::Open)) else { return };
    let pack = scene.pack("modelpack");
    assert_eq!(pack["bytes_sent"], pack["bytes_total"]);
    let folder = scene.packer.folder().join("pulled");
    fs::create_dir(&folder).expect("a folder");
    let reference = format!("{}/models/artifact:modelpack", scene.registry.address);
    let arguments = [&reference, folder.to_str().expect("text")];
    let pulled = answer(&mut client.script(&scene.packer, "oras_pull.py", &arguments));

    let snapshot = pack["models"][0]["path"].as_str().map(std::path::Path::new).expect("a path");
    let expected: BTreeMap<String, String> =
        FILES.iter().map(|(path, _)| ((*path).to_owned(), sha256_of(&snapshot.join(path)))).collect();
    let files: BTreeMap<String, String> = serde_json::from_value(pulled["files"].clone()).expect("files");
    assert_eq!(files, expected);

    let manifest = &pulled["manifest"];
    assert_eq!(manifest["artifactType"], "application/vnd.cncf.model.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.cncf.model.config.v1+json");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.revision"], pack["models"][0]["commit"]);
    for layer in manifest["layers"].as_array().expect("layers") {
        let path = text(&layer["annotations"]["org.cncf.model.filepath"]);
        assert_eq!(text(&layer["digest"]), format!("sha256:{}", expected[&path]));
    }
}

#[test]
fn packing_again_sends_nothing_and_gives_the_same_digest() {
    let Some(scene) = Scene::start(&Door::Open) else { return };
    for format in FORMATS {
        let first = scene.pack(format);
        scene.packer.run(&["clear", REPO, "--yes"]).exits(0);
        let second = scene.pack(format);
        assert_eq!(first["digest"], second["digest"], "{format}");
        assert_eq!(second["bytes_sent"], 0, "{format}");
    }
}

#[test]
fn every_format_is_read_back_as_if_from_the_hub() {
    let Some(scene) = Scene::start(&Door::Open) else { return };
    for format in FORMATS {
        let pack = scene.pack(format);
        let pinned = text(&pack["pinned"]);
        let by_tag = scene.registry.reference(&format!("models/artifact:{format}"));
        for reference in [&by_tag, &pinned] {
            let reader = Reader::new();
            let document = reader.run(&["preload", reference, "--json"]).exits(0).json();
            let model = &document["models"][0];
            assert_eq!((&model["repo"], &model["outcome"]), (&REPO.into(), &"downloaded".into()), "{format}");
            assert_eq!(model["commit"], pack["models"][0]["commit"]);
            assert_eq!(model["digest"], pack["models"][0]["digest"]);
            assert_eq!(text(&model["source"]), pinned);
            assert_eq!(audit(&reader.cache()), FILES.len());
            scene.payload.assert_complete(&reader.cache());
            for file in [format!("trees/{}.json", text(&model["commit"])), "refs/main".to_owned()] {
                let read = |cache: std::path::PathBuf| {
                    fs::read(cache.join("models--org--artifact").join(&file)).expect("a file of the cache")
                };
                assert_eq!(read(reader.cache()), read(scene.packer.hub_cache()), "{format}: {file}");
            }
            reader.run(&["verify", REPO]).exits(0);
            reader.run(&["path", REPO, "--offline"]).exits(0);
            let again = reader.run(&["preload", reference, "--json"]).exits(0).json();
            assert_eq!(again["models"][0]["outcome"], "hit");
        }
    }
}

#[test]
fn an_image_holds_several_models_and_each_goes_to_its_cache() {
    let Some(scene) = Scene::start(&Door::Open) else { return };
    let reference = scene.registry.reference("models/speech:v1");
    scene.packer.run(&["pack", WHISPER, LID, "--format", "image", &reference]).exits(0);
    let reader = Reader::new();
    reader.run(&["preload", &reference]).exits(0);
    for (cache, model) in [(reader.world.whisper_cache(), WHISPER), (reader.cache(), LID)] {
        assert!(audit(&cache) > 0);
        let found = reader.run(&["path", model, "--offline"]).exits(0).stdout();
        assert!(found.trim().starts_with(cache.to_str().expect("text")), "{found}");
        reader.run(&["verify", model, "--offline"]).exits(0);
    }
}

#[test]
fn a_dry_run_fetches_no_content() {
    let Some(scene) = Scene::start(&Door::Open) else { return };
    scene.pack("modelpack");
    let reader = Reader::new();
    let reference = scene.registry.reference("models/artifact:modelpack");
    let forecast = reader.run(&["preload", &reference, "--dry-run", "--json"]).exits(0).json();
    let total: usize = FILES.iter().map(|(_, size)| size).sum();
    assert_eq!(forecast["models"][0]["bytes_to_fetch"], total);
    assert!(!reader.cache().exists());
}

#[test]
fn python_clients_read_what_came_from_a_registry() {
    let (Some(client), Some(scene)) = (Client::find(), Scene::start(&Door::Open)) else { return };
    for format in FORMATS {
        scene.pack(format);
        let reader = Reader::new();
        reader.run(&["preload", &scene.registry.reference(&format!("models/artifact:{format}"))]).exits(0);
        let cache = reader.cache();
        let arguments = [cache.to_str().expect("text"), REPO, "main"];
        let read = answer(&mut client.script(&reader.world, "read_offline.py", &arguments));
        let names: Vec<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(file_names(&read), sorted(names), "{format}");
    }
}

/// What a kubelet does with an image: its layers, one over the other, are a cache.
#[test]
fn an_image_unpacks_to_a_cache_that_needs_no_network() {
    let (Some(client), Some(scene)) = (Client::find(), Scene::start(&Door::Open)) else { return };
    let packer = &scene.packer;
    let layout = packer.folder().join("layout");
    let arguments = ["pack", REPO, "--format", "image", "--json", "--output", layout.to_str().expect("text")];
    let pack = packer.run(&arguments).exits(0).json();
    assert_eq!(pack["digest"], scene.pack("image")["digest"], "a folder and a registry hold one artifact");

    let reader = Reader::new();
    let folder = reader.world.cache_dir();
    let arguments = [layout.to_str().expect("text"), folder.to_str().expect("text")];
    let unpacked = answer(&mut client.script(&reader.world, "unpack_layers.py", &arguments));
    let diff_ids: Vec<&Value> = unpacked["layers"].as_array().expect("layers").iter().map(|l| &l["digest"]).collect();
    assert_eq!(unpacked["config"]["rootfs"]["diff_ids"], serde_json::json!(diff_ids));
    for entry in unpacked["entries"].as_array().expect("entries") {
        assert_eq!((&entry[2], &entry[3]), (&0.into(), &0.into()), "{entry}");
    }
    assert_eq!(audit(&reader.cache()), FILES.len());
    reader.run(&["verify", REPO, "--offline"]).exits(0);
    let found = reader.run(&["path", REPO, "--offline"]).exits(0).stdout();
    assert!(found.trim().starts_with(folder.to_str().expect("text")), "{found}");
    let cache = reader.cache();
    let arguments = [cache.to_str().expect("text"), REPO, "main"];
    let read = answer(&mut client.script(&reader.world, "read_offline.py", &arguments));
    assert_eq!(file_names(&read).len(), FILES.len());
}

fn file_names(read: &Value) -> Vec<String> {
    let files = &read["files"];
    let names = match files {
        Value::Object(files) => files.keys().cloned().collect(),
        _ => serde_json::from_value(files.clone()).expect("names"),
    };
    sorted(names)
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}
