//! The documents of this very workspace.

use std::collections::BTreeSet;

use cyclonedx_bom::models::bom::{Bom, SpecVersion};
use cyclonedx_bom::validation::Validate;

use super::*;
use crate::workspace::Workspace;

fn components() -> Vec<Component> {
    let mut components = crates::list(&Workspace::root()).expect("the crates");
    components.extend(parts::list(&Workspace::root()).expect("the parts"));
    components.sort();
    link_engine(&mut components);
    components
}

#[test]
fn the_document_is_valid_cyclonedx_and_names_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    write(&Workspace::root(), folder.path()).expect("written");
    let text = fs::read(folder.path().join("speech-flow.cdx.json")).expect("a document");
    let bom = Bom::parse_from_json_v1_5(&text[..]).expect("CycloneDX");
    let validated = bom.validate_version(SpecVersion::V1_5);
    assert!(validated.passed(), "{validated:?}");
    let metadata = bom.metadata.expect("metadata");
    assert_eq!(metadata.component.expect("a component").name.to_string(), "speech-flow");
}

#[test]
fn what_is_linked_is_there_and_what_only_builds_is_not() {
    let components = components();
    let names: BTreeSet<&str> = components.iter().map(|component| component.name.as_str()).collect();
    for linked in ["tokio", "rustls", "opus", "ctranslate2", "libgomp", "silero-vad", "speech-flow-model-types"] {
        assert!(names.contains(linked), "{linked} is missing");
    }
    for other in ["clap_derive", "serde_derive", "cc", "insta", "proptest", "xtask"] {
        assert!(!names.contains(other), "{other} is not part of the program");
    }
}

#[test]
fn every_component_has_a_license_and_what_it_needs_is_listed() {
    let components = components();
    let purls: BTreeSet<&str> = components.iter().map(|component| component.purl.as_str()).collect();
    assert_eq!(purls.len(), components.len(), "a package URL stands for one component");
    let mut needed = BTreeSet::new();
    for component in &components {
        assert!(!component.license.is_empty(), "{} has no license", component.purl);
        let is_registry = component.purl.starts_with("pkg:cargo/") && !component.name.starts_with("speech-flow");
        assert_eq!(component.sha256.is_some(), is_registry || component.name == "ctranslate2", "{}", component.purl);
        needed.extend(component.needs.iter().map(String::as_str).filter(|purl| !purl.starts_with("pkg:cargo/")));
    }
    let parts = purls.iter().copied().filter(|purl| !purl.starts_with("pkg:cargo/"));
    assert_eq!(needed, parts.collect(), "each part has its place, and each place its part");
}

#[test]
fn the_versions_of_c_sources_are_those_inside_the_crates() {
    #[track_caller]
    fn check(package: &str, file: &str, name: &str, before: &str) {
        let components = components();
        let version = &components.iter().find(|component| component.name == name).expect("a part").version;
        let folder = crates::folder(&Workspace::root(), package).expect("the crate");
        let text = fs::read_to_string(folder.join(file)).expect("a file");
        assert!(text.contains(&format!("{before}\"{version}\"")), "{package} has another {name} than {version}");
    }
    check("opusic-sys", "opus/package_version", "opus", "PACKAGE_VERSION=");
    check("libz-sys", "src/zlib/zlib.h", "zlib", "#define ZLIB_VERSION ");
}

#[test]
fn a_text_that_many_have_stands_once() {
    let component = |name: &str| Component {
        name: name.to_owned(),
        version: "1".to_owned(),
        purl: format!("pkg:generic/{name}@1"),
        license: "MIT".to_owned(),
        kind: "library",
        sha256: None,
        description: None,
        needs: Vec::new(),
        texts: vec!["Permission is hereby granted".to_owned()],
    };
    let document = texts::of(&[component("a"), component("b")]);
    assert_eq!(document.matches("Permission is hereby granted").count(), 1, "{document}");
    assert!(document.contains("a 1, b 1\n"), "{document}");
}
