//! `trees/COMMIT.json`: the listing of a commit on a volume that other programs write to.

#![no_main]

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_can_stand_together, assert_fit_to_show, assert_stays_inside, bounded};
use speech_flow_model_cache::{format_tree, parse_tree};

fuzz_target!(|bytes: &[u8]| {
    match bounded(bytes.len(), 64, || parse_tree(bytes)) {
        Ok(files) => {
            files.iter().for_each(|file| assert_stays_inside(&file.path));
            assert_can_stand_together(files.iter().map(|file| &file.path));
            let written = format_tree(&files);
            assert_eq!(parse_tree(&written).expect("what was written"), files);
        }
        Err(error) => assert_fit_to_show(&error),
    }
});
