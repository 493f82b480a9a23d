//! From labels of ISO 639-3 to Whisper's languages.
//!
//! Language identification tells single languages apart; Whisper often has one code for a group of them (Arabic,
//! Norwegian, Malay). So several labels may map to one code. A label maps where Whisper's code means that language or
//! the macrolanguage that it is a member of; a merely similar language does not map.

use crate::language::Language;

/// What Whisper has for a label of ISO 639-3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WhisperLanguage {
    /// Whisper knows it under this code.
    Known(Language),
    /// It is a label that a public model gives, and Whisper does not know the language.
    Unsupported,
    /// The table does not have the label. Whisper has no code that is known to mean it.
    UnknownLabel,
}

impl WhisperLanguage {
    /// Whisper's language, where there is one.
    pub fn known(self) -> Option<Language> {
        match self {
            Self::Known(language) => Some(language),
            Self::Unsupported | Self::UnknownLabel => None,
        }
    }
}

/// What Whisper has for the label `label`: three lower-case letters of ISO 639-3, as MMS models give them. Endings
/// that MMS adds for dialects and scripts (`uzb-script_latin`) do not matter.
pub fn whisper_language(label: &str) -> WhisperLanguage {
    let label = label.split_once('-').map_or(label, |(label, _)| label);
    if let Some((code, _)) = LABELS.iter().find(|(_, labels)| labels.contains(&label)) {
        return Language::from_code(code).map_or(WhisperLanguage::UnknownLabel, WhisperLanguage::Known);
    }
    if UNSUPPORTED.contains(&label) { WhisperLanguage::Unsupported } else { WhisperLanguage::UnknownLabel }
}

/// Whether the text has the form of a label: three letters of ASCII in lower case.
pub fn is_label(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Whisper's codes and the labels that map to each: the language itself, its macrolanguage, that one's members.
///
/// Source: the code tables of ISO 639-3 and its macrolanguage mappings, <https://iso639-3.sil.org>.
const LABELS: [(&str, &[&str]); 100] = [
    ("en", &["eng"]),
    ("zh", &["zho", "cmn"]),
    ("de", &["deu"]),
    ("es", &["spa"]),
    ("ru", &["rus"]),
    ("ko", &["kor"]),
    ("fr", &["fra"]),
    ("ja", &["jpn"]),
    ("pt", &["por"]),
    ("tr", &["tur"]),
    ("pl", &["pol"]),
    ("ca", &["cat"]),
    ("nl", &["nld"]),
    (
        "ar",
        &[
            "ara", "arb", "arz", "apc", "ajp", "apd", "ary", "aeb", "acm", "acw", "acx", "afb", "ars", "ayl", "ayn",
            "arq", "ayh", "ayp", "abv", "acq", "adf", "aao", "abh", "aec", "arx", "ssh", "shu", "auz", "avl", "pga",
        ],
    ),
    ("sv", &["swe"]),
    ("it", &["ita"]),
    ("id", &["ind"]),
    ("hi", &["hin"]),
    ("fi", &["fin"]),
    ("vi", &["vie"]),
    ("he", &["heb"]),
    ("uk", &["ukr"]),
    ("el", &["ell"]),
    ("ms", &["msa", "zlm", "zsm"]),
    ("cs", &["ces"]),
    ("ro", &["ron"]),
    ("da", &["dan"]),
    ("hu", &["hun"]),
    ("ta", &["tam"]),
    ("no", &["nor", "nob"]),
    ("th", &["tha"]),
    ("ur", &["urd"]),
    ("hr", &["hrv"]),
    ("bg", &["bul"]),
    ("lt", &["lit"]),
    ("la", &["lat"]),
    ("mi", &["mri"]),
    ("ml", &["mal"]),
    ("cy", &["cym"]),
    ("sk", &["slk"]),
    ("te", &["tel"]),
    ("fa", &["fas", "pes", "prs"]),
    ("lv", &["lav", "lvs"]),
    ("bn", &["ben"]),
    ("sr", &["srp"]),
    ("az", &["aze", "azj", "azb"]),
    ("sl", &["slv"]),
    ("kn", &["kan"]),
    ("et", &["est", "ekk"]),
    ("mk", &["mkd"]),
    ("br", &["bre"]),
    ("eu", &["eus"]),
    ("is", &["isl"]),
    ("hy", &["hye"]),
    ("ne", &["nep", "npi"]),
    ("mn", &["mon", "khk"]),
    ("bs", &["bos"]),
    ("kk", &["kaz"]),
    ("sq", &["sqi", "als", "aln", "aae", "aat"]),
    ("sw", &["swa", "swh", "swc"]),
    ("gl", &["glg"]),
    ("mr", &["mar"]),
    ("pa", &["pan"]),
    ("si", &["sin"]),
    ("km", &["khm"]),
    ("sn", &["sna"]),
    ("yo", &["yor"]),
    ("so", &["som"]),
    ("af", &["afr"]),
    ("oc", &["oci"]),
    ("ka", &["kat"]),
    ("be", &["bel"]),
    ("tg", &["tgk"]),
    ("sd", &["snd"]),
    ("gu", &["guj"]),
    ("am", &["amh"]),
    ("yi", &["yid", "ydd", "yih"]),
    ("lo", &["lao"]),
    ("uz", &["uzb", "uzn", "uzs"]),
    ("fo", &["fao"]),
    ("ht", &["hat"]),
    ("ps", &["pus", "pbt", "pbu", "pst"]),
    ("tk", &["tuk"]),
    ("nn", &["nno"]),
    ("mt", &["mlt"]),
    ("sa", &["san"]),
    ("lb", &["ltz"]),
    ("my", &["mya"]),
    ("bo", &["bod"]),
    ("tl", &["tgl", "fil"]),
    ("mg", &["mlg", "plt"]),
    ("as", &["asm"]),
    ("tt", &["tat"]),
    ("haw", &["haw"]),
    ("ln", &["lin"]),
    ("ha", &["hau"]),
    ("ba", &["bak"]),
    ("jw", &["jav"]),
    ("su", &["sun"]),
    ("yue", &["yue"]),
];

/// Labels of `facebook/mms-lid-126` whose language Whisper does not know.
const UNSUPPORTED: [&str; 26] = [
    "abk", "ast", "ceb", "ckb", "epo", "ful", "gle", "glv", "grn", "ibo", "ina", "kam", "kea", "kir", "lug", "luo",
    "nso", "nya", "orm", "ory", "sco", "umb", "war", "wol", "xho", "zul",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Every label of `facebook/mms-lid-126`, in the order of its outputs.
    ///
    /// Source: `langs.txt` in that repository, revision 5a91eb9abe3b31a9fd71fbc1b8ba4149670ec639.
    const MMS_LID_126: &str = "
        ara cmn eng spa fra mlg swe por vie ful sun asm ben zlm kor ind hin tuk urd aze slv mon hau tel swh bod rus tur
        heb mar som tgl tat tha cat ron mal bel pol yor nld bul hat afr isl amh tam hun hrv lit cym fas mkd ell bos deu
        sqi jav nob uzb snd lat nya grn mya orm lin hye yue pan jpn kaz npi kat guj kan tgk ukr ces lav bak khm fao glg
        ltz lao mlt sin sna ita srp mri nno pus eus ory lug bre luo slk fin dan yid est ceb war san kir oci wol haw kam
        umb xho epo zul ibo abk ckb nso gle kea ast sco glv ina";

    fn code(label: &str) -> Option<&'static str> {
        whisper_language(label).known().map(Language::code)
    }

    #[test]
    fn every_label_of_mms_lid_126_maps_or_is_unsupported() {
        let labels: Vec<&str> = MMS_LID_126.split_whitespace().collect();
        assert_eq!(labels.len(), 126);
        for label in &labels {
            assert!(is_label(label));
            assert_ne!(whisper_language(label), WhisperLanguage::UnknownLabel, "{label}");
        }
        let unsupported: Vec<&str> = labels.iter().copied().filter(|label| code(label).is_none()).collect();
        let listed: HashSet<&str> = UNSUPPORTED.into_iter().collect();
        assert_eq!(unsupported.into_iter().collect::<HashSet<_>>(), listed, "the list has labels of no model");
        assert_eq!(listed.len(), UNSUPPORTED.len());
    }

    #[test]
    fn every_whisper_code_is_reached_from_a_label() {
        for language in Language::all() {
            let labels = LABELS.iter().find(|(code, _)| *code == language.code()).map(|(_, labels)| *labels);
            for label in labels.unwrap_or_else(|| panic!("`{language}` has no label")) {
                assert_eq!(whisper_language(label), WhisperLanguage::Known(language), "{label}");
            }
        }
    }

    #[test]
    fn mms_lid_126_reaches_every_whisper_code() {
        let reached: HashSet<&str> = MMS_LID_126.split_whitespace().filter_map(code).collect();
        let missing: Vec<&str> = Language::all().map(Language::code).filter(|code| !reached.contains(code)).collect();
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn no_label_is_listed_twice() {
        let mut labels: Vec<&str> = LABELS.iter().flat_map(|(_, labels)| labels.iter().copied()).collect();
        labels.extend(UNSUPPORTED);
        assert!(labels.iter().all(|label| is_label(label)));
        let count = labels.len();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), count);
    }

    #[test]
    fn labels_of_dialects_scripts_and_other_languages() {
        assert_eq!(code("uzb-script_latin"), Some("uz"));
        assert_eq!(code("arz"), Some("ar"));
        assert_eq!(code("jav"), Some("jw"));
        assert_eq!(whisper_language("wol"), WhisperLanguage::Unsupported);
        for label in ["und", "xyz", "", "en", "ENG"] {
            assert_eq!(whisper_language(label), WhisperLanguage::UnknownLabel, "{label:?}");
        }
    }
}
