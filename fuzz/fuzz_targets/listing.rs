//! Pages of a repository's listing, as a hub answers them; then the listing as the cache keeps it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_can_stand_together, assert_fit_to_show, assert_stays_inside, bounded};
use speech_flow_model_cache::{format_tree, parse_tree};
use speech_flow_model_hub::hub::listing::assemble;
use speech_flow_model_hub::parse_listing_page;

fuzz_target!(|page: &[u8]| {
    let files = match bounded(page.len(), 64, || parse_listing_page(page)) {
        Ok(files) => files,
        Err(error) => return assert_fit_to_show(&error),
    };
    files.iter().for_each(|file| assert_stays_inside(&file.path));
    let count = files.len();
    let listing = match assemble(files) {
        Ok(listing) => listing,
        Err(error) => return assert_fit_to_show(&error),
    };
    assert_eq!(listing.len(), count);
    assert_can_stand_together(listing.iter().map(|file| &file.path));
    // What one start writes down the next one has to understand, or it asks the hub again for ever.
    let again = parse_tree(&format_tree(&listing)).expect("the cache reads what it wrote");
    assert_eq!(again, listing);
});
