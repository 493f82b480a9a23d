//! The front matter of a model card.

#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::fuzz_target;
use speech_flow_fuzz::{assert_one_line, bounded};
use speech_flow_model_manager::card::ModelCard;

fuzz_target!(|text: &str| {
    let card = bounded(text.len(), 32, || ModelCard::parse(text));
    let scalars = [&card.license, &card.license_name, &card.license_link, &card.pipeline_tag];
    let lists = [&card.base_model, &card.language];
    for value in scalars.into_iter().flatten().chain(lists.into_iter().flatten()) {
        assert!(!value.is_empty() && value.len() <= 512);
        assert_one_line(value);
        assert!(text.contains(value.as_str()), "a value that the card does not have");
    }
    assert!(lists.iter().all(|list| list.len() <= 512));
    // Only the front matter counts.
    if card != ModelCard::default() {
        assert_eq!(ModelCard::parse(&format!("{text}\nlicense: proprietary\n---\nlicense: proprietary\n")), card);
    }
    assert_eq!(ModelCard::parse(&front_matter(&card)), card);
    let json = serde_json::to_string(&card).expect("text always serializes");
    assert_eq!(serde_json::from_str::<ModelCard>(&json).expect("what was written"), card);
});

fn front_matter(card: &ModelCard) -> String {
    let mut text = "---\n".to_owned();
    let scalars = [
        ("license", &card.license),
        ("license_name", &card.license_name),
        ("license_link", &card.license_link),
        ("pipeline_tag", &card.pipeline_tag),
    ];
    for (key, value) in scalars.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
        let _ = writeln!(text, "{key}: \"{value}\"");
    }
    for (key, list) in [("base_model", &card.base_model), ("language", &card.language)] {
        let _ = writeln!(text, "{key}:");
        list.iter().for_each(|value| text.push_str(&format!("- \"{value}\"\n")));
    }
    text + "---\n"
}
