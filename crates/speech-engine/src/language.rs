//! Codes of languages: Whisper's, and how ISO 639-3 labels map to them.
//!
//! Whisper has codes of its own, most of them ISO 639-1 ([`Language`]). Language identification answers with labels of
//! ISO 639-3. [`whisper_language`] joins both: a label has a Whisper code, or is known to have none.

mod iso639;
mod table;

use std::fmt;
use std::str::FromStr;

pub use iso639::{WhisperLanguage, is_label, whisper_language};

/// The label of speech whose language is not known. Source: ISO 639-3, "undetermined".
pub const UNDETERMINED: &str = "und";

/// A language that Whisper knows.
///
/// ```
/// # use speech_flow_speech_engine::language::Language;
/// let german: Language = "German".parse()?;
/// assert_eq!((german.code(), german.name()), ("de", "german"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language {
    /// Place in [`table::LANGUAGES`], so it is below its length.
    index: u8,
}

/// The text is neither a code nor a name of a language that Whisper knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a language that Whisper knows, such as `en` or `english`")]
pub struct UnknownLanguage(String);

impl Language {
    /// All languages, in the order of the tokens of multilingual models. The last, Cantonese, is known to models of
    /// 100 languages only.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..table::LANGUAGES.len() as u8).map(|index| Self { index })
    }

    /// Whisper's code, such as `en` or `haw`.
    pub fn code(self) -> &'static str {
        self.entry().0
    }

    /// The English name in lower case, such as `haitian creole`.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// The language of a code, spelt exactly as Whisper does.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::all().find(|language| language.code() == code)
    }

    fn entry(self) -> (&'static str, &'static str) {
        table::LANGUAGES[usize::from(self.index)]
    }
}

/// A code, a name or another name of the language; case does not matter, and a region after the code is left out
/// (`pt-BR`). Codes of ISO 639 that Whisper spells otherwise count too (`jv` is `jw`, `deu` is `de`).
impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(text: &str) -> Result<Self, UnknownLanguage> {
        let unknown = || UnknownLanguage(text.chars().take(40).collect());
        if text.len() > 64 {
            return Err(unknown());
        }
        let wanted = text.trim().to_ascii_lowercase();
        let by_name = || Self::all().find(|language| language.name() == wanted);
        let by_alias = |wanted: &str| {
            table::ALIASES.iter().find(|(alias, _)| *alias == wanted).and_then(|(_, code)| Self::from_code(code))
        };
        let by_label = |wanted: &str| match whisper_language(wanted) {
            WhisperLanguage::Known(language) => Some(language),
            WhisperLanguage::Unsupported | WhisperLanguage::UnknownLabel => None,
        };
        let by_code = |wanted: &str| Self::from_code(wanted).or_else(|| by_alias(wanted)).or_else(|| by_label(wanted));
        let without_region = || wanted.split_once(['-', '_']).and_then(|(code, _)| by_code(code));
        by_code(&wanted).or_else(by_name).or_else(without_region).ok_or_else(unknown)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Language({})", self.code())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, code: &str) {
        assert_eq!(text.parse::<Language>().map(Language::code).ok(), Some(code), "{text:?}");
    }

    #[test]
    fn codes_names_and_aliases_are_understood() {
        check("en", "en");
        check("EN", "en");
        check(" Haitian Creole ", "ht");
        check("haitian", "ht");
        check("mandarin", "zh");
        check("castilian", "es");
        check("cantonese", "yue");
        check("jv", "jw");
        check("iw", "he");
        check("nb", "no");
        check("fil", "tl");
        check("pt-BR", "pt");
        check("zh_Hant", "zh");
        check("deu", "de");
        check("Myanmar", "my");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "-", "xx", "klingon", "und", "wol", "de de", &"e".repeat(100)] {
            let error = text.parse::<Language>().unwrap_err();
            assert!(error.to_string().len() < 120, "{error}");
        }
    }

    #[test]
    fn there_are_a_hundred_languages_and_no_two_are_called_alike() {
        assert_eq!(Language::all().len(), 100);
        let mut called: Vec<&str> = Language::all().flat_map(|language| [language.code(), language.name()]).collect();
        called.extend(table::ALIASES.iter().map(|(alias, _)| *alias));
        let count = called.len();
        called.sort_unstable();
        called.dedup();
        assert_eq!(called.len(), count);
        assert!(table::ALIASES.iter().all(|(_, code)| Language::from_code(code).is_some()));
    }

    #[test]
    fn every_code_and_name_reads_back() {
        for language in Language::all() {
            check(language.code(), language.code());
            check(language.name(), language.code());
            check(&language.name().to_uppercase(), language.code());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            if let Ok(language) = text.parse::<Language>() {
                prop_assert!(Language::from_code(language.code()) == Some(language));
            }
        }
    }
}
