//! Punctuation goes to the word that it belongs to.

use super::alignment::Timing;
use crate::whisper::text::trim;

/// Moves words that are `prepended` punctuation to the word after them, and `appended` punctuation to the word before.
/// What is moved leaves an empty word behind.
///
/// Several marks in a row are looked for as they stand there: a word counts as punctuation if it is a substring.
pub(super) fn merge(timings: &mut [Timing], prepended: &str, appended: &str) {
    let mut following = timings.len().saturating_sub(1);
    for at in (0..following).rev() {
        let word = &timings[at].word;
        if word.starts_with(' ') && prepended.contains(trim(word)) {
            let mut moved = take(&mut timings[at]);
            let target = &mut timings[following];
            moved.0.push_str(&target.word);
            moved.1.append(&mut target.tokens);
            (target.word, target.tokens) = moved;
        } else {
            following = at;
        }
    }
    let mut previous = 0;
    for at in 1..timings.len() {
        if !timings[previous].word.ends_with(' ') && appended.contains(&timings[at].word) {
            let (word, tokens) = take(&mut timings[at]);
            let target = &mut timings[previous];
            target.word.push_str(&word);
            target.tokens.extend(tokens);
        } else {
            previous = at;
        }
    }
}

fn take(timing: &mut Timing) -> (String, Vec<u32>) {
    (std::mem::take(&mut timing.word), std::mem::take(&mut timing.tokens))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timing(word: &str) -> Timing {
        Timing { word: word.to_owned(), tokens: vec![word.len() as u32], start: 0.0, end: 0.0, probability: 0.0 }
    }

    fn merged(words: &[&str]) -> Vec<String> {
        let mut timings: Vec<Timing> = words.iter().copied().map(timing).collect();
        merge(&mut timings, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、");
        timings.into_iter().map(|timing| timing.word).collect()
    }

    #[test]
    fn marks_go_to_their_word() {
        assert_eq!(merged(&[" Hi", ",", " \"", "you", "\"", "."]), [" Hi,", "", "", " \"you\".", "", ""]);
        assert_eq!(merged(&[" ¿", " ¿", "Qué", "?"]), ["", "", " ¿ ¿Qué?", ""]);
    }

    #[test]
    fn marks_alone_stay() {
        assert_eq!(merged(&[]), [""; 0]);
        assert_eq!(merged(&[" ("]), [" ("]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(words in proptest::collection::vec("( ?[a-z]{1,3}| ?[\"'(.,!?-]| )", 0..12)) {
            let mut timings: Vec<Timing> = words.iter().map(|word| timing(word)).collect();
            merge(&mut timings, "\"'(-", "\"'.,!?)");
            let text: String = timings.iter().map(|timing| timing.word.as_str()).collect();
            prop_assert_eq!(text, words.concat());
            let tokens: usize = timings.iter().map(|timing| timing.tokens.len()).sum();
            prop_assert_eq!(tokens, words.len());
            prop_assert!(timings.iter().all(|timing| timing.word.is_empty() == timing.tokens.is_empty()));
        }
    }
}
