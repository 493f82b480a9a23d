//! What a registry and Docker's configuration say: manifests, descriptions, logins, and references that people type.

#![no_main]

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_can_stand_together, assert_fit_to_show, assert_one_line, assert_stays_inside, bounded};
use speech_flow_model_oci::challenge::{Challenge, parse_challenge};
use speech_flow_model_oci::description::{DescribedModel, format_description, parse_description};
use speech_flow_model_oci::{Credentials, Reference, parse_artifact};

fuzz_target!(|bytes: &[u8]| {
    // A head for each file that has a layer: some blocks of tar for a hundred bytes of description.
    match bounded(bytes.len(), 512, || parse_artifact(bytes)) {
        Ok(artifact) => artifact.models.iter().for_each(|packed| check(&packed.model)),
        Err(error) => assert_fit_to_show(&error),
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match bounded(bytes.len(), 128, || parse_description(text)) {
        Ok(models) => {
            models.iter().for_each(check);
            assert_eq!(parse_description(&format_description(&models)).expect("what was written"), models);
        }
        Err(error) => assert_fit_to_show(&error),
    }
    if let Some(Challenge::Bearer { realm, .. }) = parse_challenge(text) {
        assert!(realm.len() <= text.len());
    }
    match text.parse::<Reference>() {
        Ok(reference) => assert_eq!(reference.to_string(), text),
        Err(error) => assert_one_line(&error.to_string()),
    }
    let reference: Reference = "oci://registry.example/a/b:c".parse().expect("a reference");
    if let Err(error) = Credentials::from_docker(text, &reference) {
        assert_fit_to_show(&error);
    }
});

fn check(model: &DescribedModel) {
    model.listing.iter().for_each(|file| assert_stays_inside(&file.path));
    assert_can_stand_together(model.listing.iter().map(|file| &file.path));
    for path in model.layers.keys() {
        assert!(model.file(path).is_some(), "{path:?} has a layer and is not listed");
    }
    assert!(model.refs.iter().all(|name| name.commit().is_none()));
}
