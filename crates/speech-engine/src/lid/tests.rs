use proptest::prelude::*;

use super::*;

#[test]
fn the_defaults_have_a_meaning() {
    assert!(IdentifyOptions::default().validate().is_ok());
}

#[test]
fn the_tiny_model_is_readable_without_an_engine() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    assert!(LidModel::check(&fixtures.join("tiny-lid")).is_ok());
    assert!(LidModel::check(&fixtures.join("tiny-whisper-ct2")).is_err());
}

proptest! {
    #[test]
    fn probabilities_add_up_to_one_and_keep_the_order(logits in proptest::collection::vec(-1e4_f32..1e4, 1..50)) {
        let probabilities = softmax(&logits);
        prop_assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        for (first, second) in logits.iter().zip(&logits[1..]).enumerate().map(|(index, _)| (index, index + 1)) {
            prop_assert!(logits[first] < logits[second] || probabilities[first] >= probabilities[second]);
        }
    }
}
