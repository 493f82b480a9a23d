//! The tokenizer against faster-whisper's answers for random texts and tokens: `tests/goldens/tokenizer.json`, made by
//! `tests/goldens/make.py`.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Golden {
    /// Model folder in the fixtures.
    folder: PathBuf,
    special: Vec<u32>,
    non_speech: Vec<u32>,
    encode: Vec<Encoded>,
    decode: Vec<Decoded>,
}

#[derive(Deserialize)]
struct Encoded {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Decoded {
    lang: String,
    ids: Vec<u32>,
    text: String,
    with_ts: String,
    words: Vec<String>,
    word_tokens: Vec<Vec<u32>>,
}

fn fixture(folder: &Path) -> Tokenizer {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    Tokenizer::load(&fixtures.join(folder)).unwrap()
}

fn goldens() -> Vec<Golden> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tokenizer.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn special_tokens_are_those_of_faster_whisper() {
    for golden in goldens() {
        let tokenizer = fixture(&golden.folder);
        let special = tokenizer.special();
        let found = [
            Some(special.end_of_text),
            Some(special.start_of_transcript),
            special.transcribe,
            special.translate,
            special.start_of_language_model,
            special.start_of_previous,
            special.no_speech,
            Some(special.no_timestamps),
            Some(special.timestamp_begin),
        ];
        assert_eq!(found.map(Option::unwrap).as_slice(), golden.special);
        assert_eq!(tokenizer.non_speech_tokens(), golden.non_speech);
    }
}

#[test]
fn texts_become_the_tokens_of_the_tokenizers_library() {
    for golden in goldens() {
        let tokenizer = fixture(&golden.folder);
        for Encoded { text, ids } in golden.encode {
            assert_eq!(tokenizer.encode(&text), ids, "{text:?}");
        }
    }
}

#[test]
fn tokens_become_the_texts_and_words_of_faster_whisper() {
    for golden in goldens() {
        let tokenizer = fixture(&golden.folder);
        for case in golden.decode {
            assert_eq!(tokenizer.decode(&case.ids), case.text, "{:?}", case.ids);
            assert_eq!(tokenizer.decode_with_timestamps(&case.ids), case.with_ts, "{:?}", case.ids);
            let mut ids = case.ids.clone();
            ids.push(tokenizer.special().end_of_text);
            let words = tokenizer.split_to_words(&ids, &case.lang);
            let (texts, tokens): (Vec<_>, Vec<_>) = words.into_iter().map(|word| (word.word, word.tokens)).unzip();
            assert_eq!((texts, tokens), (case.words, case.word_tokens), "{:?} in {}", case.ids, case.lang);
        }
    }
}

#[test]
fn languages_are_tokens_of_two_or_three_letters() {
    let tokenizer = fixture(Path::new("tiny-whisper-v3-ct2"));
    assert!(tokenizer.language("en").is_some() && tokenizer.language("yue").is_some());
    for code in ["", "english", "EN", "transcribe", "xx", "0.0"] {
        assert_eq!(tokenizer.language(code), None, "{code}");
    }
    assert_eq!(fixture(Path::new("tiny-whisper-ct2")).language("yue"), None);
}

#[track_caller]
fn refused(text: &str, problem: &str) {
    let error = Tokenizer::from_json(text.as_bytes()).unwrap_err().at(Path::new("tokenizer.json"));
    assert_eq!(error.to_string(), format!("`tokenizer.json` cannot be used: {problem}"));
}

#[test]
fn says_what_is_wrong_with_a_file() {
    let with = |parts: &str, vocab: &str| {
        let stage = r#"{"type":"ByteLevel","add_prefix_space":false}"#;
        format!(
            r#"{{"added_tokens":[],"normalizer":null,"pre_tokenizer":{stage},"decoder":{stage},
                 "model":{{"type":"BPE","vocab":{vocab},"merges":["a b"]}}{parts}}}"#
        )
    };
    refused("{", "it is not a tokenizer file");
    refused(&with("", "{}"), "it lacks the token `<|notimestamps|>`");
    refused(&with("", r#"{"a":4000000000}"#), "it numbers a token higher than any Whisper model does");
    refused(&with("", "{}").replace("BPE", "Unigram"), "its model is not byte-pair encoding");
    refused(&with("", "{}").replace("ByteLevel", "Metaspace"), "it does not work on bytes as Whisper's tokenizers do");
    let all = r#"{"<|notimestamps|>":1,"<|endoftext|>":2,"<|startoftranscript|>":3}"#;
    refused(&with("", all), "it merges `a` and `b`, which are not all tokens");
}

proptest! {
    #[test]
    fn a_text_survives_encoding(text in "\\PC{0,40}") {
        let tokenizer = fixture(Path::new("tiny-whisper-ct2"));
        let tokens = tokenizer.encode(&text);
        prop_assume!(tokens.iter().all(|token| *token < tokenizer.special().end_of_text));
        prop_assert_eq!(tokenizer.decode(&tokens), text);
    }

    #[test]
    fn words_are_the_tokens_in_order(tokens in proptest::collection::vec(0_u32..900, 0..40)) {
        let tokenizer = fixture(Path::new("tiny-whisper-ct2"));
        for language in ["en", "ja"] {
            let words = tokenizer.split_to_words(&tokens, language);
            let joined: Vec<u32> = words.iter().flat_map(|word| word.tokens.clone()).collect();
            // What is left out are bytes at the end that are no whole character.
            prop_assert!(tokens.starts_with(&joined));
            let text: String = words.into_iter().map(|word| word.word).collect();
            prop_assert!(tokenizer.decode_with_timestamps(&tokens).starts_with(&text));
        }
    }
}
