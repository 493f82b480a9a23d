//! A registry that lies: nothing wrong ever gets a final name, and nothing leaves the cache.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::registry::Door;
use crate::scene::{FORMATS, Reader, Scene, text};
use crate::support::LID;

/// What is done to a stored blob.
type Damage = (&'static str, fn(&mut Vec<u8>));

const DAMAGES: [Damage; 5] = [
    ("its first byte is another", |bytes| bytes[0] ^= 1),
    ("a byte in its middle is another", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }),
    ("its last byte is another", |bytes| *bytes.last_mut().expect("not empty") ^= 1),
    ("it is shorter", |bytes| bytes.truncate(bytes.len() - 1)),
    ("it is longer", |bytes| bytes.push(b'x')),
];

#[test]
fn damage_in_any_layer_is_caught() {
    let Some(scene) = Scene::start(&Door::Open) else { return };
    for format in FORMATS {
        let pack = scene.pack(format);
        let (_, layers) = scene.layers(&pack);
        let reference = scene.registry.reference(&format!("models/artifact:{format}"));
        // The layer of links is for runtimes; it is not read back.
        let links = usize::from(format == "image");
        for layer in &layers[links..] {
            let path = scene.registry.blob(&text(&layer["digest"]));
            let sound = fs::read(&path).expect("a blob");
            for (damage, change) in DAMAGES {
                let mut bytes = sound.clone();
                change(&mut bytes);
                fs::write(&path, bytes).expect("writes");
                let reader = Reader::new();
                let run = reader.run(&["preload", &reference, "--json"]).exits(1);
                let what = format!("{format}: {} of {} bytes: {damage}", layer["digest"], sound.len());
                assert!(!run.stderr().contains("panicked"), "{what}: {}", run.stderr());
                reader.assert_nothing_counts(&what);
                // Mended, it is fetched into the same cache.
                fs::write(&path, &sound).expect("writes");
                if damage == DAMAGES[1].0 {
                    reader.run(&["preload", &reference]).exits(0);
                    scene.payload.assert_complete(&reader.cache());
                }
            }
        }
    }
}

#[test]
fn a_manifest_that_is_not_what_its_digest_says_is_caught() {
    let Some(scene) = Scene::start(&Door::Open) else { return };
    for format in FORMATS {
        let pack = scene.pack(format);
        let (digest, _) = scene.layers(&pack);
        let path = scene.registry.blob(&digest);
        let sound = fs::read_to_string(&path).expect("a manifest");
        fs::write(&path, sound.replacen("org/artifact", "org/artifacs", 1)).expect("writes");
        let reader = Reader::new();
        let run = reader.run(&["preload", &text(&pack["pinned"])]).exits(1);
        assert!(run.stderr().contains("digest"), "{format}: {}", run.stderr());
        reader.assert_nothing_counts(format);
        fs::write(&path, sound).expect("writes");
    }
}

#[test]
fn descriptions_that_lead_out_of_the_cache_are_refused() {
    let Some(scene) = Scene::start(&Door::Open) else { return };
    let pack = scene.pack("modelpack");
    let sound = scene.manifest(&text(&pack["digest"]));
    let commit = text(&pack["models"][0]["commit"]);
    let lies: [(&str, &str, &str); 7] = [
        ("words.txt", "../words.txt", "a path that climbs"),
        ("words.txt", "/etc/words.txt", "an absolute path"),
        ("words.txt", "a/../../words.txt", "a path that climbs within"),
        ("words.txt", "weights.bin/words.txt", "a folder that is a file"),
        ("org/artifact", "../artifact", "a repository that climbs"),
        ("\"main\"", "\"../../main\"", "a name that climbs"),
        (&commit, "main", "a commit that is none"),
    ];
    for (from, to, what) in lies {
        let mut manifest = sound.clone();
        let description = text(&manifest["annotations"]["io.github.speech-flow.models"]);
        let changed = description.replace(from, to);
        assert_ne!(changed, description, "{what}");
        manifest["annotations"]["io.github.speech-flow.models"] = changed.into();
        refused(&scene, &manifest, what);
    }
    let mut manifest = sound.clone();
    manifest["layers"][0]["size"] = 1.into();
    refused(&scene, &manifest, "a layer of another length");
    let mut manifest = sound.clone();
    manifest["annotations"] = serde_json::json!({});
    refused(&scene, &manifest, "an artifact of others");
}

#[track_caller]
fn refused(scene: &Scene, manifest: &Value, what: &str) {
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    scene.registry.put_manifest("models/artifact", "lie", media_type, manifest.to_string().as_bytes());
    let reader = Reader::new();
    let run = reader.run(&["preload", &scene.registry.reference("models/artifact:lie")]).exits(1);
    assert!(run.stderr().contains("cannot be read back"), "{what}: {}", run.stderr());
    reader.assert_nothing_counts(what);
    assert!(!Path::new(&reader.world.folder().join("words.txt")).exists(), "{what}");
}

#[test]
fn a_lockfile_holds_an_artifact_to_what_was_locked() {
    let Some(scene) = Scene::start(&Door::Open) else { return };
    scene.packer.run(&["lock"]).exits(0);
    let reference = scene.registry.reference("models/locked:v1");
    let pack = scene.packer.run(&["pack", LID, "--json", &reference]).exits(0).json();
    let reader = Reader::new();
    fs::copy(scene.packer.lockfile(), reader.world.lockfile()).expect("copies");
    reader.run(&["preload", "--locked", &reference]).exits(0);
    // What is not locked is not taken.
    scene.pack("modelpack");
    reader.run(&["preload", "--locked", &scene.registry.reference("models/artifact:modelpack")]).exits(1);
    reader.assert_nothing_counts("a model that is not locked");

    // Another commit is locked.
    let locked = fs::read_to_string(scene.packer.lockfile()).expect("a lockfile");
    let commit = text(&pack["models"][0]["commit"]);
    assert!(locked.contains(&commit));
    let reader = Reader::new();
    fs::write(reader.world.lockfile(), locked.replace(&commit, &"d".repeat(40))).expect("writes");
    let run = reader.run(&["preload", "--locked", &reference]).exits(1);
    assert!(run.stderr().contains("does not hold"), "{}", run.stderr());

    // The commit is the locked one, and a file of it is not.
    let mut manifest = scene.manifest(&text(&pack["digest"]));
    let description = text(&manifest["annotations"]["io.github.speech-flow.models"]);
    let digest = text(&pack["models"][0]["files"][0]["digest"]);
    let (kind, hash) = digest.split_once(':').expect("a prefix");
    assert_eq!(kind, "git-sha1", "a small file comes first");
    let changed = description.replace(hash, &"0".repeat(40));
    assert_ne!(changed, description);
    manifest["annotations"]["io.github.speech-flow.models"] = changed.into();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    scene.registry.put_manifest("models/locked", "lie", media_type, manifest.to_string().as_bytes());
    let reader = Reader::new();
    fs::copy(scene.packer.lockfile(), reader.world.lockfile()).expect("copies");
    let run = reader.run(&["preload", "--locked", &scene.registry.reference("models/locked:lie")]).exits(1);
    assert!(run.stderr().contains("is not what the lockfile says"), "{}", run.stderr());
    reader.run(&["path", LID, "--offline"]).exits(1);
}
