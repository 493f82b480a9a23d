use std::collections::BTreeMap;
use std::fs;

use speech_flow_model_types::{ModelKind, Revision};
use tempfile::TempDir;

use super::*;
use crate::artifact::{Read, parse_artifact, read};

/// `hello\n`, as git and SHA-256 name it.
const GIT: &str = "ce013625030ba8dba906f756967f9e9ca394464a";
const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

fn file(path: &str, digest: &str) -> RemoteFile {
    let (digest, blob_id) = (digest.parse().unwrap(), GIT.to_owned());
    RemoteFile { path: path.parse().unwrap(), size: 6, digest, blob_id, xet_hash: None }
}

/// A model of two packed files, and one of the listing that is not packed.
fn model(folder: &TempDir, repo: &str) -> ModelToPack {
    fs::write(folder.path().join("config.json"), "hello\n").unwrap();
    fs::write(folder.path().join("model.bin"), "hello\n").unwrap();
    let files = vec![file("config.json", GIT), file("model.bin", SHA256)];
    let mut listing = files.clone();
    listing.insert(0, file("README.md", GIT));
    let model = DescribedModel {
        repo: repo.parse().unwrap(),
        commit: "c".repeat(40).parse().unwrap(),
        refs: vec![Revision::main()],
        kind: ModelKind::Whisper,
        license: Some("mit".to_owned()),
        base_model: None,
        listing,
        layers: BTreeMap::new(),
    };
    ModelToPack { model, folder: folder.path().to_owned(), files }
}

fn packed(models: Vec<ModelToPack>, format: Format) -> Result<Pack, OciError> {
    pack(models, format, &mut |_| {}, &CancellationToken::new())
}

#[test]
fn packing_twice_gives_the_same_bytes() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for format in [Format::ModelPack, Format::Image] {
        let (first, second) =
            (packed(vec![model(&one, "a/b")], format).unwrap(), packed(vec![model(&other, "a/b")], format).unwrap());
        assert_eq!(first.digest(), second.digest(), "{format:?}");
    }
}

#[test]
fn a_model_pack_reads_back_and_its_layers_are_the_files() {
    let folder = TempDir::new().unwrap();
    let model = model(&folder, "a/b");
    let pack = packed(vec![model.clone()], Format::ModelPack).unwrap();
    let artifact = parse_artifact(&pack.root().bytes).unwrap();
    let read = &artifact.models[0];
    assert_eq!((&read.model.repo, &read.model.listing), (&model.model.repo, &model.model.listing));
    assert_eq!(read.layers.len(), 2);
    for layer in read.layers.values() {
        assert_eq!((layer.digest.to_string().as_str(), layer.size, layer.head_len), (SHA256, 6, 0));
    }
    // Both files have one content: the registry keeps it once, beside the configuration.
    assert_eq!(pack.blobs(), 2);
}

#[test]
fn an_image_reads_back_for_every_platform() {
    let folder = TempDir::new().unwrap();
    let pack = packed(vec![model(&folder, "a/b"), model(&folder, "a/c")], Format::Image).unwrap();
    let Read::Image(digest) = read(&pack.root().bytes, media::INDEX).unwrap() else { panic!("an index") };
    let images: Vec<_> = pack.manifests.iter().filter(|document| document.media_type == media::MANIFEST).collect();
    assert_eq!((images.len(), images[0].digest), (2, digest));
    for image in images {
        let artifact = parse_artifact(&image.bytes).unwrap();
        assert_eq!(artifact.models.len(), 2);
        for packed in &artifact.models {
            for (path, layer) in &packed.layers {
                let blob = pack.blobs.iter().find(|blob| blob.digest == layer.digest).expect("the layer is a blob");
                let mut bytes = Vec::new();
                blob.open(0).unwrap().read_to_end(&mut bytes).unwrap();
                assert_eq!((bytes.len() as u64, sha256(&bytes)), (layer.size, layer.digest), "{path}");
                let (at, head) = (layer.head_len as usize, layer.head(6).unwrap());
                assert_eq!((&bytes[..at], &bytes[at..at + 6]), (&head[..], &b"hello\n"[..]));
            }
        }
    }
}

#[test]
fn a_blob_reads_from_any_place() {
    let folder = TempDir::new().unwrap();
    let pack = packed(vec![model(&folder, "a/b")], Format::Image).unwrap();
    for blob in &pack.blobs {
        let whole = blob.read(0, blob.size as usize).unwrap();
        for offset in 0..blob.size as usize {
            let length = (blob.size as usize - offset).min(700);
            assert_eq!(blob.read(offset as u64, length).unwrap(), whole[offset..offset + length], "{offset}");
        }
    }
}

#[test]
fn damage_on_the_disk_is_not_packed() {
    for name in ["config.json", "model.bin"] {
        for content in ["hellO\n", "hell", "hello\nx"] {
            let folder = TempDir::new().unwrap();
            let model = model(&folder, "a/b");
            fs::write(folder.path().join(name), content).unwrap();
            for format in [Format::ModelPack, Format::Image] {
                let refused = packed(vec![model.clone()], format);
                assert!(refused.is_err(), "{name} as {content:?} in {format:?}");
            }
        }
    }
}

#[test]
fn a_model_pack_is_one_model() {
    let folder = TempDir::new().unwrap();
    let two = vec![model(&folder, "a/b"), model(&folder, "a/c")];
    assert!(matches!(packed(two, Format::ModelPack), Err(OciError::Plan(_))));
    assert!(matches!(packed(Vec::new(), Format::Image), Err(OciError::Plan(_))));
}

#[test]
fn a_manifest_that_does_not_add_up_is_refused() {
    let folder = TempDir::new().unwrap();
    for format in [Format::ModelPack, Format::Image] {
        let pack = packed(vec![model(&folder, "a/b")], format).unwrap();
        let manifest = pack.manifests.iter().find(|document| document.media_type == media::MANIFEST).unwrap();
        let sound: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
        let mut changed = vec![sound.clone(); 5];
        changed[0]["layers"] = serde_json::json!([]);
        for layer in changed[1]["layers"].as_array_mut().unwrap() {
            layer["size"] = (layer["size"].as_u64().unwrap() + 1).into();
        }
        changed[2]["annotations"] = serde_json::json!({});
        changed[3]["config"]["mediaType"] = "application/vnd.oci.empty.v1+json".into();
        let text = changed[4]["annotations"][media::DESCRIPTION].as_str().unwrap().replace("\"size\":6", "\"size\":60");
        changed[4]["annotations"][media::DESCRIPTION] = text.into();
        for (number, changed) in changed.iter().enumerate() {
            assert!(parse_artifact(changed.to_string().as_bytes()).is_err(), "{format:?}: accepted change {number}");
        }
    }
}
